"""Programs that try to pass without being right: none may."""

# ruff: noqa: E501 - a program is easier to read on few lines
from __future__ import annotations

import shutil
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from schemas.sample import Metadata, Reference, Sample
from services.verifier.code.languages import LANGUAGES, as_named
from services.verifier.code.stdio import cases_of
from services.verifier.code_static import CodeStatic
from services.verifier.code_tests import CodeTests
from services.verifier.settings import VerifierSettings
from tests.support.hostile import TOOLS

TESTS = ["assert add(2, 3) == 5", "assert add(-1, 1) == 0", "assert sorted([add(1, 1), 1]) == [1, 2]"]
LIAR = """
class Liar(int):
    def __eq__(self, other): return True
    def __ne__(self, other): return False
    def __hash__(self): return 0
    def __bool__(self): return True
"""
CHEATS = {
    "exit before the asserts": "import sys\nsys.exit(0)",
    "exit in the function": "import sys\ndef add(a, b): sys.exit(0)",
    "hard exit": "import os\ndef add(a, b): os._exit(0)",
    "hard exit when loaded": "import os\nos._exit(0)",
    "equal to everything": LIAR + "def add(a, b): return Liar(7)",
    "an object equal to everything": LIAR.replace("(int)", "") + "def add(a, b): return Liar()",
    "a list equal to everything": LIAR.replace("(int)", "(list)") + "def add(a, b): return Liar()",
    "a lying metaclass": "class M(type):\n def __eq__(c, o): return True\n __hash__ = type.__hash__\n"
    "class C(metaclass=M): pass\ndef add(a, b): return C",
    "another AssertionError": "import builtins\nclass E(Exception): pass\nbuiltins.AssertionError = E\ndef add(a, b): return 0",
    "another sorted": "import builtins\nbuiltins.sorted = lambda *_: [1, 2]\nsorted = builtins.sorted\ndef add(a, b): return 5",
    "success on stdout": "print('[\"\", \"pass\", \"\", \"\"]', flush=True)\ndef add(a, b): return 0",
    "success on every descriptor": "import os\nfor d in range(64):\n try: os.write(d, b'\\n[\"\", \"pass\", \"\", \"\"]\\n')\n"
    " except OSError: pass\nos._exit(0)",
    "answers sent ahead": "import os, json, struct\nb = json.dumps(['!', ['value', True, None, None]]).encode()\n"
    "os.write(3, (struct.pack('!I', len(b)) + b) * 9)\nos._exit(0)",
    "a message of nonsense": "import os\nos.write(3, b'\\0\\0\\0\\2[]')\ndef add(a, b): return 5",
    "the stream is closed": "import os\nos.close(3)\ndef add(a, b): return 5",
    "raising what ends interpreters": "def add(a, b): raise KeyboardInterrupt",
    "raising GeneratorExit": "def add(a, b): raise GeneratorExit",
    "reading the tests": "import pathlib\ntext = pathlib.Path('plan.json').read_text()\ndef add(a, b): return eval(text)",
    "looking up the stack": "import sys\ndef add(a, b):\n f = sys._getframe()\n"
    " while f: f.f_globals['add'] = lambda *_: 5; f = f.f_back\n return 0",
    "patching the harness": "import sys\nfor n, m in list(sys.modules.items()):\n if 'inside' in n:\n"
    "  for k in list(vars(m)):\n   if callable(vars(m)[k]): setattr(m, k, lambda *a, **k: True)\ndef add(a, b): return 0",
    "patching the encoder": "import sys\nfor m in list(sys.modules.values()):\n"
    " if hasattr(m, 'encoded'): m.encoded = lambda *a: ['own', 0, 'object', 'int']\ndef add(a, b): return 0",
    "a thread that ends the process": "import threading, os\nthreading.Timer(0.01, os._exit, [0]).start()\ndef add(a, b):\n"
    " while True: pass",
    "signals to everybody": "import os, signal\nos.kill(-1, signal.SIGKILL)\ndef add(a, b): return 5",
    "a handler of exits": "import atexit\natexit.register(print, 'pass')\nraise SystemExit(0)",
    "asserts switched off": "import sys\nsys.flags = None\n__debug__x = False\ndef add(a, b): return 0",
    "an exception that lies": "class E(Exception):\n def __instancecheck__(*_): return True\ndef add(a, b): raise E(5)",
    "a generator of all answers": "def add(a, b):\n yield from range(100)",
    "a property that changes": "class C:\n n = 0\n @property\n def __class__(self): return int\n"
    " def __eq__(self, o): return True\ndef add(a, b): return C()",
    "nothing at all": "def add(a, b): pass",
}  # fmt: skip


def sample(code: str, tests: list[str], entry_point: str | None = "add") -> Sample:
    reference = Reference(tests=tests, entry_point=entry_point)
    return Sample(id="s", instruction="Do it.", response=code, metadata=Metadata(domain="code", reference=reference))


@pytest_asyncio.fixture(scope="module", loop_scope="module", params=TOOLS)
async def check(request: pytest.FixtureRequest) -> AsyncIterator[CodeTests]:
    if shutil.which(TOOLS[request.param]) is None:
        pytest.skip(f"{TOOLS[request.param]} is not installed")
    found = CodeTests(VerifierSettings(sandbox=request.param, sandbox_boxes=1))
    probe = await found.check(sample("def add(a, b): return a + b", TESTS), {})
    if probe is not None and probe.reason == "no_sandbox":
        pytest.skip(f"no sandbox here: {probe.evidence}")
    assert probe is not None
    assert probe.verdict == "pass", probe
    yield found
    await found.close()


pytestmark = pytest.mark.asyncio(loop_scope="module")


@pytest.mark.parametrize("name", CHEATS)
async def test_no_cheat_passes(check: CodeTests, name: str) -> None:
    finding = await check.check(sample(CHEATS[name], TESTS), {"cpu_seconds": 1.0, "wall_seconds": 5.0})
    assert finding is not None
    assert finding.verdict != "pass"
    assert finding.reason != "no_sandbox"


@pytest.mark.parametrize(
    ("code", "test"),
    [
        ("import os\ndef add(a, b): os._exit(0)", "try:\n    add(1, 2)\nexcept BaseException:\n    pass\nassert True"),
        ("import sys\ndef add(a, b): sys.exit()", "try:\n    add(1, 2)\nexcept:\n    pass\nassert True"),
        ("class T:\n def __bool__(self): return True\ndef add(a, b): return T()", "assert add(1, 2)"),
        (
            "class T:\n def __lt__(self, o): return True\n __gt__ = __lt__\ndef add(a, b): return T()",
            "assert add(1, 2) < 4",
        ),
        ("class T:\n def __contains__(self, o): return True\ndef add(a, b): return T()", "assert 3 in add(1, 2)"),
        (
            "class T(float):\n def __sub__(self, o): return 0.0\ndef add(a, b): return T(9)",
            "assert abs(add(1, 2) - 3) < 1",
        ),
        ("def add(a, b): return 0\ndef poly(*_): return 0", "def poly(x): return x - 3\nassert poly(add(1, 2)) == 0"),
        ("def add(a, b): return 0\nclass np: allclose = lambda *_: True", "assert np.allclose(add(1, 2), 3)"),
        (
            "def add(a, b): return 0\ndef same(*_): return True",
            "def check(candidate):\n    assert same(candidate(1, 2), 3)",
        ),
        ("import itertools\ndef add(a, b): return itertools.count()", "assert 3 in add(1, 2)"),
        ("def add(a, b): return 0\nclass math: isclose = lambda *_: True", "assert math.isclose(add(1, 2), 3)"),
        ("def add(a, b): raise StopIteration", "assert all(map(lambda x: add(x, 1) == x + 1, [1, 2]))"),
        (
            "class T:\n @property\n def __class__(self): raise StopIteration\ndef add(a, b): return len\nadd = T()",
            "assert all(map(lambda x: add == x, [1, 2]))",
        ),
        ("class T(list):\n def __eq__(self, o): return True\nadd = T", "assert add() == [1]"),
        ("def add(a, b): return 0", "assert True"),
        ("def add(a, b): return 0", "def check(candidate):\n    assert True"),
        (
            "class add:\n def __init__(self, *_): pass\n def __enter__(self): return self\n"
            " def __exit__(self, *_): return True",
            "with add(1, 2) as a:\n    assert a == 3",
        ),
        (
            "class add:\n def __init__(self, *_): pass\n def __enter__(self): return self\n"
            " def __exit__(self, *_): return True",
            "with add(1, 2) as a:\n    if a != 3: raise ValueError\nassert True",
        ),
        ("def add(f): return f.__globals__ or f.__self__", "assert add(lambda: 3) == 3"),
        ("def add(f): return f.gi_frame.f_globals", "assert add(x for x in [3]) == 3"),
        (
            "def add(t): t.assertEqual = print",
            "import unittest\nclass T(unittest.TestCase):\n def test_it(self):\n  add(self)\n  self.assertEqual(1, 2)",
        ),
        ("def add(n): n.__class__ = int", "class N: pass\nassert add(N()) == 3"),
        ("def add(): return 'x' * 9_000_000", "assert add()[-1] == 'x'"),
    ],
)
async def test_tests_that_could_be_deceived_are_not(check: CodeTests, code: str, test: str) -> None:
    finding = await check.check(sample(code, [test]), {})
    assert finding is not None
    assert finding.verdict in {"fail", "unknown"}


@pytest.mark.parametrize(
    ("code", "tests"),
    [
        ("def add(a):\n a.sort()", ["x = [3, 1, 2]\nadd(x)\nassert x == [1, 2, 3]"]),
        ("def add(a):\n a[0].append(1)\n return a", ["x = [[0]]\ny = x[0]\nassert add(x) is x\nassert y == [0, 1]"]),
        ("def add(f, xs): return [f(x) for x in xs]", ["assert add(lambda x: x * 2, iter([1, 2])) == [2, 4]"]),
        ("def add(n):\n for i in range(n): yield i", ["assert list(add(3)) == [0, 1, 2]", "assert next(add(1)) == 0"]),
        ("def add(a):\n if a < 0: raise ValueError('negative', a)\n return a",
         ["try:\n    add(-1)\nexcept ValueError as error:\n    assert error.args == ('negative', -1)\nelse:\n    assert False"]),
        ("class Bad(Exception): pass\ndef add(a): raise Bad('x')",
         ["import unittest\nclass T(unittest.TestCase):\n def test_it(self):\n  with self.assertRaises(Bad): add(1)"]),
        ("class add:\n def __init__(self): self.items = []\n def push(self, x): self.items.append(x)\n"
         " def __len__(self): return len(self.items)",
         ["s = add()\ns.push(4)\nassert len(s) == 1 and s.items == [4]\nassert isinstance(s, add)"]),
        ("from collections import namedtuple, Counter\nP = namedtuple('P', 'x y')\ndef add(a): return P(1, Counter('aab'))",
         ["assert add(0) == (1, {'a': 2, 'b': 1})"]),
        ("from typing import NamedTuple\nclass P(NamedTuple):\n x: int\n y: int = 0\ndef add(p): return P(p.x + 1)",
         ["assert add(P(1)) == P(2) == (2, 0)\nassert add(P(3)).x == 4 and add(P(3)) != P(3)"]),
        ("class add(list):\n def push(self, x): self.append(x)", ["s = add()\ns.push(1)\nassert s == [1] and s != [2]"]),
        ("import enum\nclass C(enum.Enum):\n R = 1\n G = 2\ndef add(c): return C.G", ["assert add(C.R) is C.G"]),
        ("from collections import Counter, defaultdict, OrderedDict\ndef add(s):\n d = defaultdict(list)\n d['k'].append(s)\n"
         " return Counter(s), d, OrderedDict(a=1)",
         ["c, d, o = add('aab')\nassert c.most_common(1) == [('a', 2)] and c['z'] == 0 and c == {'a': 2, 'b': 1}\n"
          "assert d['z'] == [] and d['k'] == ['aab'] and list(o) == ['a']"]),
        ("def add(n):\n before = None\n while n is not None:\n  n.next, before, n = before, n, n.next\n return before",
         ["class Node:\n def __init__(self, v, n=None): self.v, self.next = v, n\n"
          "a = Node(1, Node(2))\nr = add(a)\nassert r.v == 2 and r.next is a and a.next is None"]),
        ("class add:\n def __init__(self, v, n=None): self.v, self.next = v, n",
         ["n = add(1, add(2))\nseen = []\nwhile n:\n seen.append(n.v)\n n = n.next\nassert seen == [1, 2]"]),
        ("async def add(a):\n return a + 1", ["import asyncio\nassert asyncio.run(add(1)) == 2",
                                           "async def test_it():\n assert await add(2) == 3"]),
        ("class add:\n def __enter__(self): return self\n def __exit__(self, *_): self.n = 4\n n = 3",
         ["a = add()\nwith a as b:\n assert b.n == 3 and b is a\nassert a.n == 4"]),
        ("def add(a): return {1: {2.5, None}, 'k': (b'x', 3 + 4j, 10 ** 40, float('inf'))}",
         ["assert add(0) == {1: {2.5, None}, 'k': (b'x', 3 + 4j, 10 ** 40, float('inf'))}"]),
        ("from decimal import Decimal\nfrom datetime import date\ndef add(a): return [Decimal('1.10'), date(2020, 1, 2)]",
         ["import datetime, decimal\nassert add(0) == [decimal.Decimal('1.1'), datetime.date(2020, 1, 2)]"]),
        ("def add(a): return '\\ud800' + a", ["assert add('é') == '\\ud800é'"]),
        ("def add(a): return a + 1\nif __name__ == '__main__':\n print(add(int(input())))", ["def test_one():\n assert add(1) == 2"]),
        ("def add(a): return a + 1", ["class TestAdd:\n def setup_method(self): self.two = 2\n"
         " def test_it(self): assert add(1) == self.two"]),
        ("def add(a): return a + 1", ["async def test_it(): assert add(1) == 2"]),
        ("def add(a): return a + 1", ["def test_it(a=1): assert add(a) == 2"]),
        ("def add(a): return a + 1", ["if add(1) != 2: raise ValueError('no')"]),
    ],
)  # fmt: skip
async def test_honest_programs_pass(check: CodeTests, code: str, tests: list[str]) -> None:
    finding = await check.check(sample(f"Here it is:\n\n```python\n{code}\n```\nDone.", tests), {})
    assert finding is not None
    assert (finding.verdict, finding.evidence) == ("pass", None)


@pytest.mark.parametrize(
    ("code", "tests", "verdict", "reason"),
    [
        ("def add(a, b): return a", ["print(add(1, 2))"], "unknown", "no_tests"),
        ("def add(a, b): return a", ["assert add(1, == 2"], "unknown", "tests_unreadable"),
        ("def add(a, b): return a +", TESTS, "fail", "syntax_error"),
        ("def other(a, b): return a", TESTS, "fail", "raises: NameError"),
        ("import numpy_of_nowhere\ndef add(a, b): return a + b", TESTS, "unknown", "missing_module: numpy_of_nowhere"),
        ("def add(a, b):\n while True: pass", TESTS, "timeout", "cpu_limit"),
        ("def add(a, b): return 0", ["class TestAdd:\n def test_it(self): assert add(1, 2) == 3"], "fail", "assertion"),
        ("def add(a, b): return 0", ["async def test_it(): assert add(1, 2) == 3"], "fail", "assertion"),
        ("def add(a, b): return 0", ["def test_it(a): assert add(a, 2) == 3"], "unknown", "value_cannot_cross"),
        ("def add(a, b): return 0", ["def main():\n assert add(1, 2) == 3\nif __name__ == '__main__': main()"],
         "unknown", "no_test_ran"),
        ("def add(a, b): return 0", ["if False: assert add(1, 2) == 3\nadd(1, 2)"], "unknown", "no_test_ran"),
        ("class T:\n def __bool__(self): return True\ndef add(a, b): return T()",
         ["import unittest\nclass T(unittest.TestCase):\n def test_it(self): self.assertTrue(add(1, 2))"],
         "unknown", "value_cannot_cross"),
        ("def add(): print('hi')", ["import io, contextlib\nwith contextlib.redirect_stdout(io.StringIO()) as o: add()\n"
         "assert o.getvalue() == 'hi\\n'"], "unknown", "tests_reach_into_program"),
        ("def add(): return input()", ["from unittest.mock import patch\nwith patch('builtins.input', lambda: 1):\n assert add()"],
         "unknown", "tests_reach_into_program"),
        ("def add(): return 'x' * 9_000_000", ["assert add()[-1] == 'x'"], "unknown", "value_cannot_cross"),
        ("```cobol\nDISPLAY 1\n```", TESTS, "unknown", "language_not_served: cobol"),
        ("```js\nfunction add(a, b) { return a + b }\n```", TESTS, "unknown", "tests_not_served"),
    ],
)  # fmt: skip
async def test_what_is_no_pass_says_why(
    check: CodeTests, code: str, tests: list[str], verdict: str, reason: str
) -> None:
    finding = await check.check(sample(code, tests), {"cpu_seconds": 0.5})
    assert finding is not None
    assert (finding.verdict, finding.reason) == (verdict, reason)


@pytest.mark.parametrize(
    ("response", "entry_point"),
    [
        ("```python\r\ndef add(a):\r\n    return a + 1\r\n```\r\n", "add"),
        ("1. So:\n\n   ```python\n   def add(a):\n       return a + 1\n   ```\n", "add"),
        ("\ufeffdef add(a):\n    return a + 1", "add"),
        ("```python\ndef add(a): return a + 1\n```\n```python\nprint(add(1))  # and a long line of words\n```", "add"),
        (
            "```python\ndef add(a):\n    # at first, and wrong\n    return a\n```\n```python\ndef add(a): return a + 1\n```",
            "add",
        ),
        ("```python\ndef one(): return 1\n```\n```python\ndef add(a): return a + one()\n```", "add"),
        ("class Solution:\n    def add(self, a): return a + 1", "Solution().add"),
    ],
)
async def test_the_block_that_is_meant_is_found(check: CodeTests, response: str, entry_point: str) -> None:
    one = sample(response, ["def check(candidate):\n    assert candidate(1) == 2"], entry_point)
    finding = await check.check(one, {})
    assert finding is not None
    assert (finding.verdict, finding.evidence) == ("pass", None)
    static = CodeStatic().check(one, {})
    assert static is None or static.verdict == "pass"


@pytest.mark.parametrize(
    ("tests", "cases"),
    [
        (['{"stdin": "1", "stdout": "2"}', '{"input": "", "output": "3"}'], [("1", "2"), ("", "3")]),
        (['[{"stdin": "1", "stdout": "2"}, {"input": "", "output": "3"}]'], [("1", "2"), ("", "3")]),
        (['{"inputs": ["1", ""], "outputs": ["2", "3"]}'], [("1", "2"), ("", "3")]),
        (['{"inputs": ["1"], "outputs": []}'], None),
        (['{"stdin": 1, "stdout": "2"}'], None),
        (['["assert 1"]'], None),
        (["[]"], None),
        (["assert add(1) == 2"], None),
    ],
)
async def test_cases_of_standard_input_have_three_forms(tests: list[str], cases: list[tuple[str, str]] | None) -> None:
    found = cases_of(tests)
    assert (found and [(case.stdin, case.stdout) for case in found]) == cases


@pytest.mark.parametrize(
    ("source", "file", "main"),
    [
        ("public class Main { public static void main(String[] a) {} }", "Main.java", "Main"),
        ("package a.b;\npublic final class S { static class N {} static void main(String[] a) {} }", "S.java", "a.b.S"),
        (
            'class N {}\nclass S { String s = "}"; // class Z {\n public static void main(String... a) {} }',
            "Main.java",
            "S",
        ),
        ("class A { public static void main(String[] a) {} }\nclass B { }", "Main.java", "A"),
        ("public interface X {}", "X.java", "X"),
    ],
)
async def test_java_is_named_by_its_classes(source: str, file: str, main: str) -> None:
    named = as_named(LANGUAGES["java"], source)
    assert (named.file, named.start[-1]) == (file, main)


async def test_without_a_sandbox_nothing_runs() -> None:
    check = CodeTests(VerifierSettings(sandbox="none"))
    finding = await check.check(sample("def add(a, b): return a + b", TESTS), {})
    await check.close()
    assert finding is not None
    assert (finding.verdict, finding.reason) == ("unknown", "no_sandbox")
