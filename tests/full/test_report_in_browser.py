"""The report as a person sees it: in a real browser, every picture decoded, nothing fetched, nothing cut off."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import pytest
from PIL import Image

from raysgpo.studies.comparison.report import write_report
from raysgpo.studies.reports.places import Places, written_report
from tests.studies.comparison.synthetic import plan_in, write_all
from tests.studies.comparison.test_report import PICTURES
from tests.studies.reports.evaluated import write_evaluation
from tests.studies.reports.records import write_groups

pytestmark = [
    pytest.mark.full,
    pytest.mark.skipif(find_spec("PyQt6") is None, reason="no browser: make browser installs one"),
]

BROWSER = Path(__file__).parents[1] / "studies" / "comparison" / "browser.py"


@pytest.fixture(scope="module")
def seen(tmp_path_factory: pytest.TempPathFactory) -> tuple[dict[str, Any], Path]:
    """What the browser found, and its screenshot from the top to the first curves."""
    folder = tmp_path_factory.mktemp("browser")
    plan = plan_in(folder, "algorithm=grpo,sgpo")
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    write_report(plan)
    picture = folder / "screenshot.png"
    return opened(plan.folder / "report.html", picture), picture


def opened(page: Path, picture: Path) -> dict[str, Any]:
    """What the browser found on a page; its screenshot is at ``picture``."""
    line = [sys.executable, str(BROWSER), str(page), str(picture)]
    result = subprocess.run(line, capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr
    found: dict[str, Any] = json.loads(result.stdout.splitlines()[-1])
    return found


def test_the_page_is_laid_out_with_every_section_and_nothing_cut_off(seen: tuple[dict[str, Any], Path]) -> None:
    found, _ = seen
    assert found["title"] == "arithmetic-algorithm"
    assert found["headings"] == [
        "What was learned?",
        "Does it help?",
        "Means over seeds",
        "Curves",
        "Solved by one and not by the other",
        "Settings",
    ]
    assert found["numbers"] > 20 and found["overflow"] <= 0 and found["clipped"] == []


def test_every_picture_is_decoded_and_shown_at_its_proportions(seen: tuple[dict[str, Any], Path]) -> None:
    found, _ = seen
    assert {image["name"] for image in found["images"]} == PICTURES
    for image in found["images"]:
        assert image["complete"] and image["natural"] > 800, image["name"]
        assert image["width"] > 300 and 1.5 < image["width"] / image["height"] < 2.1, image["name"]


def test_the_browser_asks_for_nothing_but_the_page_and_complains_of_nothing(seen: tuple[dict[str, Any], Path]) -> None:
    found, _ = seen
    assert [url.rpartition("/")[2] for url in found["requests"]] == ["report.html"]
    assert found["complaints"] == []


def test_a_difference_that_excludes_zero_is_marked_in_colour(seen: tuple[dict[str, Any], Path]) -> None:
    found, _ = seen
    yes = [row for row in found["verdict"] if row.rstrip().endswith("yes")]
    assert len(yes) == len(found["colors"]) >= 2
    assert set(found["colors"]) == {"rgb(0, 115, 79)"}


def test_the_screenshot_shows_the_curves_in_the_variants_colours(seen: tuple[dict[str, Any], Path]) -> None:
    found, picture = seen
    image = Image.open(picture).convert("RGB")
    assert image.size == (1200, 3000) and found["height"] > image.height
    counts = {color: count for count, color in image.getcolors(image.width * image.height) or []}
    for color in ((0x00, 0x72, 0xB2), (0xD5, 0x5E, 0x00)):
        assert counts.get(color, 0) > 200, "a variant's line is on the page"


def whole(found: dict[str, Any], name: str) -> None:
    """Every picture is there, nothing is cut off, fetched or complained of."""
    assert all(image["complete"] and image["natural"] > 700 for image in found["images"])
    assert found["overflow"] <= 0 and found["clipped"] == [] and found["complaints"] == []
    assert [url.rpartition("/")[2] for url in found["requests"]] == [name]


def test_the_report_of_an_evaluation_is_whole_beside_the_paper(tmp_path: Path) -> None:
    sets = "kaoyan gradeschool math500 olympiadbench chmath24 aime25 aime24 gaokao amc23".split()
    answers = {name: {str(n): [n % 2 == 0, n % 3 == 0] for n in range(10)} for name in sets}
    models = {"a": answers, "b": {**answers, "aime24": {str(n): [n < 7, False] for n in range(10)}}}
    folder = write_evaluation(tmp_path / "seven-001", models, {str(n): str(n % 5 + 1) for n in range(10)})
    methods = ["GRPO: a", "SGPO+QwQ-32B w/o {beta, gamma}: b"]
    paper = "sgpo_table_2:DeepSeek-R1-Distill-Qwen-7B"
    page = written_report(Places.named([str(folder)], tmp_path), paper, methods, None, 1, None)
    found = opened(page, tmp_path / "screenshot.png")
    whole(found, "report.html")
    assert found["headings"][:2] == ["Accuracy by set", "Solved by one and not by the other"]
    assert {"Accuracy by set", "math500 by level"} <= {image["name"] for image in found["images"]}


def test_the_sampled_answers_of_a_run_are_whole_and_in_their_colours(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, "algorithm=grpo,sgpo", words=("task.prompts=16",), seeds="0")
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    folder = write_groups(plan)
    page = written_report(Places.named([str(folder.path)], tmp_path), None, [], None, 1, None)
    found = opened(page, tmp_path / "screenshot.png")
    whole(found, "report.html")
    assert found["headings"] == ["At a glance", "Sampled answers", "Over epochs"]
    image = Image.open(tmp_path / "screenshot.png").convert("RGB")
    counts = {color: count for count, color in image.getcolors(image.width * image.height) or []}
    for what, color in (("the first error", (0xFD, 0xEE, 0xE6)), ("guidance", (0xE3, 0xEC, 0xFA))):
        assert counts.get(color, 0) > 100, f"{what} is on the page"
