"""Answers that are made to hang a grader, or to fill its memory: nested, huge, deep, endless."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator

Make = Callable[[random.Random], str]
BIG = 1_000_000

HOSTILE: tuple[Make, ...] = (
    lambda rng: "9^{" * rng.randrange(1, 40) + "9" + "}" * 40,
    lambda rng: "^".join(["9"] * rng.randrange(2, 30)),
    lambda rng: f"{rng.randrange(10**6)}!" + "!" * rng.randrange(3),
    lambda rng: r"\\sqrt{" * rng.randrange(1, 3000) + "2" + "}" * rng.randrange(3000),
    lambda rng: "(" * rng.randrange(1, 5000) + "1" + ")" * rng.randrange(5000),
    lambda rng: "{" * rng.randrange(1, 20_000),
    lambda rng: r"\frac{1}{" * rng.randrange(1, 300) + "7" + "}" * rng.randrange(300),
    lambda rng: "7" * rng.randrange(1, BIG),
    lambda rng: ",".join(str(n) for n in range(rng.randrange(1, 100_000))),
    lambda rng: "x+" * rng.randrange(1, 2000) + "1",
    lambda rng: "(x+1)^{" + str(rng.randrange(10**9)) + "}",
    lambda rng: rf"\int_0^{{{rng.randrange(10**9)}}} \sin(x^x) dx",
    lambda rng: rf"\sum_{{n=1}}^{{{rng.randrange(10**9)}}} \frac{{1}}{{n^n}}",
    lambda rng: r"\boxed{" * rng.randrange(1, 3000) + "7" + "}" * rng.randrange(3000),
    lambda rng: "<think>" * rng.randrange(1, 3000) + "7",
    lambda rng: r"\text{" * rng.randrange(1, 500) + "seven" + "}" * rng.randrange(500),
    lambda rng: r"\begin{pmatrix}" + r"1 & 2 \\ " * rng.randrange(1, 500) + r"\end{pmatrix}",
    lambda rng: "[0,1) \\cup " * rng.randrange(1, 3000) + "(2,3)",
    lambda rng: "x = " * rng.randrange(1, 3000) + "7",
    lambda rng: f"10^{{{rng.randrange(10**9)}}}",
    lambda rng: f"1e{rng.randrange(10**9)}",
    lambda rng: "a" * rng.randrange(1, BIG),
    lambda rng: "".join(chr(rng.randrange(32, 0x2FFF)) for _ in range(rng.randrange(1, 400))),
    lambda rng: "".join(rng.choice("0123456789+-*/^(){}[]\\,.=<>!|&_ x") for _ in range(rng.randrange(1, 80))),
    lambda rng: r"\sin(" * rng.randrange(1, 200) + "1" + ")" * 200,
)
OPENINGS = (r"So \boxed{%s}.", "The answer is %s", "Answer: %s", "<answer>%s</answer>", "%s", r"\boxed{%s", "#### %s")


def hostile_answers(count: int, seed: int) -> Iterator[str]:
    """Responses, each another one for the same seed and number."""
    rng = random.Random(seed)
    for number in range(count):
        yield rng.choice(OPENINGS).replace("%s", HOSTILE[number % len(HOSTILE)](rng))
