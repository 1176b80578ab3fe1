"""Nothing reaches an application without the key, whatever is sent in its place."""

from __future__ import annotations

import pytest
from starlette.applications import Starlette
from starlette.responses import PlainTextResponse
from starlette.routing import Route, WebSocketRoute
from starlette.testclient import TestClient
from starlette.websockets import WebSocket, WebSocketDisconnect

from raysgpo.serving.http_key import VARIABLE, require_key

KEY = "sk-0123"


@pytest.fixture
def client(monkeypatch: pytest.MonkeyPatch) -> TestClient:
    monkeypatch.setenv(VARIABLE, f"{KEY}\n")

    async def hello(_: object) -> PlainTextResponse:
        return PlainTextResponse("hello")

    async def socket(websocket: WebSocket) -> None:
        await websocket.accept()
        await websocket.send_text("hello")

    routes = [Route("/v1/models", hello), Route("/-/healthz", hello), Route("/-/routes", hello)]
    return TestClient(Starlette(routes=[*routes, WebSocketRoute("/stream", socket)], middleware=require_key()))


def test_who_sends_the_key_is_answered(client: TestClient) -> None:
    assert client.get("/v1/models", headers={"Authorization": f"Bearer {KEY}"}).text == "hello"


@pytest.mark.parametrize(
    "sent",
    ["", "Bearer", "Bearer ", "Bearer sk-012", f"Bearer {KEY}4", f"bearer {KEY}", KEY, f"Bearer {KEY} ", "Bearer \xe4"],
)
def test_who_sends_anything_else_is_not(client: TestClient, sent: str) -> None:
    answer = client.get("/v1/models", headers=[(b"authorization", sent.encode("latin-1"))])
    assert answer.status_code == 401 and KEY not in answer.text and "Bearer KEY" in answer.text


def test_two_keys_of_which_one_is_right_are_none(client: TestClient) -> None:
    twice = [(b"authorization", b"Bearer x"), (b"authorization", f"Bearer {KEY}".encode())]
    assert client.get("/v1/models", headers=twice).status_code == 401


def test_a_health_check_needs_none_and_nothing_that_looks_like_one_gets_by(client: TestClient) -> None:
    assert client.get("/-/healthz").text == "hello"
    for path in ("/-/routes", "/v1/models?x=/-/healthz", "//-/healthz", "/-/healthz/../../v1/models"):
        assert client.get(path).status_code == 401


def test_a_websocket_needs_it_too(client: TestClient) -> None:
    with pytest.raises(WebSocketDisconnect), client.websocket_connect("/stream"):
        pass
    with client.websocket_connect("/stream", headers={"Authorization": f"Bearer {KEY}"}) as open_one:
        assert open_one.receive_text() == "hello"


@pytest.mark.parametrize("value", [None, "", " \n"])
def test_without_a_key_no_proxy_starts(monkeypatch: pytest.MonkeyPatch, value: str | None) -> None:
    monkeypatch.setattr("ray.is_initialized", lambda: False)
    monkeypatch.delenv(VARIABLE, raising=False)
    if value is not None:
        monkeypatch.setenv(VARIABLE, value)
    with pytest.raises(ValueError, match=f"{VARIABLE} is not set"):
        require_key()
