"""Train workers without a place: a word after a minute, an end after the nodes' own deadline."""

from __future__ import annotations

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import resolve
from raysgpo.planning.placement import Node
from raysgpo.training.absence import WORD, Absence
from tests.resolved import resolved


class Missing:
    def __init__(self, *words: str) -> None:
        self.said: list[str] = []
        self.time = 0.0
        self.free = [Node("n", {"CPU": 1.0})]
        config = resolved(resolve(Config(), overrides=["trainer.workers=2", "trainer.cpus=1", *words]))
        self.absence = Absence(config, self.said.append, lambda: self.free, lambda: self.time)

    def look(self, time: float, alive: int = 0) -> None:
        self.time = time
        self.absence.look(alive)


def test_a_word_once_and_again_after_they_came_and_went() -> None:
    missing = Missing()
    for time in (0.0, WORD - 1, WORD, 2 * WORD):
        missing.look(time)
    assert missing.said == [
        "waiting for room for the train workers: 2 of 1 CPU each are needed, and what is free on the nodes is enough "
        "for 1"
    ]
    missing.look(3 * WORD, alive=2)
    missing.look(3 * WORD + 1)
    missing.look(5 * WORD)
    assert len(missing.said) == 2


def test_workers_with_room_are_on_their_way() -> None:
    missing = Missing("trainer.workers=[1,2]")
    missing.look(0.0)
    missing.look(1e6)
    assert not missing.said


def test_the_run_ends_at_the_deadline_of_the_nodes_with_the_labels() -> None:
    missing = Missing("cluster.node_deadline=100", "trainer.label_selector={role: trainer}")
    missing.look(0.0)
    with pytest.raises(RuntimeError, match=r"nodes with role=trainer is enough for 0, for 101 s \(cluster.node_dead"):
        missing.look(101.0)
