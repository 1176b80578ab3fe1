"""``jobs/evaluate_judge.py`` as a user runs it, against a server that does as it is told."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
import torch

from raysgpo.tiny.tiny_model import build_tiny_model, save_tiny_model
from raysgpo.tiny.tiny_policy import TinyConfig
from tests.judging.asking import closed_port
from tests.judging.judge_server import TOKENS, Exchange, JudgeServer, content, gullible, hang, status

ROOT = Path(__file__).parents[3]
SCRIPT = ROOT / "jobs" / "evaluate_judge.py"
pytestmark = pytest.mark.usefixtures("short_pauses")


@pytest.fixture
def job(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """The entry point as a module."""
    monkeypatch.syspath_prepend(str(ROOT))
    from raysgpo.command import evaluate_judge

    return evaluate_judge


@pytest.fixture
def data(tmp_path: Path) -> str:
    """Eight rows: in six a wrong step (``index 1`` of five, once the last of two), in two none."""
    rows = [_row(f"w{i}", 5, 1, source="first") for i in range(5)] + [_row("last", 2, 1, source="second")]
    rows += [_row(f"r{i}", 4, None, source="second", final_answer_correct=True) for i in range(2)]
    path = tmp_path / "rows.jsonl"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    return str(path)


def _row(name: str, steps: int, first_error: int | None, **fields: Any) -> dict[str, Any]:
    texts = [f"step {i} of {name}" for i in range(steps)]
    return {"id": name, "question": "?", "reference": None, "steps": texts, "first_error": first_error, **fields}


def run(job: ModuleType, monkeypatch: pytest.MonkeyPatch, *words: str) -> int:
    monkeypatch.setattr(sys, "argv", ["evaluate_judge.py", *words])
    return int(job.main())


def endpoint(url: str, **settings: Any) -> list[str]:
    given = {"judge.base_url": url, "judge.model": "judge", "judge.api_key_env": "null", **settings}
    return ["judge=endpoint", *(f"{key}={value}" for key, value in given.items())]


@pytest.mark.slow
def test_a_judge_is_measured_on_every_row(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, judge_server: JudgeServer, data: str, tmp_path: Path
) -> None:
    judge_server.reply, judge_server.latency = gullible(1), 0.02  # always step 2
    out = tmp_path / "report.json"
    words = [data, *endpoint(judge_server.base_url, **{"judge.votes": 2}), "--out", str(out)]
    assert run(job, monkeypatch, *words) == 0
    shown = capsys.readouterr().out
    assert "first error found exactly  100.0 % of 6 [61.0, 100.0]" in shown
    assert "right responses passed     0.0 % of 2 [0.0, 65.8]" in shown
    assert "always index 1 100.0 %, last step 16.7 %, uniform guess 25.0 %" in shown
    assert "agreement of votes         100.0 %" in shown
    report = json.loads(out.read_text())
    assert (report["wrong"]["value"], report["right"]["value"], report["f1"]) == (1, 0, 0)
    assert (report["tokens"]["mean"], report["votes"], len(report["verdicts"])) == (2 * TOKENS, 16, 8)
    assert report["seconds"]["p50"] >= 0.02 and report["wall_seconds"] >= 0.02
    assert report["breakdown"]["source"]["second"]["wrong"]["rows"] == 1
    assert len(judge_server.questions) == 8 * 2 + 1  # one asks whether the judge is there


@pytest.mark.slow
def test_lost_votes_count_as_wrong_and_by_reason(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, judge_server: JudgeServer, data: str
) -> None:
    judge_server.reply = gullible(1)
    judge_server.script(Exchange.answer, status(400), content("I cannot tell."), status(500))
    assert run(job, monkeypatch, data, *endpoint(judge_server.base_url, **{"judge.retries": 0})) == 0
    shown = capsys.readouterr().out
    assert "3 of 8 (1 parse failures, 0 timeouts, 2 errors)" in shown
    found = re.search(r"exactly +([0-9.]+) % of 6", shown)
    # One to three of the three are lost of the six, as the rows are drawn: the others are found.
    assert found and found[1] in ("83.3", "66.7", "50.0")


@pytest.mark.slow
def test_a_judge_that_counts_from_0_is_named_and_not_corrected(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, judge_server: JudgeServer, tmp_path: Path
) -> None:
    """Of a first wrong step 0 its answer names no step: a lost vote. Its text says 0, which counts in the numbering."""
    rows = [_row(f"w{i}", 6, i % 6) for i in range(48)]
    for i, row in enumerate(rows):
        row["steps"][i % 6] = "this is wrong"
    path, out = tmp_path / "rows.jsonl", tmp_path / "report.json"
    path.write_text("\n".join(json.dumps(row) for row in rows))
    judge_server.reply = gullible(lambda steps: steps.index("this is wrong") - 1 if "this is wrong" in steps else 0)
    assert run(job, monkeypatch, str(path), *endpoint(judge_server.base_url), "--out", str(out)) == 0
    shown = capsys.readouterr().out
    assert "first error found exactly  0.0 % of 48" in shown and "8 parse failures" in shown
    near = "48 one early, 0 exact, 0 one late of 48; 0 is said 8 times"
    assert f"numbering of the steps     from 0, see the warning ({near})" in shown
    assert "if it were read so         100.0 % of 48 wrong, - right, F1 -" in shown
    report = json.loads(out.read_text())
    assert (report["numbering"]["shift"], report["wrong"]["value"]) == (-1, 0)
    assert (report["numbering"]["zeros"], report["numbering"]["recounted"]["wrong"]["value"]) == (8, 1)
    assert shown.splitlines()[-1] == report["numbering"]["warning"]
    assert "the judge counts the steps from 0, though it is told to count from 1: in 48 of the 48" in shown


@pytest.mark.slow
def test_a_limit_draws_rows(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, judge_server: JudgeServer, data: str
) -> None:
    assert run(job, monkeypatch, data, "--limit", "3", *endpoint(judge_server.base_url)) == 0
    assert "on 3 rows of" in capsys.readouterr().out
    assert len(judge_server.questions) == 3 + 1


def test_the_rule_judge_is_perfect_on_arithmetic(job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any) -> None:
    assert run(job, monkeypatch, "arithmetic", "judge=rule", "--limit", "64", "task.terms=[3,5]") == 0
    shown = capsys.readouterr().out
    assert "harmonic mean (F1)         100.0 %" in shown and "on 64 rows of arithmetic" in shown


def test_a_judge_that_is_down_ends_with_2(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, data: str
) -> None:
    url = closed_port()
    assert run(job, monkeypatch, data, *endpoint(url, **{"judge.retries": 0})) == 2
    said = capsys.readouterr()
    assert said.out == "" and said.err.startswith(f"error: judge.base_url={url}: no connection")


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["DATA", "judge=rule"], "judge=rule can check chained arithmetic only, not "),
        (["arithmetic", "judge=none"], "judge=none judges nothing"),
        (["arithmetic", "judge=rule", "judge.vote=3"], "judge.vote: unknown key; did you mean judge.votes?"),
        (["arithmetic", "judge=rule", "steps=3"], "steps: has no effect on a judge's measurement"),
        (["arithmetic", "judge=rule", "--out", "/no/such/folder/x.json"], "--out /no/such/folder/x.json: there is no"),
        (["arithmetic", "judge=rule", "--out", "out.txt"], "--out out.txt: name a JSON file, such as out.json"),
        (["arithmetic", "--judge", "rule"], "--judge 'rule': expected key=value words in one pair of quotes"),
        (["arithmetic", "--judge", "a: steps=3"], "--judge 'a: steps=3': steps is no setting of a judge"),
        (
            ["arithmetic", "judge=rule", "--judge", "a: judge.votes=2", "--judge", "a: judge.votes=3"],
            "two judges are called 'a'",
        ),
        (
            ["arithmetic", "judge=rule", "--judge", "a:", "--judge", "b: judge.votes=1"],
            "judges 'a' and 'b' have the same settings: leave out one",
        ),
        (
            ["arithmetic", "judge=rule", "judge.votes=2", "--judge", "a: judge.votes=3"],
            "--judge 'a: judge.votes=3': judge.votes is also set for all judges; leave out one of the two",
        ),
        (
            ["DATA", "--judge", "judge=endpoint judge.base_url=http://h judge.model=m judge.api_key_env=NO_SUCH_KEY"],
            "judge.api_key_env=NO_SUCH_KEY: that environment variable is not set",
        ),
        (["judge=rule", "arithmetic"], "judge=rule: name the data first"),
        (["missing.jsonl", "judge=rule"], "missing.jsonl: there is no such file"),
        (["arithmetic", "judge=replicas", "judge.model=./nowhere"], "judge.model=./nowhere: no such folder"),
    ],
)
def test_what_is_set_wrong_is_said_in_one_line(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, data: str, words: list[str], said: str
) -> None:
    assert run(job, monkeypatch, *(data if word == "DATA" else word for word in words)) == 2
    shown = capsys.readouterr()
    assert shown.out == "" and shown.err.startswith(f"error: {said}") and shown.err.count("\n") == 1


@pytest.mark.parametrize(
    ("words", "kind", "prompt"),
    [
        ([], "replicas", "compact"),
        (["judge.votes=3"], "replicas", "compact"),
        (
            ["judge=endpoint", "judge.base_url=http://h/v1", "judge.model=m", "judge.api_key_env=null"],
            "endpoint",
            "verify",
        ),
        (["judge.kind=replicas", "judge.model=a/b"], "replicas", "verify"),
    ],
)
def test_the_embedded_judge_is_the_default_and_leaves_no_trace_in_another(
    job: ModuleType, words: list[str], kind: str, prompt: str
) -> None:
    [judge], rows = job.configure(job.parser().parse_intermixed_args(["arithmetic", "--limit", "5", *words]))
    config = judge.config
    assert (config.judge.kind, config.judge.prompt, len(rows)) == (kind, prompt, 5)
    assert (config.judge.model == "tiny") == (prompt == "compact")


@pytest.mark.slow
def test_the_help_needs_nothing_heavy() -> None:
    code = (
        "import atexit, runpy, sys\n"
        "heavy = ('ray', 'torch', 'vllm', 'transformers', 'openai')\n"
        "atexit.register(lambda: print([name for name in heavy if name in sys.modules], file=sys.stderr))\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    result = subprocess.run([sys.executable, "-c", code, SCRIPT, "--help"], capture_output=True, text=True, timeout=120)
    assert (result.returncode, result.stderr) == (0, "[]\n")
    assert "judge=rule checks\narithmetic only" in result.stdout


# --- several judges, and going on ---


@pytest.mark.slow
def test_several_judges_and_prompts_stand_side_by_side(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, judge_server: JudgeServer, data: str, tmp_path: Path
) -> None:
    """Asked for text it names step 2, asked for JSON step 1: of six errors, all at step 2, it finds all and none.

    Named in the text: one step of five before it in five rows, and one of two in the sixth. So their RTS differ, and in
    one group all six have an advantage, for 6 x 37 tokens. In the JSON every RTS is 0, and none has.
    """
    in_json = json.dumps({"reasoning": "", "first_error": 1})
    judge_server.reply = lambda messages: in_json if "JSON" in messages[0]["content"] else gullible(1)(messages)
    out = tmp_path / "judges.json"
    variants = ["--judge", "in JSON:", "--judge", "in text: judge.structured=false"]
    assert run(job, monkeypatch, data, *endpoint(judge_server.base_url), *variants, "--out", str(out)) == 0
    shown = {line[:25].strip(): line[27:].split("  ") for line in capsys.readouterr().out.splitlines()[1:]}
    rows = {label: [cell.strip() for cell in cells if cell.strip()] for label, cells in shown.items()}
    assert rows[""] == ["in JSON", "in text"] and rows["rows"] == ["8 of 8", "8 of 8"]
    assert rows["first error found exactly"] == ["0.0 % of 6 [0.0, 39.0]", "100.0 % of 6 [61.0, 100.0]"]
    assert rows["useful gradients"][1] == "100.0 % of 6 [61.0, 100.0]"
    assert rows["tokens a useful gradient"] == ["-", "37"]
    judges = json.loads(out.read_text())["judges"]
    assert list(judges) == ["in JSON", "in text"]
    assert [judge["judge"]["structured"] for judge in judges.values()] == [True, False]
    assert {verdict["said"][0] for verdict in judges["in JSON"]["verdicts"]} == {in_json}
    page = out.with_suffix(".md").read_text()
    assert (
        "|  | in JSON | in text |" in page and "## in text" in page and "| tokens a useful gradient | - | 37 |" in page
    )


@pytest.mark.slow
def test_the_same_command_again_asks_for_what_is_missing(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, judge_server: JudgeServer, data: str, tmp_path: Path
) -> None:
    """Three rows, then all eight, then a second judge, then a row that has changed; a time-out is asked again."""
    judge_server.reply = gullible(1)
    out = tmp_path / "judges.json"
    words = [data, *endpoint(judge_server.base_url, **{"judge.retries": 0}), "--out", str(out)]

    def asked(*further: str) -> int:
        before = len(judge_server.questions)
        assert run(job, monkeypatch, *words, *further) == 0
        capsys.readouterr()
        return len(judge_server.questions) - before

    judge_server.script(Exchange.answer, status(500))
    assert asked("--limit", "3") == 1 + 3
    assert json.loads(out.read_text())["lost_votes"]["errors"] == 1
    assert asked() == 1 + 6, "two of the three were judged"
    assert asked() == 0 and json.loads(out.read_text())["wrong"]["value"] == 1
    assert asked("judge.concurrency=2") == 0, "how it is asked changes no answer"
    assert asked("--judge", "one:", "--judge", "two: judge.reference=answer") == 1 + 8
    rows = [json.loads(line) for line in Path(data).read_text().splitlines()]
    rows[0]["steps"][0] = "another step"
    Path(data).write_text("\n".join(json.dumps(row) for row in rows))
    assert asked() == 1 + 1


@pytest.mark.slow
def test_a_judge_that_is_down_is_named_and_the_others_go_on(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, judge_server: JudgeServer, data: str
) -> None:
    judge_server.reply = gullible(1)
    words = ["judge=endpoint", "judge.model=judge", "judge.api_key_env=null", "judge.retries=0"]
    variants = [f"down: judge.base_url={closed_port()}", f"up: judge.base_url={judge_server.base_url}"]
    assert run(job, monkeypatch, data, *words, *(word for text in variants for word in ("--judge", text))) == 2
    said = capsys.readouterr()
    assert said.err.startswith("error: down: judge.base_url=") and said.err.count("\n") == 1
    assert "0 of 8" in said.out and "8 of 8" in said.out


def test_another_file_is_not_written_over(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, tmp_path: Path
) -> None:
    file = tmp_path / "judges.verdicts.jsonl"
    file.write_text('{"question": "?"}\n')
    words = ["arithmetic", "judge=rule", "--limit", "3", "--out", str(tmp_path / "judges.json")]
    assert run(job, monkeypatch, *words) == 2
    assert capsys.readouterr().err == f"error: {file}: no file of verdicts: move it, or give another --out\n"
    assert file.read_text() == '{"question": "?"}\n'


# --- replicas ---


class Replicas:
    """Stands for Ray and its Serve: what was done, in order."""

    def __init__(self, url: str, failure: Exception | None = None) -> None:
        self.url, self.failure = url, failure
        self.done: list[str] = []

    @contextmanager
    def ray_session(self) -> Iterator[None]:
        self.done.append("ray")
        yield
        self.done.append("end of ray")

    def start_judge(self, judge: Any, name: str) -> Any:
        from raysgpo.judging.address import JudgeAddress

        self.done.append(f"start {Path(judge.model).name}")
        return JudgeAddress(self.url, "judge")

    def wait_for_judge(self, judge: Any, name: str, report: Any) -> None:
        self.done.append("wait")
        if self.failure is not None:
            raise self.failure

    def delete(self, name: str, deadline: float) -> None:
        self.done.append("delete")

    def install(self, monkeypatch: pytest.MonkeyPatch) -> None:
        modules = {"session.ray_session": "ray_session", "serving.application": "delete", "serving.judge_replicas": ""}
        for module, name in modules.items():
            fake = ModuleType(f"raysgpo.{module}")
            for function in (name,) if name else ("start_judge", "wait_for_judge"):
                setattr(fake, function, getattr(self, function))
            monkeypatch.setitem(sys.modules, f"raysgpo.{module}", fake)


SHAPE = TinyConfig(hidden_size=8, intermediate_size=8, layers=1, heads=1, max_length=8192)


@pytest.fixture
def checkpoint(tmp_path: Path) -> str:
    folder = tmp_path / "checkpoint"
    with torch.random.fork_rng():
        save_tiny_model(build_tiny_model(SHAPE.shape), SHAPE, folder)
    return f"judge.model={folder}"


@pytest.mark.slow
def test_replicas_are_started_asked_and_taken_down(
    job: ModuleType,
    monkeypatch: pytest.MonkeyPatch,
    capsys: Any,
    judge_server: JudgeServer,
    data: str,
    checkpoint: str,
) -> None:
    replicas = Replicas(judge_server.base_url)
    replicas.install(monkeypatch)
    assert run(job, monkeypatch, data, "judge=replicas", checkpoint) == 0
    assert replicas.done == ["ray", "start checkpoint", "wait", "delete", "end of ray"]
    assert "right responses passed     100.0 % of 2" in capsys.readouterr().out


def test_replicas_that_do_not_come_up_are_taken_down(
    job: ModuleType, monkeypatch: pytest.MonkeyPatch, capsys: Any, data: str, checkpoint: str
) -> None:
    replicas = Replicas("http://127.0.0.1:9/v1", TimeoutError("the judge replicas were not up"))
    replicas.install(monkeypatch)
    assert run(job, monkeypatch, data, "judge=replicas", checkpoint) == 2
    assert replicas.done[-2:] == ["wait", "delete"]
    assert "error: the judge replicas were not up" in capsys.readouterr().err


# --- Ctrl-C ---


@pytest.mark.slow
def test_ctrl_c_shows_what_was_scored(judge_server: JudgeServer, data: str, tmp_path: Path) -> None:
    judge_server.script(*[Exchange.answer] * (1 + 5))  # the check, and five rows
    judge_server.always = hang()
    out = tmp_path / "report.json"
    words = [data, *endpoint(judge_server.base_url, **{"judge.concurrency": 2}), "--out", str(out)]
    process = subprocess.Popen(
        [sys.executable, SCRIPT, *words], stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    try:
        deadline = time.monotonic() + 120
        while len(judge_server.questions) < 1 + 5 + 2 and time.monotonic() < deadline:
            time.sleep(0.05)
        process.send_signal(signal.SIGINT)
        shown, said = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 130
    assert said.splitlines()[-1] == "stopped: 5 of 8 rows were scored"
    assert "on 5 rows of" in shown
    report = json.loads(out.read_text())
    assert (report["rows"], report["asked"], len(report["verdicts"])) == (5, 8, 5)
