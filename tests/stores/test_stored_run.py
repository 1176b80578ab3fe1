"""A run goes on from its object store, on another machine, from what is complete there and from nothing else."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError, dump, resolve
from raysgpo.output import checkpoint
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.run_lock import RunLock
from raysgpo.start.resume import auto_resumed, hold_resumed, open_folder, resume_config, resume_words, start_state
from raysgpo.stores import claim as claim_file
from raysgpo.stores.claim import Claim
from raysgpo.stores.object_store import ObjectStore, StoreFailed
from raysgpo.stores.stored_checkpoints import StoredCheckpoints
from raysgpo.stores.stored_model import CONFIG, LISTING, fetch_here, fetch_model, put_model
from raysgpo.stores.stored_records import StoredRecords
from raysgpo.stores.stored_run import StoredRun, check_store
from tests.output.checkpoints import write_checkpoint
from tests.stores.s3_server import S3Server


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(claim_file, "SETTLE_SECONDS", 0.0)


@pytest.fixture
def config(store: ObjectStore, tmp_path: Path) -> Config:
    return resolve({}, overrides=["name=run", "steps=9", f"storage={store.url}", f"scratch={tmp_path / 'one'}"])


def write(place: Path) -> None:
    (place / "policy").mkdir()
    for rank in range(2):
        (place / "policy" / f"__{rank}_0.distcp").write_bytes(bytes([rank]) * 1000)
    (place / "policy" / ".metadata").write_bytes(b"metadata")


def save(run: RunFolder, step: int, accuracy: float | None = None, position: int = 0) -> Path:
    """A checkpoint here, with the records of its steps."""
    run.metrics.write_text("".join(f'{{"step": {s}}}\n' for s in range(step)))
    state = {
        "step": step, "position": position or 32 * step, "version": step, "solved": [], "controllers": {},
        "sizes": {run.metrics.name: run.metrics.stat().st_size}, "accuracy": accuracy,
    }  # fmt: skip
    return write_checkpoint(run.checkpoints, step, write, state, keep=9)


def begun(config: Config, *steps: int) -> RunFolder:
    """A run that has sent these checkpoints, and ended."""
    with RunLock(print) as lock:
        run = open_folder(config, lock, print)
        for step in steps:
            save(run, step)
            StoredRun(run, print).send_checkpoint(step)
    return run


def elsewhere(config: Config, tmp_path: Path, words: list[str] | None = None) -> Config:
    """The settings that go on with ``run-001`` on a machine that has nothing of it."""
    scratch = tmp_path / "two"
    return resume_config("run-001", scratch, [*(words or []), f"scratch={scratch}"], config.store)


def said_and_step(config: Config) -> tuple[list[str], int]:
    lines: list[str] = []
    with RunLock(lines.append) as lock:
        hold_resumed(config, lock, lines.append)
        return lines, start_state(config, lines.append).step


def test_a_run_goes_on_where_nothing_of_it_is(config: Config, tmp_path: Path) -> None:
    run = begun(config, 2, 4)
    assert run.path == tmp_path / "one" / "runs" / "run-001" and run.store == f"{config.store}/runs/run-001"
    after = elsewhere(config, tmp_path, ["steps=12"])
    assert (after.resume, after.steps) == (str(tmp_path / "two" / "runs" / "run-001"), 12)
    assert said_and_step(after) == ([], 4)
    there = RunFolder.resumed(after)
    assert there.metrics.read_text() == run.metrics.read_text() and there.config.is_file()
    assert checkpoint.steps(there.checkpoints) == [4], "what is known of the newest, without its large files"
    assert not (there.checkpoints / "step-000004" / "policy" / "__0_0.distcp").exists()
    place = StoredCheckpoints(there).fetch(4)
    assert checkpoint.newest_complete(there.checkpoints) == (place, [])
    assert (place / "policy" / "__1_0.distcp").read_bytes() == bytes([1]) * 1000


def test_the_local_folder_of_the_last_holder_is_taken_and_what_it_has_more_is_sent(config: Config) -> None:
    run = begun(config, 2)
    save(run, 4)
    StoredRecords(run).put({run.metrics.name: run.metrics.stat().st_size})
    after = config.model_copy(update={"resume": str(run.path)})
    assert said_and_step(after) == ([], 4)
    assert StoredCheckpoints(run).steps() == [4, 2]


def test_a_folder_that_others_have_gone_on_from_elsewhere_is_moved_aside(config: Config, tmp_path: Path) -> None:
    run = begun(config, 2)
    other = elsewhere(config, tmp_path)
    with RunLock(print) as lock:
        hold_resumed(other, lock, print)
        there = RunFolder.resumed(other)
        save(there, 4, position=999)
        StoredRun(there, print).send_checkpoint(4)
    save(run, 6)  # of the way that the other did not go
    lines, step = said_and_step(config.model_copy(update={"resume": str(run.path)}))
    assert step == 4
    assert lines == [f"{run.store} has gone on from elsewhere: what was in {run.path} is now in {run.path}/before-001"]
    assert (run.path / "before-001" / "checkpoints" / "step-000006").is_dir()
    assert checkpoint.read_state(run.checkpoints / "step-000004")["position"] == 999


@pytest.mark.parametrize("missing", ["manifest.json", "state.json", "policy/__1_0.distcp"])
def test_half_of_a_checkpoint_is_never_taken(missing: str, config: Config, tmp_path: Path, store: ObjectStore) -> None:
    begun(config, 2, 4)
    store.remove([f"runs/run-001/checkpoints/step-000004/{missing}"])
    assert said_and_step(elsewhere(config, tmp_path))[1] == 2


def test_a_checkpoint_with_a_file_cut_short_is_never_taken(config: Config, tmp_path: Path, store: ObjectStore) -> None:
    begun(config, 2, 4)
    store.write("runs/run-001/checkpoints/step-000004/policy/__0_0.distcp", b"short")
    store.write("runs/run-001/checkpoints/step-000002/manifest.json", b'{"step": 2, "fil')
    after = elsewhere(config, tmp_path)
    assert said_and_step(after)[1] == 0, "and the one before it has no manifest that can be read"


def test_what_is_surplus_goes_as_on_disk_and_the_best_stays(config: Config) -> None:
    run = begun(config)
    stored = StoredCheckpoints(run)
    for step, accuracy in ((2, 0.9), (4, 0.5), (6, 0.4), (8, None)):
        save(run, step, accuracy)
        StoredRun(run, print).send_checkpoint(step)
    stored.forget(8, keep=2, keep_best=True)
    assert stored.steps() == [8, 6, 2]
    stored.forget(8, keep=1, keep_best=False)
    assert stored.steps() == [8]
    stored.go_back(6)
    assert stored.steps() == []


def test_a_run_that_somebody_works_on_is_refused_from_elsewhere(config: Config, tmp_path: Path) -> None:
    with RunLock(print) as lock:
        run = open_folder(config, lock, print)
        with (
            RunLock(print) as second,
            pytest.raises(ConfigError, match=rf"^{run.store}: process \d+ on .*works on this run; wait for it"),
        ):
            hold_resumed(elsewhere(config, tmp_path), second, print)
        lock.check()
    with RunLock(print) as lock:
        hold_resumed(elsewhere(config, tmp_path), lock, print)


def test_a_holder_on_a_machine_that_is_silent_is_followed_and_notices(
    config: Config, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(claim_file, "LEASE_SECONDS", 0.0)
    monkeypatch.setattr(claim_file, "BEAT_SECONDS", 3600.0)
    run = begun(config)
    first, second = Claim(run, print), Claim(run, lines.append) if (lines := []) is not None else None  # type: ignore[var-annotated]
    assert first.hold() and second is not None
    row = json.loads(ObjectStore(str(run.store)).read("claim.json") or b"")
    row["holder"] |= {"machine": "another", "host": "worker-7", "pid": 7}
    ObjectStore(str(run.store)).write("claim.json", json.dumps(row).encode())
    assert second.hold(), "the same folder"
    assert lines == [
        f"{run.store}: process 7 on worker-7, since {row['holder']['since']} is gone, and this process goes on"
    ]
    monkeypatch.setattr(claim_file, "BEAT_SECONDS", 0.0)
    first._beat()
    with pytest.raises(claim_file.RunTaken, match="another process works on this run"):
        first.check()
    second.release()
    first.release()
    assert json.loads(ObjectStore(str(run.store)).read("claim.json") or b"")["token"] == second._token


def test_numbers_are_those_of_the_store_and_of_this_disk(config: Config, tmp_path: Path) -> None:
    assert begun(config).path.name == "run-001"
    other = config.model_copy(update={"scratch": str(tmp_path / "two")})
    assert begun(other).path.name == "run-002"
    (tmp_path / "one" / "runs" / "run-004").mkdir()
    assert begun(config).path.name == "run-005"


def test_resume_auto_takes_the_newest_of_the_store(config: Config, tmp_path: Path) -> None:
    assert auto_resumed(config) == config
    begun(config)
    begun(config)
    other = config.model_copy(update={"scratch": str(tmp_path / "two")})
    assert auto_resumed(other).resume == str(tmp_path / "two" / "runs" / "run-002")
    assert auto_resumed(config).resume == str(tmp_path / "one" / "runs" / "run-002")
    with pytest.raises(ConfigError, match=f"^resume=auto found {tmp_path}/two/runs/run-002, but seed=5"):
        auto_resumed(other.model_copy(update={"seed": 5}))


def test_a_run_that_is_not_there_lists_those_that_are(config: Config, tmp_path: Path) -> None:
    begun(config)
    with pytest.raises(ConfigError, match=rf"^resume=run-009: no run there.*; {config.store} has run-001$"):
        resume_config("run-009", tmp_path / "two", [], config.store)


def test_the_words_to_go_on_with_name_the_store(config: Config) -> None:
    run = begun(config)
    assert resume_words("train", run, config) == (
        f"train resume=run-001 storage={config.store} scratch={config.storage_root}"
    )


def test_without_permission_a_bucket_or_a_server_the_run_does_not_begin(
    config: Config, server: S3Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    check_store(str(config.store))
    assert ObjectStore(str(config.store)).names() == {}
    with pytest.raises(ConfigError, match=r"^storage=s3://no-bucket/x: there is no such bucket; make it"):
        check_store("s3://no-bucket/x")


@pytest.mark.slow
def test_a_bucket_that_can_only_be_read_is_refused(config: Config, server: S3Server) -> None:
    server.stop()
    server.start("--read-only")
    try:
        with pytest.raises(ConfigError, match=rf"^storage={config.store}: "):
            check_store(str(config.store))
    finally:
        server.stop()
        server.start()


def test_what_has_no_other_way_is_sent_at_the_end(config: Config, store: ObjectStore) -> None:
    run = begun(config)
    for name in ("curves.png", "tensorboard/events.1", "logs/x", "issued/1.pickle", ".hidden", "before-001/old"):
        (run.path / name).parent.mkdir(exist_ok=True)
        (run.path / name).write_text(name)
    run.metrics.write_text('{"step": 0}\n')
    StoredRun(run, print).send_rest()
    names = {name.removeprefix("runs/run-001/") for name in store.names()}
    assert names == {
        "claim.json", "config.yaml", "curves.png", "tensorboard/events.1", f"records/metrics.jsonl/{0:016d}",
    }  # fmt: skip


# --- models ---


@pytest.fixture
def model(tmp_path: Path) -> Path:
    folder = tmp_path / "model"
    (folder / "inner").mkdir(parents=True)
    for name in (CONFIG, "model.safetensors", "inner/more"):
        (folder / name).write_text(name)
    return folder


def contents(folder: Path) -> dict[str, str]:
    files = (file for file in folder.rglob("*") if file.is_file() and file.name != LISTING)
    return {file.relative_to(folder).as_posix(): file.read_text() for file in files}


def test_a_model_is_fetched_once_and_again_where_it_has_changed(
    model: Path, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(model, store, "m")
    folder = fetch_model(f"{store.url}/m", tmp_path / "scratch")
    assert contents(folder) == contents(model)
    with monkeypatch.context() as nothing:
        nothing.setattr(ObjectStore, "download", lambda *_: pytest.fail("it is here"))
        nothing.setattr(ObjectStore, "download_together", lambda *_: pytest.fail("it is here"))
        assert fetch_model(f"{store.url}/m", tmp_path / "scratch") == folder
    (model / "inner" / "more").unlink()
    (model / "new").write_text("something new")
    put_model(model, store, "m")
    assert contents(fetch_model(f"{store.url}/m", tmp_path / "scratch")) == contents(model)


def test_half_of_a_model_is_none(
    model: Path, store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    put_model(model, store, "m")
    upload = ObjectStore.upload

    def broken(self: ObjectStore, files: object) -> None:
        raise StoreFailed("s3://bucket", "gone", True)

    monkeypatch.setattr(ObjectStore, "upload", broken)
    with pytest.raises(StoreFailed):
        put_model(model, store, "m")
    monkeypatch.setattr(ObjectStore, "upload", upload)
    with pytest.raises(ConfigError, match=rf"^model={store.url}/m: there is no config.json, so it is no Hugging Face"):
        fetch_model(f"{store.url}/m", tmp_path / "scratch")


def test_a_node_that_does_not_have_it_fetches_it_where_it_is_loaded(
    model: Path, store: ObjectStore, tmp_path: Path
) -> None:
    put_model(model, store, "m")
    folder = fetch_model(f"{store.url}/m", tmp_path / "scratch")
    shutil.rmtree(folder)
    fetch_here(str(folder))
    assert contents(folder) == contents(model)
    fetch_here(str(model))
    fetch_here("org/name")


def test_the_state_of_a_run_is_that_of_the_store(config: Config, tmp_path: Path) -> None:
    begun(config, 2)
    after = elsewhere(config, tmp_path)
    with RunLock(print) as lock:
        hold_resumed(after, lock, print)
        run = open_folder(after, lock, print)
        assert dump(Config.model_validate(resolve({}, overrides=[]).model_dump()))  # the settings stay readable
        start = start_state(after, print)
    assert (start.step, start.position, start.version, start.sizes) == (2, 64, 2, {"metrics.jsonl": 24})
    assert run.config.read_text() == dump(after.model_copy(update={"resume": None}))
