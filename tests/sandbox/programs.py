"""More than two hundred programs, good and hostile, with what is due to each: tests passed of the four of its task.

A program that is asked for ``add`` is called; one of ``SUM`` reads two numbers and prints their sum. What a hostile one
tries it tries where it is loaded and where it is called, and says nothing that is right.
"""

# ruff: noqa: E501 -- programs stand on one line
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

ADD = ("assert add(2, 3) == 5", "assert add(-1, 1) == 0", "assert add(10, 20) == 30", "assert add(2.5, 0.5) == 3.0")
SUM = (("2 3\n", "5\n"), ("-1 1\n", "0\n"), ("10 20\n", "30\n"), ("1000000007 1\n", "1000000008\n"))
LEFT = "left-by-a-program"
"""Name of every file that a program tries to leave."""


@dataclass(frozen=True)
class Program:
    name: str
    code: str
    due: int = 0
    """Tests that it passes."""
    script: bool = False
    """It reads standard input; else it has ``add``."""
    hangs: bool = False
    """It is ended at its deadline."""


RIGHT = "def add(a, b):\n    return a + b\n"
READS = "a, b = map(int, input().split())\nprint(a + b)\n"

GOOD_ADD = {
    "plain": RIGHT,
    "typed": "from typing import List, Optional, Union\n" + RIGHT,
    "lambda": "add = lambda a, b: a + b",
    "noise": "print('hello')\n" + RIGHT + "print(add(1, 1))",
    "noise within": "def add(a, b):\n    print('adding', a, b)\n    return a + b",
    "main guard": RIGHT + "if __name__ == '__main__':\n    raise SystemExit(add(1, 2))",
    "recursion": "def add(a, b):\n    return a + b if b <= 0 or b != int(b) else add(a + 1, b - 1)",
    "deep": "import sys\nsys.setrecursionlimit(10**6)\ndef f(n):\n    return n and f(n - 1)\n"
            "def add(a, b):\n    f(20000)\n    return a + b",
    "class": "class Adder:\n    def __call__(self, a, b):\n        return a + b\nadd = Adder()",
    "dataclass": "from dataclasses import dataclass\n@dataclass\nclass P:\n    a: float\n    b: float\n"
                 "def add(a, b):\n    p = P(a, b)\n    return p.a + p.b",
    "named tuple": "from typing import NamedTuple\nclass P(NamedTuple):\n    a: float\n    b: float\n"
                   "def add(a, b):\n    return sum(P(a, b))",
    "partial": "import functools, operator\nadd = functools.partial(operator.add)",
    "cached": "import functools\n@functools.lru_cache(None)\ndef add(a, b):\n    return a + b",
    "thread": "import threading\ndef add(a, b):\n    out = []\n"
              "    t = threading.Thread(target=lambda: out.append(a + b))\n    t.start()\n    t.join()\n    return out[0]",
    "a pool": "from concurrent.futures import ThreadPoolExecutor\ndef add(a, b):\n"
              "    with ThreadPoolExecutor(4) as pool:\n        return list(pool.map(sum, [(a, b)] * 9))[8]",
    "asyncio": "import asyncio\nasync def f(a, b):\n    await asyncio.sleep(0)\n    return a + b\n"
               "def add(a, b):\n    return asyncio.run(f(a, b))",
    "thread that lives on": "import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,)).start()\n" + RIGHT,
    "busy": "def add(a, b):\n    sum(range(10**6))\n    return a + b",
    "memory": "def add(a, b):\n    x = bytearray(200 << 20)\n    return a + b + x[5]",
    "own assert": "def add(a, b):\n    assert a is not None\n    return a + b",
    "own exception": "class Odd(Exception): pass\ndef add(a, b):\n    try:\n        raise Odd\n    except Odd:\n"
                     "        return a + b",
    "exit name": "exit\nquit\n" + RIGHT,
    "numpy, if there is": "try:\n    import numpy\nexcept ImportError:\n    numpy = None\n" + RIGHT,
    "a generator within": "def add(a, b):\n    return sum(x for x in (a, b))",
    "global state": "calls = 0\ndef add(a, b):\n    global calls\n    calls += 1\n    return a + b",
    "fraction": "from fractions import Fraction\ndef add(a, b):\n    return Fraction(a) + Fraction(b)",
    "decimal": "from decimal import Decimal\ndef add(a, b):\n    return Decimal(a) + Decimal(b)",
    "int of its own": "class N(int): pass\ndef add(a, b):\n    return N(a + b) if a + b == int(a + b) else a + b",
    "in a string": "exec('def add(a, b): return a + b')\nadd = add",
    "unicode": "# é 答 😀\ndef add(a, b):\n    größe = a + b\n    return größe",
}  # fmt: skip
"""Each passes all tests."""
MODULES = (
    "abc array ast base64 bisect calendar cmath collections contextlib copy csv datetime enum hashlib heapq inspect io "
    "itertools json logging math numbers os pickle pprint queue random re secrets sqlite3 statistics string struct sys "
    "textwrap time traceback types unittest uuid zlib"
).split()
GOOD_SUM = {
    "input": READS,
    "stdin": "import sys\nprint(sum(map(int, sys.stdin.read().split())))",
    "open(0)": "print(sum(map(int, open(0).read().split())))",
    "os.read": "import os\nprint(sum(map(int, os.read(0, 100).split())))",
    "lines": "import sys\nfor line in sys.stdin:\n    print(sum(map(int, line.split())))",
    "write": "import sys\nsys.stdout.write(str(sum(map(int, input().split()))) + '\\n')",
    "no newline": "print(sum(map(int, input().split())), end='')",
    "spaces": "print(sum(map(int, input().split())), '  \\n\\n')",
    "main": "def main():\n    a, b = map(int, input().split())\n    print(a + b)\nif __name__ == '__main__':\n    main()",
    "exit": READS + "exit()",
    "exit 0": READS + "import sys\nsys.exit(0)",
    "_exit 0": READS + "import os, sys\nsys.stdout.flush()\nos._exit(0)",
    "a big stack": "import sys, threading\nsys.setrecursionlimit(10**6)\nthreading.stack_size(1 << 27)\n"
                   "def f(n):\n    return n and f(n - 1)\ndef main():\n    f(10**5)\n    print(sum(map(int, input().split())))\n"
                   "t = threading.Thread(target=main)\nt.start()\nt.join()",
    "stderr": "import sys\nprint('debug ' * 50000, file=sys.stderr)\n" + READS,
    "a float": "print(float(sum(map(int, input().split()))))",
    "reads too far": READS + "try:\n    input()\nexcept EOFError:\n    pass",
}  # fmt: skip
PARTLY = (
    Program("a constant", "def add(a, b): return 5", 1),
    Program("the first example by heart", "def add(a, b): return {(2, 3): 5}.get((a, b))", 1),
    Program("positive ones", "def add(a, b): return abs(a) + abs(b)", 3),
    Program("whole ones", "def add(a, b): return int(a) + int(b)", 3),
    Program("raises on some", "def add(a, b):\n    if a < 0: raise ValueError\n    return a + b", 3),
    Program("ends on the third", RIGHT + "n = 0\nfrom os import _exit\nplus = add\ndef add(a, b):\n    global n\n    n += 1\n"
            "    return plus(a, b) if n < 3 else _exit(0)", 2),
    Program("hangs on the third", "def add(a, b):\n    while a == 10: pass\n    return a + b", 2, hangs=True),
    Program("the first example printed", "print(5)", 1, script=True),
    Program("small ones", "a, b = map(int, input().split())\nprint(a + b if a < 100 else 0)", 3, script=True),
)  # fmt: skip

# Each is tried where the program is loaded and where it is called; READS and RIGHT stand nowhere in them.
TRIES = {
    "fork": "os.fork()",
    "fork bomb": "while True:\n    try:\n        os.fork()\n    except OSError:\n        break",
    "fork by number": "[libc.syscall(n, 0, 0, 0, 0, 0) for n in (56, 57, 58, 435)]",
    "subprocess": "subprocess.run(['/bin/sh', '-c', 'sleep 1000 &'])",
    "system": "os.system('sleep 1000 &')",
    "multiprocessing": "multiprocessing.Process(target=time.sleep, args=(1000,)).start()",
    "another program": "os.execv('/bin/sh', ['sh', '-c', 'echo 5'])",
    "itself anew": "os.execv(sys.executable, [sys.executable, '-c', 'print(5)'])",
    "thread bomb": "while True:\n    try:\n        threading.Thread(target=time.sleep, args=(1000,), daemon=True).start()\n"
                   "    except RuntimeError:\n        break",
    "raw threads": "[libc.syscall(56, 0x10f00, 0, 0, 0, 0) for _ in range(100000)] if False else libc.syscall(57)",
    "memory": "x = bytearray(1 << 40)",
    "memory bit by bit": "x = []\nwhile True:\n    x.append(bytearray(1 << 20))",
    "memory by mmap": "import mmap\nx = [mmap.mmap(-1, 1 << 28) for _ in range(100)]",
    "memory in a file of memory": "f = os.memfd_create('x')\nwhile True:\n    os.write(f, bytes(1 << 20))",
    "memory in the input": "for _ in range(1000):\n    os.write(0, bytes(1 << 20))\nraise OSError",
    "memory in pipes": "x = [os.pipe() for _ in range(10**5)]",
    "shared memory": "libc.shmget(0, ctypes.c_size_t(1 << 34), 0o1777)\nraise MemoryError",
    "a deep text": "x = 'x'\nwhile True:\n    x += x",
    "recursion": "f = lambda: f()\nf()",
    "recursion in C": "import sys\nsys.setrecursionlimit(10**9)\nx = []\nfor _ in range(10**6):\n    x = [x]\nrepr(x)",
    "a file": "open('/tmp/LEFT', 'w').write('x')",
    "a file here": "open('LEFT', 'w').write('x')",
    "a file in shared memory": "open('/dev/shm/LEFT', 'w').write('x')",
    "a file at home": "open(os.path.expanduser('~/LEFT'), 'w').write('x')",
    "a full disk": "with open('/tmp/LEFT', 'wb') as f:\n    while True:\n        f.write(bytes(1 << 20))",
    "a folder": "os.mkdir('/tmp/LEFT')",
    "many folders": "[os.makedirs(f'/LEFT/{n}') for n in range(10**6)]",
    "a link": "os.symlink('/etc/passwd', '/tmp/LEFT')",
    "a link here": "os.symlink('/', 'LEFT')",
    "a link over Python": "os.symlink('/tmp', '/usr/lib/LEFT')",
    "a device": "os.mknod('/tmp/LEFT')",
    "its own code": "open('/inside/raysgpo/sandbox/inside/checker.py', 'w').write('')",
    "Python itself": "open(os.__file__, 'a').write('import LEFT')",
    "users": "print(open('/etc/passwd').read())",
    "a key": "print(open(os.path.expanduser('~/.ssh/id_rsa')).read())",
    "the environment": "print(*(v for k, v in os.environ.items() if 'KEY' in k or 'TOKEN' in k))\nraise KeyError",
    "a socket": "import socket\nsocket.create_connection(('127.0.0.1', 22), 1)",
    "a server": "import socket\nsocket.socket().bind(('0.0.0.0', 8000))",
    "a web page": "import urllib.request\nurllib.request.urlopen('http://1.1.1.1', timeout=1)",
    "a socket of a daemon": "import socket\nsocket.socket(socket.AF_UNIX).connect('/var/run/docker.sock')",
    "netlink": "import socket\nsocket.socket(16, socket.SOCK_RAW, 0)",
    "kill the parent": "os.kill(os.getppid(), 9)\nraise OSError",
    "kill all": "os.kill(-1, 9)",
    "kill the first": "os.kill(1, 9)\nraise OSError",
    "kill the group": "os.killpg(0, 9)",
    "kill by number": "for n in range(1, 40000):\n    try:\n        os.kill(n, 9)\n    except OSError:\n        pass\n"
                      "raise OSError",
    "frames": "f = sys._getframe()\nwhile f:\n    print(f.f_locals, f.f_globals)\n    f = f.f_back\nraise LookupError",
    "all objects": "print([o for o in gc.get_objects() if 'assert' in str(o)[:1000]])\nraise LookupError",
    "descriptors": "for n in range(3, 64):\n    try:\n        os.set_blocking(n, False)\n        print(os.read(n, 1000))\n"
                   "    except OSError:\n        pass\nraise LookupError",
    "all files": "import glob\nprint([f for f in glob.glob('/**', recursive=True) if 'test' in f][:5])\nraise LookupError",
    "proc": "print(open('/proc/self/environ').read())",
    "proc of the first": "print(os.listdir('/proc/1/root'))",
    "its memory": "open('/proc/self/mem', 'r+b').write(b'x')",
    "a mount": "libc.mount(b'none', b'/tmp', b'tmpfs', 0, 0)\nraise OSError",
    "a namespace": "libc.unshare(0x10000000)\nraise OSError",
    "trace": "libc.ptrace(16, 1, 0, 0)\nraise OSError",
    "root": "os.setuid(0)",
    "another root": "os.chroot('/usr')",
    "limits away": "import resource\nresource.setrlimit(resource.RLIMIT_AS, (-1, -1))",
    "exit": "sys.exit(0)",
    "hard exit": "os._exit(0)",
    "abort": "os.abort()",
    "kill itself": "os.kill(os.getpid(), 9)",
    "close all": "os.closerange(0, 100)\nraise OSError",
    "exit patched": "sys.exit = os._exit = lambda *a: None\nraise SystemExit(0)",
    "assert patched": "builtins.AssertionError = type('A', (), {})\nbuiltins.Exception = builtins.AssertionError\nraise OSError",
    "words forged": "for n in range(64):\n    try:\n        os.set_blocking(n, False)\n        os.write(n, b's1111')\n"
                    "    except OSError:\n        pass\nraise OSError",
    "harness patched": "m = sys.modules\n[setattr(m[n], 'written', lambda *a: b'b\\0\\0\\0\\1\\1') for n in m if 'values' in n]",
    "traced": "sys.settrace(lambda *a: None)\nsys.setprofile(lambda *a: os._exit(0))\nraise OSError",
}  # fmt: skip
HANGS = {
    "for ever": "while True:\n    pass",
    "sleep": "time.sleep(10**6)",
    "pause": "signal.pause()",
    "a lock": "l = threading.Lock()\nl.acquire()\nl.acquire()",
    "a pipe": "os.read(os.pipe()[0], 1)",
    "a large power": "9 ** 9 ** 9",
    "a long sum": "sum(range(10**13))",
    "a slow pattern": "import re\nre.match('(a+)+$', 'a' * 60 + 'b')",
    "signals ignored": "[signal.signal(n, signal.SIG_IGN) for n in range(1, 32) if n not in (9, 19)]\nwhile True:\n    pass",
    "an alarm that goes on": "signal.signal(14, lambda *a: None)\nsignal.setitimer(0, 0.01, 0.01)\nwhile True:\n    pass",
    "exceptions caught": "while True:\n    try:\n        time.sleep(1)\n    except BaseException:\n        pass",
    "busy threads": "[threading.Thread(target=lambda: [0 for _ in iter(int, 1)]).start() for _ in range(5)]\n"
                    "while True:\n    pass",
}  # fmt: skip
CHEATS_OF_ADD = {
    "equal to all": "class E:\n    __eq__ = lambda s, o: True\n    __ne__ = lambda s, o: False\n    __hash__ = None\n"
                    "def add(a, b): return E()",
    "an int equal to all": "class E(int):\n    __eq__ = lambda s, o: True\n    __hash__ = None\ndef add(a, b): return E(99)",
    "a float equal to all": "class E(float):\n    __eq__ = lambda s, o: True\n    __hash__ = None\ndef add(a, b): return E(99)",
    "a text equal to all": "class E(str):\n    __eq__ = lambda s, o: True\n    __hash__ = None\ndef add(a, b): return E('x')",
    "of a false class": "class E:\n    __class__ = property(lambda s: int)\n    __eq__ = lambda s, o: True\n"
                        "def add(a, b): return E()",
    "not a number": "def add(a, b): return float('nan')",
    "true": "def add(a, b): return True",
    "nothing": "def add(a, b): pass",
    "itself": "def add(a, b): return add",
    "an endless iterator": "import itertools\ndef add(a, b): return iter(int, 1)",
    "an endless generator": "def add(a, b):\n    while True:\n        yield a",
    "a deep list": "def add(a, b):\n    x = []\n    for _ in range(10**5):\n        x = [x]\n    return x",
    "a list in itself": "def add(a, b):\n    x = []\n    x.append(x)\n    return x",
    "a large text": "def add(a, b): return 'x' * (100 << 20)",
    "the name replaced": "def check(*a): pass\ncandidate = check\ndef add(*a): return NotImplemented",
    "no such function": "def plus(a, b): return a + b",
    "no program": "I think the answer is 5.",
    "half a program": "def add(a, b):\n    return (a +",
    "answers ahead": "import os\nfor n in range(3, 64):\n    try:\n        os.write(n, (b'\\0\\0\\0\\x1a' + b'l\\0\\0\\0\\x15s\\0\\0\\0\\5valuei\\0\\0\\0\\1\\5n\\0\\0\\0\\0') * 9)\n"
                     "    except OSError:\n        pass\ndef add(a, b): return None",
    "a long message": "import os\nfor n in range(3, 64):\n    try:\n        os.write(n, b'\\xff' * 9)\n    except OSError:\n        pass\n"
                      "def add(a, b): return 5",
    "the operator patched": "import operator\noperator.eq = lambda a, b: True\ndef add(a, b): return None",
    "raises what tests raise": "def add(a, b): raise AssertionError",
    "stops": "def add(a, b): raise StopIteration",
    "interrupts": "def add(a, b): raise KeyboardInterrupt",
    "an exception that cannot be told": "class E(Exception):\n    __str__ = lambda s: 1 / 0\ndef add(a, b): raise E",
}  # fmt: skip
CHEATS_OF_SUM = {
    "the input printed": "print(input())",
    "everything printed": "print(*range(100000))",
    "much printed": "while True:\n    print('5' * 10**6)",
    "right, and raises": READS + "raise ValueError",
    "right, and another status": READS + "import sys\nsys.exit(3)",
    "right, and more": READS + "print('done')",
    "right, on stderr": "import sys\nprint(sum(map(int, input().split())), file=sys.stderr)",
    "right, and a signal": READS + "import os, sys\nsys.stdout.flush()\nos.kill(os.getpid(), 9)",
    "nothing": "",
    "bytes that are no text": "import os\nos.write(1, b'\\xff\\xfe5')",
}
LIVING_ON = {
    "right, and a thread lives on": READS
    + "import threading, time\nthreading.Thread(target=time.sleep, args=(1e6,)).start()",
    "right, and closed, and lives on": "import os, time\nos.write(1, b'5\\n')\nos.close(1)\ntime.sleep(1e6)",
}
_IMPORTS = "import builtins, ctypes, gc, multiprocessing, os, signal, subprocess, sys, threading, time\nlibc = ctypes.CDLL(None)\n"


def programs() -> Iterator[Program]:
    for name, code in GOOD_ADD.items():
        yield Program(f"good: {name}", code, 4)
    for module in MODULES:
        yield Program(f"good: import {module}", f"import {module}\n{RIGHT}", 4)
    for name, code in GOOD_SUM.items():
        yield Program(f"good: {name}", code, 4, script=True)
    yield from PARTLY
    for number, (name, code) in enumerate((TRIES | HANGS).items()):
        code, hangs = code.replace("LEFT", LEFT), name in HANGS
        yield Program(f"called: {name}", f"{_IMPORTS}def add(a, b):\n{_indented(code)}", hangs=hangs)
        if number % 4 == 0:
            yield Program(f"loaded: {name}", f"{_IMPORTS}{code}\ndef add(a, b): return None", hangs=hangs)
        if number % 4 == 2:
            yield Program(f"script: {name}", f"{_IMPORTS}{code}\nprint('x')", script=True, hangs=hangs)
    for name, code in CHEATS_OF_ADD.items():
        yield Program(f"cheats: {name}", code)
    for name, code in CHEATS_OF_SUM.items():
        yield Program(f"cheats: {name}", code, script=True)
    for name, code in LIVING_ON.items():
        yield Program(f"lives on: {name}", code, script=True, hangs=True)


def _indented(code: str) -> str:
    return "\n".join(f"    {line}" for line in code.splitlines())
