"""Objects of a real S3 server: whole or absent; each error one line that says what to do."""

from __future__ import annotations

import os
import pickle
import socket
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from raysgpo.stores import object_store
from raysgpo.stores.object_store import ObjectStore, StoreFailed, patiently
from tests.stores.s3_server import S3Server

DENIED = b"""<?xml version="1.0" encoding="UTF-8"?>
<Error><Code>AccessDenied</Code><Message>Access Denied</Message></Error>"""


class Denying(BaseHTTPRequestHandler):
    """What Amazon S3 says to whoever may not write."""

    def _deny(self) -> None:
        self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.send_response(403)
        self.send_header("Content-Type", "application/xml")
        self.send_header("Content-Length", str(len(DENIED)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(DENIED)

    do_PUT = do_POST = do_GET = do_HEAD = do_DELETE = _deny

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def denying(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    with ThreadingHTTPServer(("127.0.0.1", 0), Denying) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{server.server_port}")
        yield
        server.shutdown()


def failure(store: ObjectStore) -> StoreFailed:
    with pytest.raises(StoreFailed) as caught:
        store.write("a/b", b"x")
    assert "\n" not in str(caught.value)
    assert str(pickle.loads(pickle.dumps(caught.value))) == str(caught.value)
    return caught.value


def test_what_is_written_is_read_listed_and_removed(store: ObjectStore, folder: Path) -> None:
    assert store.names() == {} and store.read("a/one") is None and store.folders("a") == []
    store.write("a/one", b"1")
    store.write("a/b/two", b"")
    assert store.names() == {"a/one": 1, "a/b/two": 0} and store.folders("") == ["a"] and store.folders("a") == ["b"]
    assert store.names("a/b") == {"a/b/two": 0}
    store.write("a/one", b"11")
    assert store.read("a/one") == b"11" == (folder / "a" / "one").read_bytes()
    store.remove(["a/one", "not/there"])
    assert store.read("a/one") is None


def test_files_of_more_than_one_part_come_back_as_they_were(store: ObjectStore, tmp_path: Path) -> None:
    sizes = {"none": 0, "small": 10, "parts": 2 * object_store.BLOCK + 3}
    for name, size in sizes.items():
        (tmp_path / name).write_bytes(os.urandom(size))
    store.upload((tmp_path / name, f"in/{name}") for name in sizes)
    assert store.names() == {f"in/{name}": size for name, size in sizes.items()}
    store.download((f"in/{name}", tmp_path / "back" / name) for name in sizes)
    for name in sizes:
        assert (tmp_path / "back" / name).read_bytes() == (tmp_path / name).read_bytes()
    assert sorted(file.name for file in (tmp_path / "back").iterdir()) == sorted(sizes)


def test_a_file_that_is_not_there_is_neither_here_nor_there(store: ObjectStore, tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        store.upload([(tmp_path / "none", "none")])
    with pytest.raises(StoreFailed, match=r"place-[0-9]+/none: there is no such object$"):
        store.download([("none", tmp_path / "none")])
    assert store.names() == {} and list(tmp_path.iterdir()) == []


def test_an_upload_that_breaks_leaves_nothing(
    store: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_bytes(bytes(3 * object_store.BLOCK))

    def breaking(source: object, size: int) -> Iterator[bytes]:
        yield bytes(object_store.BLOCK)
        raise OSError("the disk has failed")

    monkeypatch.setattr(object_store, "_blocks", breaking)
    with pytest.raises(OSError, match="the disk has failed"):
        store.upload([(tmp_path / "file", "file")])
    assert store.names() == {}


def test_no_such_bucket() -> None:
    error = failure(ObjectStore("s3://no-such-bucket/runs"))
    assert str(error) == "s3://no-such-bucket/runs/a/b: there is no such bucket; make it, or correct the name"
    assert not error.passing


@pytest.mark.parametrize(
    ("name", "value", "why"),
    [
        ("AWS_ACCESS_KEY_ID", "SOMEBODYELSE", "the store does not know the key; correct AWS_ACCESS_KEY_ID"),
        ("AWS_SECRET_ACCESS_KEY", "wrong", "the secret is not the key's; correct AWS_SECRET_ACCESS_KEY"),
    ],
)
def test_a_wrong_key(name: str, value: str, why: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(name, value)
    error = failure(ObjectStore("s3://bucket/x"))
    assert (error.why, error.passing) == (why, False)


def test_no_key_at_all(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    error = failure(ObjectStore("s3://bucket/x"))
    assert "there are no credentials; set AWS_ACCESS_KEY_ID" in str(error) and not error.passing


def test_a_bucket_that_may_not_be_written(denying: None) -> None:
    error = failure(ObjectStore("s3://bucket/x"))
    assert str(error) == (
        "s3://bucket/x/a/b: permission denied; let these credentials list, read, write and delete there"
    )
    assert not error.passing


@pytest.mark.slow
def test_a_server_that_comes_back_is_asked_again_and_each_failure_heard_of(
    store: ObjectStore, server: S3Server
) -> None:
    failures: list[StoreFailed] = []
    server.stop()
    threading.Timer(3.0, server.start).start()
    patiently(lambda: store.write("a", b"1"), 60, failures.append)
    assert store.read("a") == b"1"
    assert failures and all(failure.passing for failure in failures)


def test_one_that_stays_away_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.create_server(("127.0.0.1", 0)) as gone:
        monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://127.0.0.1:{gone.getsockname()[1]}")
    begun, failures = time.monotonic(), list[StoreFailed]()
    with pytest.raises(StoreFailed, match="error sending request"):
        patiently(lambda: ObjectStore("s3://bucket/x").write("a", b"1"), 0.1, failures.append)
    assert len(failures) == 1 and time.monotonic() - begun < 20
