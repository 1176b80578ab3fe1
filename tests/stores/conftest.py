"""One S3 server for the tests of a module, and what finds it."""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from pathlib import Path

import pytest

from raysgpo.stores.object_store import ObjectStore
from tests.stores.s3_server import S3Server

_number = itertools.count()


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3Server]:
    server = S3Server(tmp_path_factory.mktemp("s3"))
    yield server
    server.stop()


@pytest.fixture(autouse=True)
def environment(server: S3Server, monkeypatch: pytest.MonkeyPatch) -> None:
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)


@pytest.fixture
def store() -> ObjectStore:
    """An empty place."""
    return ObjectStore(f"s3://bucket/place-{next(_number)}")


@pytest.fixture
def folder(store: ObjectStore, server: S3Server) -> Path:
    """The same place as the server's folder."""
    return server.bucket / store.url.rpartition("/")[2]
