"""What a signal does to a run: this process gets it, where no run is."""

from __future__ import annotations

import io
import signal

import pytest

from raysgpo.output.console import Console
from raysgpo.session.interrupts import Interrupts, interruptible


@pytest.mark.parametrize(("number", "name"), [(signal.SIGINT, "Ctrl-C"), (signal.SIGTERM, "SIGTERM")])
def test_the_first_ends_the_step_and_the_second_the_run(number: signal.Signals, name: str) -> None:
    out = io.StringIO()
    with interruptible(Console(10, 0, out).say) as interrupts:
        assert interrupts.count == 0
        signal.raise_signal(number)
        assert interrupts.count == 1
        assert out.getvalue() == f"stopping after this step, with a checkpoint ({name} again to stop at once)\n"
        with pytest.raises(KeyboardInterrupt):
            signal.raise_signal(number)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_afterwards_signals_mean_what_they_meant_before(number: signal.Signals) -> None:
    before = signal.getsignal(number)
    with interruptible(Console(10, 0, io.StringIO()).say) as interrupts:
        assert isinstance(signal.getsignal(number), Interrupts) and signal.getsignal(number) is interrupts
    assert signal.getsignal(number) is before


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_while_a_run_starts_the_first_ends_it_and_later_it_ends_the_step(number: signal.Signals) -> None:
    out = io.StringIO()
    with (
        interruptible(Console(10, 0, out).say) as interrupts,
        pytest.raises(KeyboardInterrupt),
        interrupts.at_once(),
    ):
        signal.raise_signal(number)
    assert out.getvalue().startswith("stopping what has started (")
    with interruptible(Console(10, 0, out).say) as interrupts:
        with interrupts.at_once():
            pass
        signal.raise_signal(number)
        assert interrupts.count == 1 and "stopping after this step" in out.getvalue()
