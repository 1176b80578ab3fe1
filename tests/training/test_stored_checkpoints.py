"""How ranks save into an object store while they train: real processes, a real S3 server, one node and several."""

from __future__ import annotations

import shutil
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch

from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder
from raysgpo.stores.object_store import ObjectStore
from raysgpo.stores.stored_checkpoints import StoredCheckpoints
from tests.stores.s3_server import S3Server
from tests.training.conftest import Ranks

pytestmark = pytest.mark.slow

URL = "s3://bucket/runs/run-001"


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    yield server
    server.stop()


@pytest.fixture
def stored(ranks: Ranks, server: S3Server, tmp_path: Path) -> Ranks:
    """As ``ranks``, with the run in the store; ``machine=N`` is one that has nothing of it."""

    def run(world: int, *script: str, **options: Any) -> list[dict[str, Any]]:
        return ranks(world, *script, store=URL, environment=server.environment, **options)

    return run


def steps(folder: Path) -> list[int]:
    return StoredCheckpoints(RunFolder(folder, URL)).steps()


def same(first: dict[str, Any], second: dict[str, Any]) -> bool:
    return first.keys() == second.keys() and all(torch.equal(first[name], second[name]) for name in first)


def lose(folder: Path) -> None:
    """The disk of every machine."""
    for place in (folder, *folder.glob("node-*")):
        shutil.rmtree(place / "checkpoints", ignore_errors=True)


@pytest.mark.parametrize("apart", [False, True])
def test_what_was_saved_is_restored_where_nothing_of_it_is(apart: bool, stored: Ranks, tmp_path: Path) -> None:
    script = ["restore", "update", "weights", "export 3", "finish", "written"]
    first, second = stored(2, *script, apart=apart)
    assert first["found"][0] == 0 and steps(tmp_path) == [3]
    assert first["found"][5]["store/step"] == 3.0 and first["found"][5]["store/failures"] == 0.0
    assert second["found"][5]["store/failures"] == 0.0 and "store/step" not in second["found"][5]
    kinds = [one[0] for one in first["happened"]]
    assert kinds == ["checkpoint_state", "checkpointed"], "nothing went wrong"
    names = ObjectStore(URL).names(f"exports/step-{3:06d}")
    assert {name.rpartition("/")[2] for name in names} >= {"config.json", "model.safetensors", "tokenizer.json"}
    place = tmp_path / "node-0" if apart else tmp_path
    assert not list(place.glob(".sending-*/*")), "no link is left"
    lose(tmp_path)
    for world, elsewhere in ((2, apart), (1, False), (3, True)):
        for rank in stored(world, "trained 3", "restore", "weights", apart=elsewhere):
            assert rank["found"][1] == 3 and same(rank["found"][2], first["found"][2])
        lose(tmp_path)


def test_each_node_keeps_its_own_part_and_fetches_the_others(stored: Ranks, tmp_path: Path) -> None:
    stored(2, "save 3", "finish", apart=True)
    own = {
        rank: {f.name for f in (tmp_path / f"node-{rank}/checkpoints/step-000003/policy").iterdir()} for rank in (0, 1)
    }
    assert own == {0: {".metadata", "__0_0.distcp"}, 1: {"__1_0.distcp"}}
    assert [rank["found"] for rank in stored(2, "restore", apart=True)] == [[3], [3]]
    for rank in (0, 1):
        checkpoints = tmp_path / f"node-{rank}" / "checkpoints"
        assert checkpoint.newest_complete(checkpoints) == (checkpoints / "step-000003", [])


def test_nothing_newer_than_what_is_recorded_is_gone_on_from(stored: Ranks, tmp_path: Path) -> None:
    stored(1, "save 2", "finish", "save 4", "finish")
    assert steps(tmp_path) == [4, 2]
    assert stored(1, "trained 3", "restore")[0]["found"][1] == 2
    found = stored(1, "trained 3", "restore", "save 3", "finish")
    assert found[0]["found"][1] == 2 and steps(tmp_path) == [3, 2], "the way that was gone back on is no longer there"


@pytest.mark.parametrize("apart", [False, True])
def test_a_server_that_dies_in_mid_run_is_counted_and_the_next_checkpoint_sent(
    apart: bool, stored: Ranks, server: S3Server, tmp_path: Path
) -> None:
    def come_back() -> None:
        while not (tmp_path / "down").exists():
            time.sleep(0.05)
        server.start()
        (tmp_path / "down").unlink()

    server.stop()
    threading.Thread(target=come_back, daemon=True).start()
    script = ["unheard 0.5", "save 2", "wait", "written", "ready down", "unheard 60", "save 4", "finish", "written"]
    first, _ = stored(2, *script, apart=apart)
    assert first["found"][3]["store/failures"] >= 1 and "store/step" not in first["found"][3]
    assert first["found"][8]["store/step"] == 4.0
    said = [one[1] for one in first["happened"] if one[0] == "say"]
    assert any("checkpoint step-000002 was not sent: " in line for line in said)
    assert steps(tmp_path) == [4]
    covered = [one[1] for one in first["happened"] if one[0] == "checkpointed"]
    assert covered == ([4] if apart else [2, 4]), "of several nodes, only what the store has is safe"


def test_a_run_whose_store_stays_away_ends_and_says_so(stored: Ranks, server: S3Server, tmp_path: Path) -> None:
    stored(1, "save 2", "finish")
    server.stop()
    [only] = stored(1, "unheard 0.2", "restore", "save 4", "finish")
    assert only["found"][1:] == [2, None, None]
    said = [one[1] for one in only["happened"] if one[0] == "say"]
    assert any("the checkpoints of the store cannot be looked at" in line for line in said)
    assert checkpoint.steps(tmp_path / "checkpoints") == [4, 2]
    server.start()
    assert steps(tmp_path) == [2]
    assert stored(1, "restore")[0]["found"] == [4], "what is on disk is newer"
