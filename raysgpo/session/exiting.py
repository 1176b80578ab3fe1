"""How a command ends: an exit status, and a word on what went wrong."""

from __future__ import annotations

import sys
import traceback
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from raysgpo.config.overrides import ConfigError
from raysgpo.output.exit_status import DONE, FAILED, STOPPED, WRONG_SETTING
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import WriteFailed
from raysgpo.training.thread import root_cause


class RunFailed(Exception):
    """A run that failed and has told why."""


@dataclass(slots=True)
class Exit:
    """The console, whatever becomes of standard output, and the exit status."""

    out: TextIO
    status: int = DONE
    folder: Path | None = None
    """Of the run, once it has one."""
    error: ConfigError | None = None
    """The setting that was wrong."""

    def say(self, line: str) -> None:
        print(line, file=self.out, flush=True)


@contextmanager
def exiting() -> Iterator[Exit]:
    """The body of a command. A wrong setting, a failure that was told, and Ctrl-C become exit statuses."""
    end = Exit(sys.stdout)
    try:
        yield end
    except ConfigError as error:
        print(f"error: {error}", file=sys.stderr)
        end.status, end.error = WRONG_SETTING, error
    except WriteFailed as error:
        print(f"error: {error}", file=sys.stderr)
        end.status = FAILED
    except RunFailed:
        end.status = FAILED
    except KeyboardInterrupt:
        end.say("stopped at once; what the last checkpoint holds can be resumed")
        end.status = STOPPED


@contextmanager
def telling_failures(run: RunFolder, go_on: str, say: Callable[[str], None]) -> Iterator[None]:
    """A failure is told, with the words to go on, and its trace kept.

    Raises:
        RunFailed: in the place of what was raised.
    """
    try:
        yield
    except ConfigError:
        raise
    except Exception as error:  # the top of the program: say why, keep the trace, end in order
        with suppress(OSError):  # the disk may be what failed
            (run.path / "error.txt").write_text("".join(traceback.format_exception(error)))
        say(f"failed: {root_cause(error)}")
        say(f"trace: {run.path / 'error.txt'}; log files: {run.path / 'logs'}")
        say(f"go on from the last checkpoint: {go_on}")
        raise RunFailed from error
