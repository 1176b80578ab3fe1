"""A judge replica: vLLM's own OpenAI-compatible server as a Ray Serve deployment.

Engine, server and HTTP are one process; the core with the model is in it too, or beside it
(``judge.engine_process``). (``ray.serve.llm`` has an ingress of its own, a
worker process for each engine and an actor for usage statistics: 28 s of CPU more to start, on a laptop.)
"""

from __future__ import annotations

from typing import Any

from starlette.types import ASGIApp

from raysgpo.serving.engine_core import start_engine


class JudgeServer:
    """To be wrapped by ``serve.ingress()``."""

    async def __init__(self, arguments: dict[str, Any], core_process: bool) -> None:  # type: ignore[misc]  # Serve awaits it
        """``arguments``: vLLM's, of its engine and of its server, by their names."""
        from vllm import AsyncEngineArgs
        from vllm.entrypoints.launchers.api_server.app_state import init_app_state
        from vllm.entrypoints.launchers.app import build_app
        from vllm.entrypoints.launchers.cli_args import make_arg_parser
        from vllm.utils.argparse_utils import FlexibleArgumentParser

        options = make_arg_parser(FlexibleArgumentParser()).parse_args([])
        for name, value in arguments.items():
            setattr(options, name, value)
        self._llm = start_engine(AsyncEngineArgs.from_cli_args(options), core_process)
        tasks = await self._llm.get_supported_tasks()
        self._app = build_app(options, tasks, self._llm.model_config)
        await init_app_state(self._llm, self._app.state, options, tasks)

    def __serve_build_asgi_app__(self) -> ASGIApp:
        return self._app

    async def check_health(self) -> None:
        """Raises if the engine died."""
        await self._llm.check_health()

    def __del__(self) -> None:
        if hasattr(self, "_llm"):
            self._llm.shutdown()
