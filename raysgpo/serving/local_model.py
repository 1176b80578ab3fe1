"""Spares a judge replica the download of a model that lies in a folder.

``ray.serve.llm`` looks for the model's files by a task on the node of the replica, which has to load
vLLM first: ten seconds on a laptop, to find that a folder needs no download.
"""

from __future__ import annotations

from ray.llm._internal.common.callbacks.base import CallbackBase


class LocalModel(CallbackBase):  # type: ignore[misc]
    """Named as ``callback_class`` of ``ray.serve.llm.LLMConfig``."""

    async def on_before_node_init(self) -> None:
        assert hasattr(self.ctx, "run_init_node"), "ray.serve.llm leaves the download out in another way now"
        self.ctx.run_init_node = False
