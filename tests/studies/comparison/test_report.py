"""The report as files: well-formed, complete, and needing nothing beside itself."""

from __future__ import annotations

import base64
import io
import json
import re
from html.parser import HTMLParser
from pathlib import Path

import pytest
from PIL import Image

from raysgpo.studies.comparison.plan import Plan
from raysgpo.studies.comparison.report import number, points, signed, spread_text, write_report
from tests.studies.comparison.synthetic import plan_in, write_all, write_run

pytestmark = pytest.mark.slow

PICTURES = {
    "Held-out accuracy",
    "Difference of held-out accuracy to algorithm=grpo",
    "Held-out accuracy by time",
    "Accuracy of unguided samples",
    "Spread of the advantages",
    "All-negative groups",
    "Reasoning Trajectory Score",
    "Entropy of all answers",
    "Entropy of what was trained on",
    "Clipped tokens",
    "Training problems ever solved",
    "Truncated failures",
    "Logical failures",
    "Groups with gradient per 1,000 sampled tokens",
    "pass@k on held-out prompts",
}
VOID = {"meta", "img", "br", "hr", "input", "link"}


class Strict(HTMLParser):
    """Fails on a tag that is not closed, or closed out of turn; keeps texts and images."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.images: dict[str, str] = {}
        self.texts: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        assert tag not in ("script", "link", "iframe"), tag
        assert not {"href", "srcset", "background"} & set(values), values
        if tag == "img":
            self.images[values["alt"] or ""] = values["src"] or ""
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open and self.open.pop() == tag, tag

    def handle_data(self, data: str) -> None:
        if self.open[-1:] != ["style"]:
            self.texts.append(data)


def parse(file: Path) -> Strict:
    parser = Strict()
    parser.feed(file.read_text(encoding="utf-8"))
    parser.close()
    assert parser.open == []
    return parser


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Plan:
    plan = plan_in(tmp_path_factory.mktemp("report"))
    write_all(plan, {"grpo": 0.3, "sgpo": 0.6})
    write_report(plan)
    return plan


def test_every_picture_is_there_and_is_a_png_of_some_size(plan: Plan) -> None:
    images = parse(plan.folder / "report.html").images
    assert set(images) == PICTURES
    for source in images.values():
        head, _, data = source.partition(",")
        assert head == "data:image/png;base64"
        picture = Image.open(io.BytesIO(base64.b64decode(data, validate=True)))
        picture.load()
        assert picture.format == "PNG" and picture.width > 800 and len(picture.getcolors(10**6) or []) > 20


def test_guided_variants_have_their_own_pictures_and_numbers(tmp_path: Path, plan: Plan) -> None:
    guided = plan_in(tmp_path, "guidance=none,g2rpo_a", seeds="0")
    write_all(guided, {"none": 0.3, "g2rpo_a": 0.6})
    numbers = write_report(guided)["numbers"]
    images = {name.replace("guidance=none", "algorithm=grpo") for name in parse(guided.folder / "report.html").images}
    assert images == PICTURES - {"Reasoning Trajectory Score"} | {"Accuracy of guided samples", "Guidance"}
    for name, mean in (("guidance tokens, first steps", 18), ("guidance tokens, last steps", 3)):
        assert numbers[name]["guidance=none"] is None and numbers[name]["guidance=g2rpo_a"]["mean"] == mean
    plain = json.loads((plan.folder / "report.json").read_text(encoding="utf-8"))["numbers"]
    assert not any("guid" in name for name in plain)


def test_it_refers_to_nothing_outside(plan: Plan) -> None:
    text = (plan.folder / "report.html").read_text(encoding="utf-8")
    without_data = re.sub(r"data:image/png;base64,[A-Za-z0-9+/=]+", "", text)
    assert re.findall(r"https?://|url\(|@import|<script|src=\"(?!\")", without_data) == []


def test_every_number_of_the_summary_stands_on_the_page(plan: Plan) -> None:
    page = " ".join("".join(parse(plan.folder / "report.html").texts).split())
    summary = json.loads((plan.folder / "report.json").read_text(encoding="utf-8"))
    for name, cells in summary["numbers"].items():
        for cell in cells.values():
            assert name in page and spread_text(cell, name) in page
    pair = summary["paired"]["algorithm=sgpo"]
    for mark in pair["milestones"]:
        row = pair["accuracy"][mark["at"]]
        assert f"[{points(row['low'])}, {points(row['high'])}]" in page
    assert "algorithm.partial_credit.kind" in page and "Not finished" not in page


def test_words_of_the_user_are_text_and_not_markup(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, "sampling.stop=['<b>&'],['</table>']", seeds="0")
    for run in plan.runs:
        write_run(plan.run_path(run), run, 0.4)
    write_report(plan)
    assert any("sampling.stop=['</table>']" in text for text in parse(plan.folder / "report.html").texts)


def test_a_comparison_that_has_only_begun_has_a_report_that_says_so(tmp_path: Path) -> None:
    plan = plan_in(tmp_path, seeds="0")
    write_run(plan.run_path(plan.runs[0]), plan.runs[0], 0.4, steps=3)
    write_report(plan)
    page = "".join(parse(plan.folder / "report.html").texts)
    assert "Not finished: algorithm-grpo-seed0, algorithm-sgpo-seed0" in " ".join(page.split())
    assert "there is no seed that both have evaluated yet" in page


def test_a_report_of_nothing_is_one_too(tmp_path: Path) -> None:
    plan = plan_in(tmp_path)
    plan.folder.mkdir(parents=True)
    assert write_report(plan)["runs"] == []
    assert parse(plan.folder / "report.html").images == {}


def test_numbers_are_written_as_people_read_them() -> None:
    assert [number(value) for value in (None, 0.0, 0.12345, 3.14159, 12.34, 1234.5)] == [
        "–",  # noqa: RUF001
        "0",
        "0.123",
        "3.14",
        "12.3",
        "1,234",
    ]
    assert number(0.4567, "held-out accuracy") == "45.7 %"
    assert spread_text({"mean": 0.5, "std": 0.012, "count": 3}, "pass@4") == "50.0 ± 1.2 %"
    assert spread_text({"mean": 19.63, "std": 0.589, "count": 2}, "steps to target") == "19.6 ± 0.6"
    assert spread_text({"mean": 7.0, "std": None, "count": 1}, "steps to target") == "7.00"
    assert (points(-0.0712), signed(3.25)) == ("−7.1", "+3.2")  # noqa: RUF001
