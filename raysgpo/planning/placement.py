"""Which part of a run goes to which node: labels first, then room.

Nodes may say what they are for by the label ``role`` (config/cluster.py). Where some node, or node type that an
autoscaler may start, has the role of a part, the part goes to such nodes only; judges without nodes of their own go to
those of the rollout replicas; where nothing has a role, all goes wherever there is room. The trainer comes first, on as
few nodes as can be: its ranks exchange every layer, replicas nothing.
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field

from raysgpo.config.cluster import ROLE, Labels, Role
from raysgpo.planning.demand import Amounts, Demand

UNBOUNDED = 10**6
"""Room for processes that reserve nothing."""
SLACK = 1e-6
"""Of an amount: sums of fractions such as 0.1 are not exact."""


@dataclass(frozen=True, slots=True)
class Node:
    """One node, that is there or that an autoscaler may start."""

    name: str
    resources: Amounts
    labels: Labels = field(default_factory=dict)
    id: str = ""
    """Ray's, of one that is there."""


Placement = list[tuple[Node, dict[str, int]]]
"""Every node, with how many of each part (by ``Demand.what``) it has room for and gets."""


def selector(demand: Demand, nodes: Iterable[Node]) -> Labels:
    """The label selector of a part on a cluster whose nodes, with those that may come, are ``nodes``.

    Empty: any node will do.
    """
    if demand.labels is not None:
        return demand.labels
    roles = {node.labels[ROLE] for node in nodes if ROLE in node.labels}
    if demand.role == "steady":
        passing = [role for role in ("rollout", "judge") if role in roles]
        elsewhere = any(fits(demand.each, node.resources) for node in nodes if node.labels.get(ROLE) not in passing)
        return {ROLE: f"!in({','.join(passing)})"} if passing and elsewhere else {}
    wanted: tuple[Role | None, ...] = ("judge", "rollout") if demand.role == "judge" else (demand.role,)
    return next(({ROLE: role} for role in wanted if role in roles), {})


def matches(labels: Labels, asked: Labels) -> bool:
    """Whether a node with ``labels`` is selected, by Ray's rules: ``value``, ``!value``, ``in(a,b)``, ``!in(a,b)``."""
    return all(_matches(labels.get(key), value) for key, value in asked.items())


def _matches(value: str | None, asked: str) -> bool:
    negated, asked = asked.startswith("!"), asked.removeprefix("!")
    several = re.fullmatch(r"in\((.*)\)", asked)
    allowed = [one.strip() for one in several[1].split(",")] if several else [asked]
    return (value in allowed) != negated


def place(demands: Sequence[Demand], nodes: Sequence[Node], known: Sequence[Node] | None = None) -> Placement | None:
    """A place for all of it, each part at what it starts with; None if none was found.

    Args:
        nodes: what is free of each.
        known: of whose labels to choose, if these are not all; see ``selector``.
    """
    known = nodes if known is None else known
    for order in itertools.permutations(demands):  # the first that fits: the trainer's own order is preferred
        if (placed := _in_order(order, nodes, known)) is not None:
            return placed
    return None


def _in_order(demands: Sequence[Demand], nodes: Sequence[Node], known: Sequence[Node]) -> Placement | None:
    left = [dict(node.resources) for node in nodes]
    counts: list[dict[str, int]] = [{} for _ in nodes]
    for demand in demands:
        asked, remaining = selector(demand, known), demand.count
        fitting = [i for i, node in enumerate(nodes) if matches(node.labels, asked)]
        rooms = {i: _room(demand.each, left[i]) for i in fitting}
        # Packed: where most fit. Others: the fullest node that still has room, which keeps whole nodes free.
        for i in sorted(fitting, key=lambda i: (-min(rooms[i], remaining) if demand.packed else rooms[i], i)):
            taken = min(rooms[i], remaining)
            if taken:
                for name, amount in demand.each.items():
                    left[i][name] -= taken * amount
                counts[i][demand.what] = taken
                remaining -= taken
        if remaining:
            return None
    return list(zip(nodes, counts, strict=True))


def room(each: Amounts, labels: Labels, nodes: Sequence[Node]) -> int:
    """How many processes of that size have room on the nodes that a label selector picks."""
    return sum(_room(each, node.resources) for node in nodes if matches(node.labels, labels))


def _room(each: Amounts, left: Amounts) -> int:
    """How many of that size a node with so much left can take."""
    rooms = (int((left.get(name, 0.0) + SLACK) // amount) for name, amount in each.items() if amount)
    return min(rooms, default=UNBOUNDED)


def fits(each: Amounts, node: Mapping[str, float]) -> bool:
    """Whether a node that is empty could take one process of that size."""
    return all(node.get(name, 0) >= amount for name, amount in each.items())


def impossible(demands: Sequence[Demand], nodes: Sequence[Node], known: Sequence[Node] | None = None) -> str | None:
    """Why these nodes could not hold the demands, with the numbers; None if they could."""
    known = nodes if known is None else known
    for demand in demands:
        asked = selector(demand, known)
        chosen = [node for node in nodes if matches(node.labels, asked)]
        if not chosen and asked:
            return (
                f"a {demand.what} goes to nodes with {label_text(asked)}, and {_labels_there(nodes)}; {_mend(demand)}"
            )
        if not any(fits(demand.each, node.resources) for node in chosen):
            return (
                f"a {demand.what} asks for {amounts_text(demand.each)} and no node{_with(asked)} has that; "
                f"change {demand.settings}"
            )
    if place(demands, nodes, known) is not None:
        return None
    for name in ("CPU", "GPU"):
        asked_for = sum(demand.count * demand.each.get(name, 0) for demand in demands)
        there = sum(node.resources.get(name, 0) for node in nodes)
        if asked_for > there + SLACK:
            parts = ", ".join(demand.text(name) for demand in demands if demand.each.get(name))
            return f"the run asks for {asked_for:g} {name} ({parts}) and the cluster has {there:g}"
    for demand in demands:
        asked = selector(demand, known)
        chosen = [node for node in nodes if matches(node.labels, asked)]
        there = room(demand.each, asked, nodes)
        if there < demand.count:
            return (
                f"{demand.count} {demand.what}s of {amounts_text(demand.each)} each do not fit: the nodes"
                f"{_with(asked)} have room for {there} ({nodes_text(chosen)}); change {demand.settings}"
            )
    whole = ", ".join(f"{demand.count} {demand.what} x {amounts_text(demand.each)}" for demand in demands)
    return f"the parts of the run do not fit on the nodes side by side: {whole}, on {nodes_text(nodes)}"


def _with(asked: Labels) -> str:
    return f" with {label_text(asked)}" if asked else ""


def _mend(demand: Demand) -> str:
    if demand.labels is None:
        return f"start such a node, or remove the label {ROLE} from all"
    section = demand.settings.partition(".")[0]
    key = "cluster.group_worker_selector" if demand.role == "steady" else f"{section}.label_selector"
    return f"change {key}, or leave it out"


def _labels_there(nodes: Sequence[Node]) -> str:
    there = sorted({label_text({key: value}) for node in nodes for key, value in node.labels.items() if _own(key)})
    return f"none has; there are nodes with {', '.join(there)}" if there else "no node has labels"


def _own(key: str) -> bool:
    """Of a label that a person gave: the others are Ray's, and the cloud's."""
    return not key.startswith("ray.io/")


def label_text(labels: Labels) -> str:
    """Such as ``role=trainer``."""
    return ", ".join(f"{key}={value}" for key, value in labels.items())


def amounts_text(amounts: Amounts) -> str:
    """Such as ``8 CPU, 1 GPU``."""
    return ", ".join(f"{amounts[name]:g} {name}" for name in ("CPU", "GPU") if amounts.get(name)) or "nothing"


def nodes_text(nodes: Sequence[Node]) -> str:
    """Such as ``1 x 16 CPU; 2 x 192 CPU, 8 GPU``: equal ones counted."""
    kinds = Counter(amounts_text(node.resources) for node in nodes)
    return "; ".join(f"{count} x {kind}" for kind, count in kinds.items()) or "no node"


def placement_lines(
    demands: Sequence[Demand], nodes: Sequence[Node], known: Sequence[Node] | None = None
) -> Iterator[str]:
    """What goes where, for the console; nothing of one node alone, or where there is no room.

    Takes what ``place`` takes.
    """
    placement = place(demands, nodes, known)
    if placement is None or len(nodes) < 2:
        return
    if not any(ROLE in node.labels for node in known or nodes) and not any(demand.labels for demand in demands):
        yield (
            f"{len(nodes)} nodes without the label {ROLE}: Ray puts trainer and replicas wherever there is room; label "
            f"nodes {ROLE}=trainer and {ROLE}=rollout to keep them apart"
        )
        return
    yield from _by_node(placement)


def _by_node(placement: Placement) -> Iterator[str]:
    """A line a node; equal ones in one line, and nothing of those that get nothing."""
    told: dict[str, list[str]] = {}
    for node, counts in placement:
        if counts:
            parts = ", ".join(f"{count} {what}{'s' if count > 1 else ''}" for what, count in counts.items())
            told.setdefault(f"({_described(node)}): {parts}", []).append(node.name)
    for words, names in told.items():
        shown = ", ".join(names[:3]) + (f" and {len(names) - 3} more" if len(names) > 3 else "")
        yield f"{shown} {words}"


def _described(node: Node) -> str:
    own = {key: value for key, value in node.labels.items() if key == ROLE}
    return ", ".join([amounts_text(node.resources), *([label_text(own)] if own else [])])
