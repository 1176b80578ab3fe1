"""What the endpoint judge gives away, and how it is checked at the start."""

from __future__ import annotations

import json
import logging
import pickle
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from pydantic import SecretStr

from raysgpo.config import JudgeConfig
from raysgpo.config.overrides import ConfigError
from raysgpo.judging.credentials import read_key
from raysgpo.judging.endpoint import EndpointJudge, JudgeUnavailable
from raysgpo.judging.judge import Failure, Judgement
from tests.judging.asking import ask, closed_port, judge_at, run
from tests.judging.judge_server import (
    Fault,
    JudgeServer,
    content,
    drop,
    hang,
    raw,
    refuse,
    status,
)

KEY = "sk-a-key-that-nobody-sees"
pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("short_pauses")]


def check(judge: EndpointJudge, deadline: float = 10.0) -> str:
    """What the judge complains of."""
    with pytest.raises(JudgeUnavailable) as caught:
        run(judge, lambda: judge.check(deadline))
    return str(caught.value)


# --- the key, and what else the judge must not be told ---


def test_the_key_is_in_one_header_and_nowhere_else(judge_server: JudgeServer, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    judge_server.key = KEY
    judge = judge_at(judge_server.base_url, key=KEY, retries=1)
    for fault in (status(500), status(429), drop, raw(b"<"), content("?"), status(401, error={"message": KEY})):
        judge_server.script(fault)
        judgement = ask(judge)
        assert KEY not in repr(judgement)
    assert ask(judge).position == 3
    for question in judge_server.requests:
        assert question.headers.pop("authorization") == f"Bearer {KEY}"
        assert KEY not in str(question)
    loggers = {record.name.partition(".")[0] for record in caplog.records}
    assert {"openai", "httpx2", "httpcore2"} <= loggers, "all that carry the header log at this level"
    assert any("***" in record.getMessage() for record in caplog.records), "the server quoted the key"
    assert not [record for record in caplog.records if KEY in record.getMessage() + repr(vars(record))]
    assert KEY not in repr(vars(judge))


def test_a_server_that_wants_no_key_gets_none(judge_server: JudgeServer, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)
    assert ask(judge_at(judge_server.base_url)).position == 3
    assert "authorization" not in judge_server.requests[0].headers and KEY not in str(judge_server.requests)


def test_the_judge_is_told_nothing_of_the_row_but_the_problem(judge_server: JudgeServer) -> None:
    ask(judge_at(judge_server.base_url))
    asked = json.dumps(judge_server.questions[0].body)
    assert "3+4-2=?" in asked
    assert not [word for word in ("problem-id-91", "metadata-of-row", "source", str(Path.cwd())) if word in asked]


def test_the_key_comes_from_the_named_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("A_KEY", f" {KEY}\n")
    key = read_key(JudgeConfig(api_key_env="A_KEY"))
    assert isinstance(key, SecretStr) and key.get_secret_value() == KEY
    assert KEY not in f"{key} {key!r}" and pickle.loads(pickle.dumps(key)) == key
    assert read_key(JudgeConfig(api_key_env=None)) is None


@pytest.mark.parametrize("value", [None, "", "  ", "two words-hunter2", "hunter2-\u2014"])
def test_a_key_that_is_none_is_refused_before_anything_starts(
    monkeypatch: pytest.MonkeyPatch, value: str | None
) -> None:
    monkeypatch.delenv("A_KEY", raising=False)
    if value is not None:
        monkeypatch.setenv("A_KEY", value)
    with pytest.raises(ConfigError, match=r"judge\.api_key_env=A_KEY: .*; export") as caught:
        read_key(JudgeConfig(api_key_env="A_KEY"))
    assert "hunter2" not in str(caught.value)


# --- the user's proxy ---


@pytest.fixture
def proxy(monkeypatch: pytest.MonkeyPatch) -> Iterator[JudgeServer]:
    """A proxy that the environment names for everything but this machine's usual names; it answers by itself."""
    for name in ("http_proxy", "https_proxy", "all_proxy", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.upper(), raising=False)
    with JudgeServer(always=content(r"\boxed{1}")) as server:
        monkeypatch.setenv("HTTP_PROXY", server.base_url.removesuffix("/v1"))
        monkeypatch.setenv("NO_PROXY", "localhost,127.0.0.1")
        yield server


def test_replicas_are_asked_at_their_nodes_address_and_an_endpoint_by_the_users_proxy(proxy: JudgeServer) -> None:
    with JudgeServer(host="127.0.0.2") as judge_server:  # an address of a node, which NO_PROXY does not list
        url = judge_server.base_url
        assert ask(judge_at(url, kind="replicas")).position == 3
        assert (len(judge_server.requests), len(proxy.requests)) == (1, 0)
        assert ask(judge_at(url)).position == 0, "the proxy's answer"
        assert (len(judge_server.requests), len(proxy.requests)) == (1, 1)


@pytest.mark.parametrize(
    ("value", "why"),
    [
        ("socks5://me:hunter2@10.0.0.1:1080", "a SOCKS proxy needs the package socksio"),
        ("socks4://me:hunter2@10.0.0.1", "no address of an http, https or socks5 proxy"),
    ],
)
def test_a_proxy_that_cannot_be_used_is_named_and_costs_votes_alone(
    proxy: JudgeServer, judge_server: JudgeServer, value: str, why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("HTTP_PROXY")
    monkeypatch.setenv("ALL_PROXY", value)
    said = check(judge_at(judge_server.base_url))
    assert said == f"judge.base_url={judge_server.base_url}: ALL_PROXY: {why}; mend or unset it"
    assert ask(judge_at(judge_server.base_url)) == Judgement(None, Failure.ERROR)
    assert ask(judge_at(judge_server.base_url, kind="replicas")).position == 3


# --- the check at the start ---


def test_a_judge_that_answers_is_available(judge_server: JudgeServer) -> None:
    judge_server.key = KEY
    judge = judge_at(judge_server.base_url, key=KEY)
    run(judge, lambda: judge.check(10))
    assert len(judge_server.requests) == 1
    for fault in (content("no verdict"), status(503), refuse("max_tokens")):
        judge_server.script(fault)
        run(judge, lambda: judge.check(10))


def test_the_check_names_the_address_where_nobody_is() -> None:
    url = closed_port()
    said = check(judge_at(url.replace("//", "//user:hunter2@") + "?token=hunter2", retries=0))
    assert said.startswith(f"judge.base_url={url}: no connection (")
    assert said.endswith("); start the server there, or set judge.base_url")


def test_the_check_names_the_model_and_those_that_are_served(judge_server: JudgeServer) -> None:
    judge_server.models = ("a-model", "b-model")
    said = check(judge_at(judge_server.base_url, model="x-model"))
    assert "judge.model=x-model is not served there; served are: a-model, b-model" in said
    assert judge_server.base_url in said


def test_the_check_survives_a_list_of_models_that_is_none(judge_server: JudgeServer) -> None:
    for body in (b"<html>", b'{"data": 3}', b'{"data": [3, {}, {"id": [1]}]}'):
        judge_server.script(status(404), raw(body))
        assert "HTTP 404" in check(judge_at(judge_server.base_url))


@pytest.mark.parametrize(
    ("key", "fix"),
    [("wrong-hunter2", "the key in the environment variable judge.api_key_env="), (None, "set judge.api_key_env to")],
)
def test_the_check_names_a_refused_key_without_it(judge_server: JudgeServer, key: str | None, fix: str) -> None:
    judge_server.key = KEY
    said = check(judge_at(judge_server.base_url, key=key))
    assert "HTTP 401" in said and fix in said and "hunter2" not in said and KEY not in said


def test_the_check_names_a_wrong_path(judge_server: JudgeServer) -> None:
    said = check(judge_at(judge_server.base_url.replace("/v1", "/v2")))
    assert "HTTP 404" in said and "it usually ends in /v1" in said


@pytest.mark.parametrize(
    ("fault", "words"),
    [
        (raw(b"<html>", "text/html"), "no JSON object; set judge.base_url"),
        (status(429), "HTTP 429"),
        (hang(), "set judge.call_deadline higher"),
    ],
    ids=["HTML", "429", "hangs"],
)
def test_the_check_says_what_happened(judge_server: JudgeServer, fault: Fault, words: str) -> None:
    judge_server.always = fault
    assert words in check(judge_at(judge_server.base_url, retries=0, call_deadline=0.3))


def test_the_check_ends_at_its_deadline(judge_server: JudgeServer) -> None:
    judge_server.always = hang()
    start = time.monotonic()
    assert "no answer within 0.3 s" in check(judge_at(judge_server.base_url), deadline=0.3)
    assert time.monotonic() - start < 25


def test_a_judge_can_be_built_without_the_client_package() -> None:
    code = (
        "import sys; from raysgpo.config import JudgeConfig; from raysgpo.judging.endpoint import EndpointJudge;"
        "EndpointJudge(JudgeConfig(), 'http://h/v1', 'm', None); assert not {'openai', 'httpx2'} & set(sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, timeout=60)
    assert done.returncode == 0, done.stderr
