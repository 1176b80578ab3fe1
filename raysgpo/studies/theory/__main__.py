"""``python -m raysgpo.studies.theory``: the numbers of section 3.2 on the console, Figure 2 as a picture.

Exit status 1 if Theorem 3.3 does not hold as compared, 2 if an option is wrong, 130 after Ctrl-C.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from tempfile import TemporaryFile

import numpy as np

from raysgpo.studies.theory.bandit import Estimate, estimate, relative_error, training
from raysgpo.studies.theory.dynamics import MOVES, Curve, Inequality, Pair, TheoremCheck, check_theorem, closed_form
from raysgpo.studies.theory.figure import draw

POINTS: tuple[Pair, ...] = ((0.5, 0.5), (0.7, 0.4), (0.9, 0.8))
"""(p, q) at which gradients are sampled."""
FORMATS = (".png", ".svg", ".pdf")
HOLDS, FAILS, WRONG_OPTION, STOPPED = 0, 1, 2, 130
"""Exit status."""


def parser() -> argparse.ArgumentParser:
    command = argparse.ArgumentParser(
        prog="python -m raysgpo.studies.theory",
        description="SGPO and GRPO on the two-step bandit of SGPO's section 3.2 (arXiv 2505.11595): the closed form "
        "of eqs. 3 and 4 and Figure 2, Theorem 3.3, and the same from sampled groups.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    command.add_argument("--steps", type=_at_least(1), default=100, metavar="N", help="iterations of table and figure")
    command.add_argument(
        "--theorem-steps", type=_at_least(1), default=100_000, metavar="N", help="iterations that test Theorem 3.3"
    )
    command.add_argument(
        "--groups", type=_at_least(1000), default=4_000_000, metavar="N", help="sampled groups of 2 for a gradient"
    )
    command.add_argument(
        "--groups-per-step", type=_at_least(2), default=16_384, metavar="N", help="the same in the sampled training"
    )
    command.add_argument("--seed", type=_at_least(0), default=0, metavar="S", help="of all that is sampled")
    command.add_argument("--out", type=_picture, default="theory.png", metavar="FILE", help="where the figure goes")
    return command


def _at_least(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        digits = text.replace("_", "").replace(",", "")
        if not digits.isdecimal() or int(digits) < least:
            raise argparse.ArgumentTypeError(f"{text!r}: give a whole number of {least:,} or more")
        return int(digits)

    return number


def _picture(text: str) -> Path:
    path = Path(text).expanduser().absolute()
    if path.suffix.lower() not in FORMATS or path.is_dir():
        raise argparse.ArgumentTypeError(f"{text!r}: give a file that ends in {', '.join(FORMATS)}")
    try:
        TemporaryFile(dir=path.parent).close()  # os.access says yes to root, also where nothing can be written
    except OSError as error:
        raise argparse.ArgumentTypeError(f"{text!r}: cannot write to {path.parent}: {error.strerror}") from None
    if path.exists() and not os.access(path, os.W_OK):
        raise argparse.ArgumentTypeError(f"{text!r}: is there and cannot be written")
    return path


def main(words: list[str] | None = None) -> int:
    """Run the command with the words of the command line; returns the exit status."""
    arguments = parser().parse_args(words)
    try:
        return report(arguments)
    except KeyboardInterrupt:
        print("stopped", file=sys.stderr)
        return STOPPED


def report(arguments: argparse.Namespace) -> int:
    steps, groups, seed = arguments.steps, arguments.groups, arguments.seed
    exact = {method: Curve.of(closed_form(method), steps) for method in MOVES}
    print("The two-step bandit of SGPO, section 3.2: H = 2, G = 2, unit step, p = q = 1/2 at iteration 0.", flush=True)
    say(curve_table(exact))
    check = check_theorem(arguments.theorem_steps)
    say(theorem_lines(check))
    print(f"\nGradients (moves of the log-odds) from {groups:,} sampled groups of 2, seed {seed}", flush=True)
    say(gradient_lines(groups, seed))
    print(
        f"\nTraining on {arguments.groups_per_step:,} sampled groups of 2 an iteration, {steps:,} iterations",
        flush=True,
    )
    sampled = {
        method: Curve.of(training(method, arguments.groups_per_step, np.random.default_rng(seed)), steps)
        for method in MOVES
    }
    say(distance_lines(exact, sampled))
    draw(arguments.out, exact, sampled)
    print(f"\nfigure: {arguments.out}", flush=True)
    return HOLDS if check.holds else FAILS


def say(lines: Iterable[str]) -> None:
    for line in lines:
        print(line, flush=True)


def curve_table(exact: dict[str, Curve]) -> Iterator[str]:
    """Both closed forms at 0, 1, 2, 5, 10, 20, 50, ... and the last iteration."""
    last = len(exact["sgpo"].p_K) - 1
    round_ones = {digit * 10**power for power in range(len(str(last))) for digit in (1, 2, 5)}
    yield f"\n{'':>9}   {'p':^17}   {'q':^17}   {'p q':^17}"
    yield f"{'iteration':>9}" + f"   {'SGPO':>8} {'GRPO':>8}" * 3
    for k in sorted({0, last} | {k for k in round_ones if k < last}):
        pairs = [[getattr(exact[method], name)[k] for method in ("sgpo", "grpo")] for name in ("p_K", "q_K", "pq_K")]
        yield f"{k:>9,}" + "".join(f"   {sgpo:8.6f} {grpo:8.6f}" for sgpo, grpo in pairs)


def theorem_lines(check: TheoremCheck) -> Iterator[str]:
    def counted(inequality: Inequality) -> str:
        return f"{inequality.held:,} of {check.steps:,}"

    def least(inequality: Inequality) -> str:
        return f"least difference {inequality.least:.2e}, at iteration {inequality.least_at:,}"

    yield f"\nTheorem 3.3, iterations 1 to {check.steps:,} in float64, no tolerance"
    (p_sgpo, q_sgpo), (p_grpo, q_grpo) = check.sgpo, check.grpo
    yield f"(i)   all tend to 1: at the last iteration 1 - p is {1 - p_sgpo:.2e} (SGPO) and {1 - p_grpo:.2e} (GRPO),"
    yield f"      1 - q is {1 - q_sgpo:.2e} (SGPO) and {1 - q_grpo:.2e} (GRPO)"
    yield f"(ii)  p SGPO > p GRPO: true in {counted(check.p)}; {least(check.p)}"
    yield f"(iii) p q SGPO > p q GRPO: true in {counted(check.pq)}; {least(check.pq)}"
    yield f"It does not claim q SGPO > q GRPO: true in {counted(check.q)}; {least(check.q)}"


def gradient_lines(groups: int, seed: int) -> Iterator[str]:
    """Sampled against exact at each point, and how the error falls with the number of groups."""
    yield f"{'p, q':>9}  method   {'a_p':>8} {'exact':>8} {'error':>7} {'std err':>7}   " + (
        f"{'a_q':>8} {'exact':>8} {'error':>7} {'std err':>7}"
    )
    worst = dict.fromkeys((groups // 100, groups // 10, groups), 0.0)
    for count in worst:
        for row, (p, q) in enumerate(POINTS):
            for method, moves in MOVES.items():
                # Both methods see the same responses.
                found, exact = estimate(method, p, q, count, np.random.default_rng([seed, row])), moves(p, q)
                errors = [relative_error(a, b) for a, b in zip(found.moves, exact, strict=True)]
                worst[count] = max(worst[count], *errors)
                if count == groups:
                    yield f"{f'{p}, {q}':>9}  {method.upper()}  " + _gradient_cells(found, exact)
    yield "largest error: " + ", ".join(f"{error:.2%} with {count:,} groups" for count, error in worst.items())


def _gradient_cells(found: Estimate, exact: Pair) -> str:
    cells = zip(found.moves, exact, found.errors, strict=True)
    return "  ".join(f"   {a:8.6f} {b:8.6f} {relative_error(a, b):7.2%} {s / b:7.2%}" for a, b, s in cells)


def distance_lines(exact: dict[str, Curve], sampled: dict[str, Curve]) -> Iterator[str]:
    for method, curve in exact.items():
        distances = {
            name: np.abs(getattr(sampled[method], f"{name}_K") - getattr(curve, f"{name}_K")).max()
            for name in ("p", "q", "pq")
        }
        parts = ", ".join(f"{distance:.4f} in {name}" for name, distance in distances.items())
        yield f"{method.upper()}: largest distance from the closed form {parts}"


if __name__ == "__main__":
    sys.exit(main())
