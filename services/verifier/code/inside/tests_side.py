"""The tests' process: run the reference's tests against stand-ins, and say how that ended.

What it says goes to its own standard output, which the program does not have, behind a mark that only this run knows.
"""

from __future__ import annotations

import ast
import builtins
import inspect
import io
import json
import sys
import traceback
import types
from collections.abc import Callable
from typing import Any

from services.verifier.code.inside.stand_ins import TESTS, Link, ProgramEnded, Untestable

_MOST_TOLD = 600
_REACHED = "_limoflow_reached"


class Names(dict[str, Any]):
    """The names of the tests; those that only the program can know are asked of it.

    Attributes
    ----------
    reached : int
        Assertions that were come to, and test cases of unittest that were run.
    """

    def __init__(self, link: Link, wanted: list[str]) -> None:
        super().__init__(__builtins__=builtins.__dict__, __name__=TESTS)
        self._link, self._wanted = link, frozenset(wanted)
        self[_REACHED] = self.reach
        self.reached = 0

    def __missing__(self, name: str) -> Any:
        if name not in self._wanted:
            raise KeyError(name)
        self[name] = self._link.named(name)
        return self[name]

    def reach(self, number: int = 1) -> None:
        """Count what was come to."""
        self.reached += number


class _Counted(ast.NodeTransformer):
    """Puts a call that counts before every assertion, so that tests that were never come to are no pass."""

    def visit_Assert(self, node: ast.Assert) -> list[ast.stmt]:
        call = ast.Call(ast.Name(_REACHED, ast.Load()), [], [])
        return [ast.fix_missing_locations(ast.copy_location(ast.Expr(call), node)), node]


def run(plan: dict[str, Any], link: Link) -> tuple[str, str, str]:
    """Return verdict, reason and evidence."""
    try:
        link.ask(["load", plan["program"]])
    except Exception as error:  # noqa: BLE001 - it is the program's
        return _of_load(error)
    names = Names(link, plan["wanted"])
    try:
        for chunk in plan["setup"]:
            exec(compile(chunk, "setup.py", "exec", dont_inherit=True), names)  # noqa: S102 - not the program's
    except Exception as error:  # noqa: BLE001 - whatever it is
        return "unknown", "setup_fails", _told(error)
    trees = [ast.parse(chunk) for chunk in plan["tests"]]
    asserts = any(isinstance(node, ast.Assert) for tree in trees for node in ast.walk(tree))
    _run_tests(plan, trees, names)
    if link.trouble is not None:
        raise link.trouble
    if not link.used or (asserts and not names.reached):
        return "unknown", "no_test_ran", "the tests ended, and no assertion was come to, or nothing of the program used"
    if link.doubt:
        return "unknown", "loops_may_have_ended", link.doubt
    return "pass", "", ""


def _run_tests(plan: dict[str, Any], trees: list[ast.Module], names: Names) -> None:
    for number, tree in enumerate(trees):
        counted = _Counted().visit(tree)
        exec(compile(counted, f"test{number}.py", "exec", dont_inherit=True), names)  # noqa: S102 - not the program's
    own = dict(names)
    if plan["check"]:
        own["check"](eval(plan["entry_point"], names))  # noqa: S307 - `Solution().twoSum`, and not the program's
    for name, value in own.items():
        if name.startswith("test") and isinstance(value, types.FunctionType):
            _call(value)
        elif name.startswith("Test") and isinstance(value, type) and not hasattr(value, "assertEqual"):
            _run_methods(value)
    if "unittest" in sys.modules:
        names.reach(_run_cases([each for each in own.values() if isinstance(each, type)]))


def _call(test: Callable[..., Any]) -> None:
    try:
        inspect.signature(test).bind()
    except TypeError as error:
        raise Untestable(f"a test wants arguments: {test.__name__}") from error
    result = test()
    if inspect.iscoroutine(result):
        # Not at the top: the warm interpreter has not imported it, and it takes longer than most tests.
        import asyncio

        asyncio.run(result)


def _run_methods(kind: type) -> None:
    for name in [name for name in dir(kind) if name.startswith("test")]:
        case = kind()
        for place in ("setup_method", name, "teardown_method"):
            if hasattr(case, place):
                _call(getattr(case, place))


def _run_cases(kinds: list[type]) -> int:
    import unittest

    number = 0
    for kind in (each for each in kinds if issubclass(each, unittest.TestCase)):
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(kind)
        outcome = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
        if not outcome.wasSuccessful() or not outcome.testsRun:
            told = [text for _, text in (*outcome.failures, *outcome.errors)]
            raise AssertionError(told[0] if told else "no test ran")
        number += outcome.testsRun - len(outcome.skipped)
    return number


def judged(plan: dict[str, Any]) -> tuple[str, str, str]:
    """Run, and turn what stops the tests into a verdict."""
    link = Link()
    verdict = _judged(plan, link)
    if isinstance(link.trouble, Untestable):  # the tests, or unittest, made something else of it
        return "unknown", "value_cannot_cross", str(link.trouble)
    return verdict


def _judged(plan: dict[str, Any], link: Link) -> tuple[str, str, str]:  # noqa: PLR0911 - one for each way to end
    try:
        return run(plan, link)
    except AssertionError as error:
        return "fail", "assertion", _told(error)
    except ProgramEnded as error:
        return "fail", "program_ends", str(error)
    except Untestable as error:
        return "unknown", "value_cannot_cross", str(error)
    except ModuleNotFoundError as error:
        return "unknown", f"missing_module: {error.name}", _told(error)
    except MemoryError as error:
        return "unknown", "tests_out_of_memory", _told(error)
    except Exception as error:  # noqa: BLE001 - whatever stops the tests, a plain run would fail too
        return "fail", f"raises: {type(error).__name__}", _told(error)


def _of_load(error: Exception) -> tuple[str, str, str]:
    if isinstance(error, ModuleNotFoundError):
        return "unknown", f"missing_module: {error.name}", _told(error)
    if isinstance(error, SyntaxError):
        return "fail", "syntax_error", _told(error)
    return "fail", f"raises_when_loaded: {type(error).__name__}", _told(error)


def _told(error: BaseException) -> str:
    where = [each for each in traceback.extract_tb(error.__traceback__) if each.filename.startswith("test")]
    line = f"{where[-1].filename}:{where[-1].lineno}: " if where else ""
    try:
        return f"{line}{type(error).__name__}: {error}"[:_MOST_TOLD]
    except Exception:  # noqa: BLE001 - a message that cannot be made
        return f"{line}{type(error).__name__}"


def main() -> None:
    """Read the plan, run it, report."""
    with open("plan.json", "rb") as file:  # noqa: PTH123 - nor pathlib
        plan = json.load(file)
    out, mark = sys.stdout, plan.pop("mark")
    sys.stdout = io.StringIO()
    sys.setrecursionlimit(4000)
    verdict = judged(plan)
    out.write("\n" + json.dumps([mark, *verdict]) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
