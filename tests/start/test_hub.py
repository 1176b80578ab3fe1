"""A hub that is not there is asked once."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from huggingface_hub import constants

from raysgpo.start import hub


@pytest.fixture(autouse=True)
def asked_anew(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)
    hub.ask_hub.cache_clear()
    yield
    hub.ask_hub.cache_clear()


@pytest.mark.parametrize("there", [True, False])
def test_it_is_asked_once_and_not_again_where_it_is_silent(there: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    asked: list[str] = []

    class Session:
        def head(self, address: str, timeout: float) -> None:
            assert timeout == hub.PATIENCE
            asked.append(address)
            if not there:
                raise OSError("Name or service not known")

    monkeypatch.setattr(hub, "get_session", Session)
    assert [hub.ask_hub(), hub.ask_hub()] == [there, there]
    assert asked == [constants.ENDPOINT] and constants.is_offline_mode() == (not there)
