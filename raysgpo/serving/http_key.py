"""A key before Ray Serve's HTTP proxies, which have none of their own: whoever reaches a port would reach the judge.

Ray Serve asks :func:`require_key` what stands before its proxies where the environment says so (``CALLBACK``), as it
does in every run. Judge replicas of a run have the cluster's own key, which the head keeps and tells who may speak to
the cluster. A judge for others has the one in the environment variable ``RAYSGPO_SERVE_KEY``; a client sends it as to
any OpenAI-compatible server (``judge.api_key_env``).
"""

from __future__ import annotations

import hmac
import os
import secrets

import ray
from ray.experimental.internal_kv import _internal_kv_get, _internal_kv_put
from starlette.middleware import Middleware
from starlette.responses import JSONResponse
from starlette.types import ASGIApp, Receive, Scope, Send

VARIABLE = "RAYSGPO_SERVE_KEY"
CALLBACK = {"RAY_SERVE_HTTP_PROXY_CALLBACK_IMPORT_PATH": "raysgpo.serving.http_key.require_key"}
"""Of the environment of Serve's proxies."""
PLACE = b"raysgpo/serve-key"
"""Where the head keeps the cluster's key."""
OPEN = ("/-/healthz",)
"""What Kubernetes and load balancers ask, with no key."""


def require_key() -> list[Middleware]:
    """Raises ValueError: there is no key; the proxies do not start then, where they would be open otherwise."""
    key = os.environ.get(VARIABLE, "").strip()
    if not key and VARIABLE not in os.environ and ray.is_initialized():
        key = cluster_key()
    if not key:
        raise ValueError(f"{VARIABLE} is not set: export the key that clients of Ray Serve shall send")
    return [Middleware(KeyGuard, key=key)]


def cluster_key() -> str:
    """The key of the proxies of this cluster, made by whoever asks first."""
    _internal_kv_put(PLACE, secrets.token_hex(32).encode(), overwrite=False)
    return str(_internal_kv_get(PLACE).decode())


class KeyGuard:
    """Lets through what sends ``Authorization: Bearer KEY``; all else gets 401."""

    def __init__(self, app: ASGIApp, key: str) -> None:
        self._app = app
        self._expected = f"Bearer {key}".encode()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] in ("http", "websocket") and scope["path"] not in OPEN and not self._has_key(scope):
            if scope["type"] == "websocket":
                await send({"type": "websocket.close", "code": 1008})
                return
            refused = {"error": {"message": "a key is wanted: Authorization: Bearer KEY", "type": "invalid_api_key"}}
            await JSONResponse(refused, 401)(scope, receive, send)
            return
        await self._app(scope, receive, send)

    def _has_key(self, scope: Scope) -> bool:
        sent = [value for name, value in scope["headers"] if name == b"authorization"]
        return len(sent) == 1 and hmac.compare_digest(sent[0], self._expected)
