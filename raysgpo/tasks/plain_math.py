"""Mathematical answers in one plain form of LaTeX, however they were typed."""

from __future__ import annotations

import re

_SPELLED = {
    "-": "\u2212\u2013", r"\times ": "\u00d7", r"\div ": "\u00f7", r"\cdot ": "\u00b7", r"\le ": "\u2264",
    r"\ge ": "\u2265", r"\ne ": "\u2260", r"\approx ": "\u2248", r"\infty ": "\u221e", r"\pi ": "\u03c0",
    r"\cup ": "\u222a", r"\cap ": "\u2229", r"\in ": "\u2208", r"\pm ": "\u00b1", r"^\circ ": "\u00b0",
    r"\frac{1}{2}": "\u00bd", r"\frac{1}{3}": "\u2153", r"\frac{2}{3}": "\u2154", r"\frac{1}{4}": "\u00bc",
    r"\frac{3}{4}": "\u00be", r"\frac{1}{5}": "\u2155", r"\frac{1}{8}": "\u215b", "^{2}": "\u00b2", "^{3}": "\u00b3",
    ",": "\uff0c", "(": "\uff08", ")": "\uff09", ":": "\uff1a", r"\,": "\u2009\u202f", " ": "\u00a0", "": "\u2061",
}  # fmt: skip
"""What is meant, to the characters that are typed for it."""
_UNICODE = {ord(character): meant for meant, characters in _SPELLED.items() for character in characters}
_ROOT = re.compile("\u221a" r"\s*(?:\{([^{}]*)\}|\(([^()]*)\)|(\w+))")
_MATH = re.compile(r"^(?:\$\$?(.*?)\$\$?|\\\((.*?)\\\)|\\\[(.*?)\\\])$", re.DOTALL)
_GROUPED = re.compile(r"(?<=\d)(?:\\[,!;: ]|\{,\}|,\\!\s*)+(?=\d{3}(?!\d))")
_COMMAS = re.compile(r"(?<![\d.,])(-?\d{1,3}(?:,\d{3})+)(?![\d,])")
_SPACES = re.compile(r"(?<!\\)\\[,;:! ]|\\q?quad\b|\\(?:hspace|vspace)\{[^{}]*\}|~|\\phantom\{[^{}]*\}")
_SIZES = re.compile(r"\\(?:left|right|[bB]igg?[lrm]?|displaystyle|textstyle|limits|mathstrut)\b\.?(?![a-zA-Z])")
_NAMES = (
    (re.compile(r"\\[dtc]frac\b"), r"\\frac"),
    (re.compile(r"\\(?:geq|geqslant|ge)\b|>="), r"\\ge "),
    (re.compile(r"\\(?:leq|leqslant|le)\b|<="), r"\\le "),
    (re.compile(r"\\(?:neq|ne)\b|!="), r"\\ne "),
    (re.compile(r"\\lt\b"), "<"),
    (re.compile(r"\\gt\b"), ">"),
    (re.compile(r"\\lbrace\b"), r"\\{"),
    (re.compile(r"\\rbrace\b"), r"\\}"),
    (re.compile(r"\\(?:bold|boldsymbol|mathbf|mathrm|mathit|mathsf|operatorname\*?|rm|bf|it)\s*\{([^{}]*)\}"), r"\1"),
    (re.compile(r"\\(?:text(?:bf|rm|it|sf|tt|normal|up)?|mbox|hbox)\s*\{([^{}]*)\}"), r"\\text{\1}"),
)
_FRAC = re.compile(
    r"\\frac\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\d)|([a-z]))\s*(?:\{((?:[^{}]|\{[^{}]*\})*)\}|(\d)|([a-z]))"
)
_SQRT = re.compile(r"\\sqrt\s*(\d|[a-z])")
_MIXED = re.compile(r"(?<![\w.}])(\d+)\s*(?:\\frac\{(\d+)\}\{(\d+)\}|\s(\d+)/(\d+))")
_MONEY = re.compile(r"\\?[$€£¥]")
_SUBSCRIPT = re.compile(r"_\{(\w)\}")
_POWER = re.compile(r"\^\{(\w)\}")
_TAIL = re.compile(r"(?:[.,;:\s\\]|(?<=[^\d\w)}])!)+$")
_APPROX = re.compile(r"(?<=[\w})])\s*\\approx.*$", re.DOTALL)
_NAMED_APPROX = re.compile(r"^([A-Za-z](?:_\w|_\{\w+\})?)\s*\\approx")
_DOUBLED = re.compile(r"\\\\(?=[a-zA-Z{}])")
_MATRIX = re.compile(r"\\(begin|end)\{(?:[bBvV]|small)?matrix\}|\\(begin|end)\{array\}(?:\{[^{}]*\})?")
_UNIT = re.compile(
    r"(?<=[\d})%])\s*(?:\\text\{[^{}\d]*\}(?:\s*\^\{?\d\}?)?|\^\{?\s*\\circ\s*\}?(?:\s*[CF]\b)?|\\?%|\\degree\b"
    r"|\s+(?!and\b|or\b)[A-Za-z][A-Za-z.]*(?:\s*/\s*[A-Za-z]+)?(?:\s+[a-z]+){0,3}(?:\s*\^\{?[23]\}?)?)\s*$"
)
"""Behind a number: words, degrees, per cent."""
_UNIT_WORDS = re.compile(r"[a-zA-Z²³]{1,}")


def plain(text: str) -> str:
    """The answer without what does not change its value; units are left."""
    text = text.strip()
    if r"\\" in text and r"\begin" not in text.replace(r"\\begin", ""):  # typed for a language that halves them
        text = _DOUBLED.sub(r"\\", text)
    text = text.translate(_UNICODE)
    text = _ROOT.sub(lambda root: rf"\sqrt{{{root[1] or root[2] or root[3]}}}", text)
    while (math := _MATH.match(text)) is not None and "$" not in (
        inner := next(g for g in math.groups() if g is not None)
    ):
        text = inner.strip()
    text = _GROUPED.sub("", text)
    text = _SIZES.sub("", text)
    for pattern, replacement in _NAMES:
        text = pattern.sub(replacement, text)
    text = _SPACES.sub(" ", text)
    text = _MONEY.sub("", text)
    text = _COMMAS.sub(lambda number: number[1].replace(",", ""), text) if _alone(text) else text
    text = _FRAC.sub(lambda m: rf"\frac{{{m[1] or m[2] or m[3]}}}{{{m[4] or m[5] or m[6]}}}", text)
    text = _SQRT.sub(r"\\sqrt{\1}", text)
    text = _MIXED.sub(_improper, text)
    text = _SUBSCRIPT.sub(r"_\1", text)
    text = _POWER.sub(r"^\1", text)
    text = _APPROX.sub("", _NAMED_APPROX.sub(r"\1 =", text))
    text = _MATRIX.sub(lambda m: rf"\{m[1] or m[2]}{{pmatrix}}", text)
    return " ".join(_TAIL.sub("", text).split())


def without_unit(text: str) -> tuple[str, str]:
    """(value, unit) of a plain answer; the unit is empty where there is none."""
    unit = _UNIT.search(text)
    if unit is None:
        return text, ""
    words = "".join(_UNIT_WORDS.findall(unit.group().replace(r"\text", "").replace(r"\circ", "")))
    return text[: unit.start()].strip(), words.lower()


def _alone(text: str) -> bool:
    """Whether the commas of a number can only group its digits: it is no member of a list."""
    return re.fullmatch(r"[^\d]*-?\d{1,3}(?:,\d{3})+(?:\.\d*)?[^\d,]*", text) is not None


def _improper(mixed: re.Match[str]) -> str:
    whole, top, bottom = int(mixed[1]), int(mixed[2] or mixed[4]), int(mixed[3] or mixed[5])
    if top >= bottom:  # a product, rather
        return mixed.group()
    return rf"\frac{{{whole * bottom + top}}}{{{bottom}}}"
