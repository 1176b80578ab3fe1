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
from tests.studies.comparison.synthetic import plan_in, write_all
from tests.studies.comparison.test_report import PICTURES

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
    line = [sys.executable, str(BROWSER), str(plan.folder / "report.html"), str(picture)]
    result = subprocess.run(line, capture_output=True, text=True, timeout=180)
    assert result.returncode == 0, result.stderr
    return json.loads(result.stdout.splitlines()[-1]), picture


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
