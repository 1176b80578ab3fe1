"""What a Hugging Face folder holds beside its weights: configuration, tokenizer, settings of generation."""

from __future__ import annotations

import contextlib
import shutil
from pathlib import Path

from transformers import AutoTokenizer
from transformers.utils import CONFIG_NAME, GENERATION_CONFIG_NAME, cached_file

TOKENIZER_FILES = (
    "tokenizer*",
    "vocab*",
    "merges.txt",
    "special_tokens_map.json",
    "added_tokens.json",
    "chat_template*",
    "*.tiktoken",
    "*.model",
)


def write_model_files(source: str, folder: Path) -> None:
    """Byte for byte from a folder; from a hub name by way of transformers."""
    folder.mkdir(parents=True, exist_ok=True)
    if not Path(source).is_dir():
        AutoTokenizer.from_pretrained(source).save_pretrained(folder)
        shutil.copyfile(cached_file(source, CONFIG_NAME), folder / CONFIG_NAME)
        with contextlib.suppress(OSError):  # it has none
            shutil.copyfile(cached_file(source, GENERATION_CONFIG_NAME), folder / GENERATION_CONFIG_NAME)
        return
    for pattern in (CONFIG_NAME, *TOKENIZER_FILES, GENERATION_CONFIG_NAME):
        for file in Path(source).glob(pattern):
            if file.is_file():
                shutil.copyfile(file, folder / file.name)
