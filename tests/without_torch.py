"""A pytest plugin, ``-p tests.without_torch``: where torch is not installed, what needs it is skipped."""

from __future__ import annotations

from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

MISSING = ("torch", "vllm")
FOLDERS = ("policy", "training")
"""All of their tests need it, by their conftest."""


def pytest_ignore_collect(collection_path: Path) -> bool | None:
    return True if collection_path.name in FOLDERS and collection_path.parent.name == "tests" else None


def _missing(error: BaseException | None) -> bool:
    """Whether it was raised for want of one of them, itself or what it was raised from."""
    while error is not None:
        if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in MISSING:
            return True
        error = error.__cause__ or error.__context__
    return False


@pytest.hookimpl(wrapper=True)
def pytest_make_collect_report(collector: pytest.Collector) -> Generator[None, pytest.CollectReport, Any]:
    report = yield
    said = str(report.longrepr)
    if report.outcome == "failed" and any(f"No module named '{name}" in said for name in MISSING):
        report.outcome = "skipped"
        report.longrepr = (str(collector.path), 0, "it needs torch")
    return report


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.outcome == "failed" and call.excinfo is not None and _missing(call.excinfo.value):
        report.outcome = "skipped"
        report.longrepr = (str(item.path), 0, "it needs torch")
    return report
