"""Groups of a run that a page has trouble with: a guided answer, words that look like markup."""

from __future__ import annotations

from typing import Any

from raysgpo.output.group_json import group_row
from raysgpo.output.json_lines import JsonLines
from raysgpo.output.run_folder import RunFolder
from raysgpo.records import Verdict
from raysgpo.studies.comparison.plan import Plan
from tests.conftest import build_group, build_rollout


def write_groups(plan: Plan) -> RunFolder:
    """Records of the first run, a judged group with words of a model that look like markup among them."""
    folder = RunFolder(plan.run_path(plan.runs[0]))
    groups = JsonLines(folder.groups)
    text = "1+1=<b>3</b>\n```\n| 3"
    steps: dict[str, Any] = {"reasoning_steps": 3, "step_tokens": (1, 1, 1), "guidance_characters": 3}
    judged = build_rollout(text, verdict=Verdict.ERROR, first_error=0, votes=(0, 0, 1), rts=0.0, **steps)
    groups.write(group_row(build_group(0, [judged, judged], judged=True)))
    groups.write(group_row(build_group(1, [build_rollout("2", correct=True), build_rollout("3")], step=19)))
    groups.close()
    return folder
