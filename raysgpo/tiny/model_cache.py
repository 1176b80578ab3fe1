"""Made models in a folder: each is made once and is there whole or not at all."""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path
from types import ModuleType

from raysgpo.config import Section


def find_or_make(target: Path, make: Callable[[Path], None]) -> Path:
    """``target``, made now unless it is there: ``make`` fills a folder beside it that is then renamed."""
    if target.is_dir():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    building = Path(tempfile.mkdtemp(prefix=".building-", dir=target.parent))
    try:
        make(building)
        building.chmod(0o755)
        building.rename(target)
    except OSError:
        if not target.is_dir():  # otherwise another process finished the same model first
            raise
    finally:
        shutil.rmtree(building, ignore_errors=True)
    return target


def fingerprint(settings: Section, sources: Sequence[ModuleType]) -> str:
    """Twelve hex digits of the settings and of the source files that turn them into weights."""
    digest = hashlib.sha256(json.dumps(settings.model_dump(mode="json"), sort_keys=True).encode())
    for module in sources:
        assert module.__file__ is not None, f"{module.__name__} has no source file"
        digest.update(Path(module.__file__).read_bytes())
    return digest.hexdigest()[:12]
