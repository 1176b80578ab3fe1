"""Problems to token ids: the chat template, what does not fit, and that the policy is shown what was asked."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path

import pytest
from tokenizers import Tokenizer, models, normalizers, pre_tokenizers, processors
from transformers import PreTrainedTokenizerBase, PreTrainedTokenizerFast
from transformers.utils import chat_template_utils

from raysgpo.config.overrides import ConfigError
from raysgpo.policy.prompts import (
    TODAY,
    check_template_arguments,
    encode,
    encode_fitting,
    load_tokenizer,
    shows_date,
    template_arguments,
    turn,
)
from raysgpo.records import Problem
from raysgpo.tiny.tokenizer import CHAT_TEMPLATE, byte_tokenizer


@pytest.fixture(scope="module")
def tokenizer(tmp_path_factory: pytest.TempPathFactory) -> PreTrainedTokenizerBase:
    folder = tmp_path_factory.mktemp("tokenizer")
    byte_tokenizer(100).save_pretrained(folder)
    return load_tokenizer(str(folder))


def problem(text: str) -> Problem:
    return Problem(id=text or "empty", prompt=text, answer="0")


def test_a_problem_is_the_users_turn_up_to_where_the_answer_begins(tokenizer: PreTrainedTokenizerBase) -> None:
    ids = encode(tokenizer, problem("1+1=?")).token_ids
    assert tokenizer.decode(ids) == "<|user|>1+1=?<|end|><|assistant|>"
    assert ids[1:6] == list(b"1+1=?") and len(ids) == 8


def test_a_tokenizer_without_a_template_gets_the_text_as_it_is() -> None:
    plain = byte_tokenizer(100)
    plain.chat_template = None
    assert encode(plain, problem("Ω")).token_ids == list("Ω".encode())


def test_prompts_that_do_not_fit_are_named_and_the_others_stay_in_order(tokenizer: PreTrainedTokenizerBase) -> None:
    problems = [problem("1" * n) for n in (5, 6, 1, 9)]
    prompts, too_long = encode_fitting(tokenizer, problems, 8)
    assert [prompt.problem for prompt in prompts] == [problems[0], problems[2]]
    assert [len(prompt.token_ids) for prompt in prompts] == [8, 4]
    assert too_long == ["111111", "111111111"]


def test_if_none_fits_the_shortest_is_named_with_the_fix(tokenizer: PreTrainedTokenizerBase) -> None:
    with pytest.raises(ValueError, match=r"none of the 2 prompts fits: the shortest has 7 tokens .* takes 6 beside"):
        encode_fitting(tokenizer, [problem("12345"), problem("1234")], 6)


def test_a_folder_is_loaded_from_disk(tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    assert encode(load_tokenizer(str(tmp_path)), problem("x")) == encode(tokenizer, problem("x"))


# --- what is shown is what was asked ---

DATE = (
    "{{ '<|system|>Today: ' + strftime_now('%d %b %Y') + '<|end|>' }}"
    "{% for m in messages %}<|{{ m['role'] }}|>{{ m['content'] }}<|end|>{% endfor %}<|assistant|>"
)
RAISES = (
    "{% if messages[0]['role'] != 'system' %}{{ raise_exception('a system prompt\\n must come first') }}{% endif %}"
)
PARTS = "{% for m in messages %}{% for part in m['content'] %}{{ part['text'] }}{% endfor %}{% endfor %}<|assistant|>"


def with_template(template: str | None) -> PreTrainedTokenizerFast:
    tokenizer = byte_tokenizer(100)
    tokenizer.chat_template = template
    tokenizer.name_or_path = "mine"
    return tokenizer


def refused(tokenizer: PreTrainedTokenizerBase, *texts: str) -> str:
    with pytest.raises(ConfigError) as caught:
        encode_fitting(tokenizer, [problem(text) for text in texts], 100)
    message = str(caught.value)
    assert message.startswith("model=mine: ") and "\n" not in message
    return message


@pytest.mark.parametrize(
    ("template", "words"),
    [
        (RAISES, "its chat template refuses the prompt of 1+1=?: a system prompt"),
        ("{% for", "its chat template refuses the prompt of 1+1=?: "),
        ("{{ messages[0].content.missing.word }}", "its chat template refuses the prompt of 1+1=?: "),
        (PARTS, "its chat template leaves out the prompt of 1+1=?, or changes it (does it want the content in parts?)"),
        ("<|user|><|assistant|>", "its chat template leaves out the prompt of 1+1=?"),
        ("{{ messages[0].content[:3] }}<|assistant|>", "its chat template leaves out the prompt of 1+1=?"),
        ("{{ messages[0].content }}<|end|>", "2 of 2 prompts (1+1=?, 2+2=?) end with the model's end token <|end|>"),
    ],
)
def test_a_template_that_does_not_show_the_question_is_refused_with_its_row(template: str, words: str) -> None:
    message = refused(with_template(template), "1+1=?", "2+2=?")
    assert words in message and message.endswith("mend the template (chat_template.jinja in its folder)")


def test_a_template_that_trims_the_question_shows_it() -> None:
    tokenizer = with_template("{{ messages[0].content | trim }}<|assistant|>")
    assert tokenizer.decode(encode(tokenizer, problem(" 1+1=? \n")).token_ids) == "1+1=?<|assistant|>"


def test_a_template_with_todays_date_is_told_the_same_day_in_every_run(monkeypatch: pytest.MonkeyPatch) -> None:
    tokenizer, seen = with_template(DATE), set()
    for year in (2026, 2031):

        class Then(datetime):
            @classmethod
            def now(cls, tz: object = None, year: int = year) -> datetime:  # type: ignore[override]
                return datetime(year, 11, 26)

        monkeypatch.setattr(chat_template_utils, "datetime", Then)
        plain = tokenizer.apply_chat_template([{"role": "user", "content": "x"}], tokenize=False)
        assert f"26 Nov {year}" in plain, "else the clock is not what the template looks at"
        seen.add(turn(tokenizer, problem("1+1=?")))
    assert seen == {f"<|system|>Today: {TODAY:%d %b %Y}<|end|><|user|>1+1=?<|end|><|assistant|>"}
    assert (
        shows_date(tokenizer) and not shows_date(with_template(CHAT_TEMPLATE)) and not shows_date(with_template(None))
    )


def words_tokenizer(**parts: object) -> PreTrainedTokenizerFast:
    """A tokenizer of four words; every other one is unknown."""
    vocabulary = {"<unk>": 0, "</s>": 1, "one": 2, "and": 3, "two": 4}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    for name, part in parts.items():
        setattr(tokenizer, name, part)
    fast = PreTrainedTokenizerFast(tokenizer_object=tokenizer, unk_token="<unk>", eos_token="</s>")
    fast.name_or_path = "mine"
    return fast


def test_a_tokenizer_that_does_not_know_the_question_is_refused_with_the_rows() -> None:
    message = refused(words_tokenizer(), "one and two", "one and three", "four")
    assert "gives back another text for 2 of 3 prompts (one and three, four), the first as 'one and <unk>'" in message
    assert "see that the folder has its tokenizer's files, or remove the rows" in message


def test_a_tokenizer_may_change_case_blanks_and_the_form_of_a_character() -> None:
    tokenizer = words_tokenizer(normalizer=normalizers.Sequence([normalizers.NFKC(), normalizers.Lowercase()]))
    prompts, _ = encode_fitting(tokenizer, [problem("One   AND\n\uff54wo")], 100)
    assert prompts[0].token_ids == [2, 3, 4]


def test_a_tokenizer_that_appends_the_end_token_is_refused() -> None:
    ending = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 1)])
    message = refused(words_tokenizer(post_processor=ending), "one and two")
    assert "1 of 1 prompts (one and two) end with the model's end token </s>" in message
    assert message.endswith("set add_eos_token=false in its tokenizer_config.json")


@pytest.mark.parametrize("content", [b"{", b"{}", b"\xff", json.dumps({"version": "1.0", "model": 3}).encode()])
def test_a_broken_tokenizer_is_one_line(content: bytes, tokenizer: PreTrainedTokenizerBase, tmp_path: Path) -> None:
    tokenizer.save_pretrained(tmp_path)
    (tmp_path / "tokenizer.json").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^model=.*: its tokenizer cannot be loaded: .") as caught:
        load_tokenizer(str(tmp_path))
    assert "\n" not in str(caught.value)


# --- arguments of the template ---

THINK = "<think></think>"
THINKING = (
    "{%- if custom is not defined %}{%- set custom = '' %}{%- endif %}"
    "{%- for m in messages %}<|{{ m.role }}|>{{ m.content }}<|end|>{%- endfor %}{{ custom }}"
    "{%- if add_generation_prompt %}<|assistant|>"
    "{%- if enable_thinking is defined and enable_thinking is false %}<think></think>{%- endif %}{%- endif %}"
)


def test_arguments_of_the_template_reach_the_prompt() -> None:
    tokenizer = with_template(THINKING)
    assert template_arguments(tokenizer) == {"enable_thinking", "custom"}
    ids = [encode(tokenizer, problem("x"), arguments).token_ids for arguments in ({}, {"enable_thinking": False})]
    assert [tokenizer.decode(one) for one in ids] == ["<|user|>x<|end|><|assistant|>" + t for t in ("", THINK)]
    (prompt,), _ = encode_fitting(tokenizer, [problem("x")], 100, (), {"enable_thinking": False})
    assert prompt.token_ids == ids[1]


@pytest.mark.parametrize(
    ("template", "arguments", "words"),
    [
        (THINKING, {"enable_thinkin": False}, "reads custom, enable_thinking; did you mean enable_thinking?"),
        (THINKING, {"messages": []}, "the chat template of model=mine does not read it; it reads custom, enable"),
        (CHAT_TEMPLATE, {"enable_thinking": False}, "does not read it; it reads none: remove it"),
        (None, {"enable_thinking": False}, "model=mine has no chat template that could read it: remove it"),
    ],
)
def test_an_argument_that_the_template_does_not_read_is_refused(
    template: str | None, arguments: dict[str, object], words: str
) -> None:
    with pytest.raises(ConfigError) as caught:
        check_template_arguments("task.chat_template_kwargs", with_template(template), arguments)
    (name, value), *_ = arguments.items()
    assert str(caught.value).startswith(f"task.chat_template_kwargs={{{name}: {value}}}: ") and words in str(
        caught.value
    )


def test_a_template_that_leaves_out_a_turn_of_the_row_names_the_row() -> None:
    tokenizer = with_template("{{ messages[-1].content }}<|assistant|>")
    row = Problem("r", "x", "0", turns=(("user", "before"), ("assistant", "said")))
    with pytest.raises(ConfigError, match=r"leaves out 'before' \(a turn of r\); mend the row, or take another model"):
        encode_fitting(tokenizer, [row], 100)
