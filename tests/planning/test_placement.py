"""Which part goes to which node: labels by Ray's rules, room by counting, and what is said where there is none."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ray._private.label_utils import validate_label_selector
from ray.serve._private.deployment_scheduler import node_labels_match_selector

from raysgpo.planning.demand import Demand
from raysgpo.planning.placement import Node, Placement, impossible, matches, place, placement_lines, selector

EIGHT = {"CPU": 96.0, "GPU": 8.0}
GPU_NODE = Node("gpus", {"CPU": 8.0, "GPU": 4.0, "memory": 1e9})
LAPTOP = Node("laptop", {"CPU": 2.0})
HEAD = Node("head", {"CPU": 16.0}, {"role": "head"})
TRAINER, OTHER_TRAINER, ROLLOUT = (
    Node(name, EIGHT, {"role": role}) for name, role in (("t1", "trainer"), ("t2", "trainer"), ("r1", "rollout"))
)


def replicas(count: int, labels: dict[str, str] | None = None, **each: float) -> Demand:
    return Demand("rollout replica", "rollout.cpus / rollout.gpus", count, each, role="rollout", labels=labels)


def trainer(count: int) -> Demand:
    return Demand("train worker", "trainer.cpus / trainer.gpus", count, {"GPU": 1}, role="trainer", packed=True)


JUDGE = Demand("judge replica", "judge.cpus / judge.gpus", 1, {"CPU": 1, "GPU": 1}, role="judge")
WORKERS = Demand("group worker", "prompts_per_step", 2, {"CPU": 0.25}, role="steady")


def where(placement: Placement | None) -> dict[str, dict[str, int]]:
    assert placement is not None
    return {node.name: counts for node, counts in placement if counts}


@pytest.mark.parametrize(
    ("wanted", "nodes", "message"),
    [
        ([replicas(4, CPU=1, GPU=1)], [GPU_NODE], None),
        ([replicas(8, CPU=1, GPU=1)], [GPU_NODE, GPU_NODE], None),
        (
            [replicas(1, CPU=1, GPU=8)],
            [GPU_NODE, GPU_NODE],
            "a rollout replica asks for 1 CPU, 8 GPU and no node has that; change rollout.cpus / rollout.gpus",
        ),
        (
            [replicas(3, CPU=0.5, GPU=2)],
            [GPU_NODE, LAPTOP],
            "the run asks for 6 GPU (3 rollout replica x 2) and the cluster has 4",
        ),
        ([replicas(1, CPU=1, GPU=1)], [LAPTOP, Node("x", {"GPU": 4.0})], "a rollout replica asks for 1 CPU, 1 GPU and"),
        ([replicas(1, CPU=1)], [], "a rollout replica asks for 1 CPU and no node has that"),
        (  # enough in all, and not on any node
            [replicas(2, GPU=3)],
            [GPU_NODE, Node("two", {"GPU": 2.0})],
            "2 rollout replicas of 3 GPU each do not fit: the nodes have room for 1 (1 x 8 CPU, 4 GPU; 1 x 2 GPU)",
        ),
        (
            [trainer(3), replicas(1, GPU=2)],
            [Node("two", {"GPU": 2.0}), Node("three", {"GPU": 3.0})],
            None,
        ),
        (
            [trainer(2), replicas(2, GPU=2)],
            [Node("three", {"GPU": 3.0}), Node("three", {"GPU": 3.0})],
            None,
        ),
        (
            [trainer(1), replicas(2, GPU=2), JUDGE],
            [Node("n", {"CPU": 1.0, "GPU": 3.0}), Node("n", {"GPU": 3.0}), Node("c", {"CPU": 9.0})],
            None,
        ),
        (
            [JUDGE, replicas(2, GPU=2)],
            [Node("n", {"CPU": 1.0, "GPU": 3.0}), Node("c", {"CPU": 1.0, "GPU": 2.0})],
            None,
        ),
        (
            [JUDGE, replicas(3, GPU=2)],
            [Node("n", {"CPU": 1.0, "GPU": 2.0}), Node("n", {"GPU": 5.0})],
            "the parts of the run do not fit on the nodes side by side: 1 judge replica x 1 CPU, 1 GPU, 3 rollout",
        ),
    ],
)
def test_what_cannot_be_is_told_with_the_setting(wanted: list[Demand], nodes: list[Node], message: str | None) -> None:
    found = impossible(wanted, nodes)
    assert found == message if message is None else (found or "").startswith(message), found


def test_parts_go_to_nodes_of_their_role() -> None:
    nodes = [HEAD, TRAINER, OTHER_TRAINER, ROLLOUT]
    found = where(place([trainer(4), replicas(2, GPU=2), JUDGE, WORKERS], nodes))
    assert found == {
        "head": {"group worker": 2},
        "t1": {"train worker": 4},
        "r1": {"rollout replica": 2, "judge replica": 1},  # judges without nodes of their own
    }
    judges = Node("j1", EIGHT, {"role": "judge"})
    assert where(place([JUDGE], [*nodes, judges])) == {"j1": {"judge replica": 1}}


def test_group_workers_avoid_nodes_that_come_and_go_where_they_can() -> None:
    assert selector(WORKERS, [HEAD, TRAINER, ROLLOUT]) == {"role": "!in(rollout)"}
    bare_head = Node("head", {"CPU": 0.0}, {"role": "head"})
    assert selector(WORKERS, [bare_head, ROLLOUT]) == {}, "there is no other node with CPUs"
    assert selector(WORKERS, [LAPTOP]) == {}


def test_ranks_stay_together_and_replicas_fill_nodes() -> None:
    small, large = Node("small", {"GPU": 4.0}), Node("large", {"GPU": 8.0})
    assert where(place([trainer(8)], [small, large])) == {"large": {"train worker": 8}}
    assert where(place([trainer(3), replicas(4, GPU=1)], [large, small])) == {
        "large": {"train worker": 3},
        "small": {"rollout replica": 4},
    }


def test_labels_that_no_node_has_are_told_with_those_that_there_are() -> None:
    asked = replicas(1, {"zone": "b"}, GPU=1)
    zoned = Node("n", EIGHT, {"zone": "a", "ray.io/node-id": "1234"})
    assert impossible([asked], [zoned]) == (
        "a rollout replica goes to nodes with zone=b, and none has; there are nodes with zone=a; "
        "change rollout.label_selector, or leave it out"
    )
    told = impossible([trainer(1)], [HEAD], known=[HEAD, TRAINER])
    assert told is not None and "goes to nodes with role=trainer, and none has; there are nodes with role=head" in told


def test_a_role_of_a_node_that_may_still_come_counts() -> None:
    assert selector(trainer(1), [HEAD]) == {}
    assert selector(trainer(1), [HEAD, TRAINER]) == {"role": "trainer"}


VALUES = st.sampled_from(["a", "b", "c"])
SEVERAL = st.lists(VALUES, min_size=1).map(",".join)
ASKED = st.one_of(VALUES, VALUES.map("!{}".format), SEVERAL.map("in({})".format), SEVERAL.map("!in({})".format))


@given(st.dictionaries(st.sampled_from("xy"), VALUES), st.dictionaries(st.sampled_from("xy"), ASKED))
def test_labels_match_as_ray_matches_them(labels: dict[str, str], asked: dict[str, str]) -> None:
    assert validate_label_selector(asked) is None
    assert matches(labels, asked) == node_labels_match_selector(labels, asked)


@given(st.data())
def test_a_placement_gives_everything_a_place_and_no_node_more_than_it_has(data: Any) -> None:
    amounts = st.fixed_dictionaries({"CPU": st.integers(0, 8).map(float), "GPU": st.integers(0, 4).map(float)})
    nodes = [Node(f"n{i}", resources) for i, resources in enumerate(data.draw(st.lists(amounts, max_size=4)))]
    each = st.fixed_dictionaries({"CPU": st.sampled_from([0.25, 0.5, 1.0]), "GPU": st.sampled_from([0.0, 0.5, 1.0])})
    demands = [
        Demand(what, "x.y", data.draw(st.integers(1, 5)), data.draw(each), packed=what == "train worker")
        for what in ("train worker", "rollout replica", "group worker")
    ]
    placement = place(demands, nodes)
    assert (placement is None) == (impossible(demands, nodes) is not None)
    if placement is None:
        return
    for demand in demands:
        assert sum(counts.get(demand.what, 0) for _, counts in placement) == demand.count
    for node, counts in placement:
        for name in ("CPU", "GPU"):
            used = sum(counts.get(demand.what, 0) * demand.each[name] for demand in demands)
            assert used <= node.resources[name] + 1e-6


def test_one_node_is_not_told_and_nodes_without_labels_are_told_of_them() -> None:
    assert not list(placement_lines([trainer(4)], [GPU_NODE]))
    [line] = placement_lines([trainer(4)], [GPU_NODE, LAPTOP])
    assert line.startswith("2 nodes without the label role: Ray puts trainer and replicas wherever there is room")


def test_equal_nodes_share_a_line() -> None:
    assert list(placement_lines([trainer(16), replicas(1, GPU=1)], [HEAD, TRAINER, OTHER_TRAINER, ROLLOUT])) == [
        "t1, t2 (96 CPU, 8 GPU, role=trainer): 8 train workers",
        "r1 (96 CPU, 8 GPU, role=rollout): 1 rollout replica",
    ]
