"""A report as Markdown: what reads well in a terminal and in a pull request."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping

from raysgpo.studies.page.pictures import Picture
from raysgpo.studies.reports.document import Block, Document, Entry, Listing, Table
from raysgpo.studies.reports.sampled import SampledAnswer, SampledGroup


def markdown(document: Document, files: Mapping[str, str]) -> str:
    """``files``: title of each picture to where it lies, relative to the text."""
    parts = [f"# {_text(document.title)}", _text(document.lead)]
    for section in document.sections:
        parts.append(f"## {_text(section.title)}")
        parts += [_block(block, files) for block in section.blocks]
    return "\n\n".join(parts) + "\n"


def _block(block: Block, files: Mapping[str, str]) -> str:
    match block:
        case str():
            return _text(block)
        case Table():
            return "\n".join(_table(block))
        case Listing():
            return "\n".join([f"{_text(block.title)}:", "", *(f"- {_text(line)}" for line in block.lines)])
        case Picture():
            return f"![{_text(block.title)}](<{files[block.title]}>)\n\n{_text(block.caption)}".rstrip()
        case SampledGroup():
            return "\n\n".join(_group(block))


def _table(table: Table) -> Iterator[str]:
    yield f"| {' | '.join(map(_cell, table.head))} |"
    yield f"|---|{'---:|' * (len(table.head) - 1)}"
    for row in table.rows:
        yield f"| {' | '.join(map(_entry, row))} |"
    for note in table.notes:
        yield f"\n{_text(note)}"


def _entry(entry: Entry) -> str:
    text = f"**{_cell(entry.text)}**" if entry.mark == "best" else _cell(entry.text)
    return f"{text} ({_cell(entry.more)})" if entry.more else text


def _group(group: SampledGroup) -> Iterator[str]:
    row = group.row
    yield f"### {group.title}"
    yield f"Prompt `{row['prompt_id']}`, answer `{_cell(str(row['answer']))}`" + (
        f", dropped: {row['dropped']}." if row["dropped"] else "."
    )
    yield _fenced(row["prompt"])
    if group.answers:
        yield "\n".join(_table(answers_table(group)))
    for answer in group.answers:
        yield f"Answer {answer.number}:"
        yield _fenced("".join(_lines(answer)))


def answers_table(group: SampledGroup) -> Table:
    """A line an answer."""
    head = ("answer", "right", "steps", "votes", "first error", "RTS", "reward", "advantage", "guidance", "tokens")
    rows = []
    for answer in group.answers:
        row = answer.row
        right = "yes" if row["correct"] else "no, cut off" if row["truncated"] else "no"
        rts = "" if row["rts"] is None else f"{row['rts']:.2f}"
        reward = "" if row["reward"] is None else f"{row['reward']:.3f}"
        words = [str(answer.number), right, str(row["reasoning_steps"] or ""), answer.votes, answer.first_error, rts]
        words += [reward, f"{row['advantage']:+.3f}", str(row["guidance_tokens"] or ""), str(row["num_tokens"])]
        rows.append(tuple(Entry(word) for word in words))
    return Table(head, tuple(rows))


def _lines(answer: SampledAnswer) -> Iterator[str]:
    """Step by step, with its number; guidance in double angles, the first error marked."""
    for step in answer.steps:
        mark = {"": " ", "sound": "+", "error": "!", "after": "."}[step.mark]
        given = f"«{step.given}»" if step.given else ""
        yield f"{mark} {step.number}: {given}{step.own}".rstrip("\n") + "\n"


def _fenced(text: str) -> str:
    """With more back-ticks than the text has in a row."""
    longest = max(map(len, re.findall("`+", text)), default=0)
    fence = "`" * max(3, longest + 1)
    end = "" if text.endswith("\n") else "\n"
    return f"{fence}\n{text}{end}{fence}"


def _text(text: str) -> str:
    return re.sub(r"([\\`*_<>\[\]#|])", r"\\\1", text)


def _cell(text: str) -> str:
    return _text(text).replace("\n", " ")
