"""The report of the data: as comments of ``--dry-run``, and as ``data.json`` in the folder of a run."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from raysgpo.config import Config
from raysgpo.config.overrides import ConfigError
from raysgpo.data.report import DataReport
from raysgpo.data.table_rows import Unreachable
from raysgpo.groups.prepared import Prepared
from raysgpo.output.run_folder import RunFolder
from raysgpo.output.whole_file import write_whole
from raysgpo.tasks.loaded import load_task


def data_comments(config: Config) -> Iterator[str]:
    """Lines that begin with ``#``: what is read of the data, and each row that would not be trained on. None where
    problems are generated; data that is not here yet is no error.

    Raises:
        ConfigError: it is here and cannot be used.
    """
    if config.task.path is None:
        return
    try:
        report = load_task(config).report
    except Unreachable as error:
        yield f"# data is not read: {error}"
        return
    except ValueError as error:
        raise ConfigError(str(error)) from error
    yield f"# {report.line()}"
    yield from (f"#   {' '.join(filter(None, (row.where, row.id)))}: {row.why}" for row in report.left_out)


def write_report(prepared: Prepared, run: RunFolder, say: Callable[[str], None]) -> Prepared:
    """Writes what was read of the data into the run's folder, and says if a resumed run began with other rows.

    Gives what was prepared without the report, for those who go on without it.

    Raises:
        WriteFailed: there is no room.
    """
    report = prepared.report
    if report.sources:
        changed = report.changed(run.data)
        write_whole(run.data, report.text())
        if changed:
            say(f"warning: {' and '.join(changed)} held other rows when the run began: it goes on with other data")
    return replace(prepared, report=DataReport())
