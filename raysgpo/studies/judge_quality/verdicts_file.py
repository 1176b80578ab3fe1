"""What judges said, on disk as they say it: what is there is not asked again.

    {"judge": "5c0f...", "row": "91be...", "id": "gsm8k-7", "votes": [2], "said": ["... \\\\boxed{3}"], ...}

A line a row and judge, each known by the digest of what the judge is shown and of the settings by which it answers. So
rows and judges may be added, and of a file whose rows were changed the changed ones alone are asked anew. A row that
lost a vote to a time-out or to an error was not judged, and is asked again.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from pathlib import Path

from raysgpo.config import JudgeConfig
from raysgpo.judging.judge import Failure
from raysgpo.output.json_lines import JsonLines, Row, read_rows
from raysgpo.studies.judge_quality.labelled import LabelledRow
from raysgpo.studies.judge_quality.quality import Scored

HOW = (
    "required epochs steps deadline call_deadline retries concurrency max_calls max_run_tokens api_key_env replicas "
    "cpus gpus label_selector threads engine_process max_model_len kv_cache_gib start_deadline"
)
"""Settings of how a judge is asked, or served, or how often: its answers are the same."""
FIELDS = {"judge", "row", "votes", "said", "seconds", "tokens", "lost"}
NOT_JUDGED = (Failure.TIMEOUT, Failure.ERROR)


def judge_digest(judge: JudgeConfig) -> str:
    """Of the settings that its answers follow from."""
    tree = {key: value for key, value in judge.model_dump(mode="json").items() if key not in HOW.split()}
    return hashlib.sha256(json.dumps(tree, sort_keys=True).encode()).hexdigest()[:16]


class VerdictsFile:
    """For one process at a time."""

    def __init__(self, path: Path) -> None:
        """Raises:
        WriteFailed: the file cannot be made.
        ValueError: it is there and holds something else.
        """
        self._kept: dict[tuple[str, str], Row] = {}
        for line in read_rows(path):
            if FIELDS - line.keys():
                raise ValueError(f"{path}: no file of verdicts: move it, or give another --out")
            self._kept[line["judge"], line["row"]] = line
        self._lines = JsonLines(path)

    def kept(self, judge: JudgeConfig, rows: Sequence[LabelledRow]) -> list[Scored]:
        """What this judge said of these rows before."""
        digest = judge_digest(judge)
        found = [(row, self._kept.get((digest, row.digest))) for row in rows]
        return [_scored(row, line) for row, line in found if line is not None and _was_judged(line)]

    def add(self, judge: JudgeConfig, scored: Scored) -> None:
        """Raises WriteFailed: there was no room for it."""
        self._lines.write(
            {
                "judge": judge_digest(judge),
                "row": scored.row.digest,
                "id": scored.row.problem.id,
                "votes": list(scored.votes),
                "said": list(scored.said),
                "seconds": scored.seconds,
                "tokens": scored.tokens,
                "lost": scored.lost,
            }
        )


def _was_judged(line: Row) -> bool:
    return not any(line["lost"][failure.value] for failure in NOT_JUDGED)


def _scored(row: LabelledRow, line: Row) -> Scored:
    return Scored(row, tuple(line["votes"]), line["seconds"], line["tokens"], line["lost"], tuple(line["said"]))
