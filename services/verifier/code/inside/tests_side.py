"""The tests' process: run the reference's tests against stand-ins, and say how that ended.

What it says goes to its own standard output, which the program does not have, behind a mark that only this run knows.
"""

from __future__ import annotations

import builtins
import io
import json
import sys
import traceback
import types
from pathlib import Path
from typing import Any

from services.verifier.code.inside.stand_ins import Link, ProgramEnded, Untestable

_MOST_TOLD = 600


class Names(dict[str, Any]):
    """The names of the tests; those that only the program can know are asked of it."""

    def __init__(self, link: Link, wanted: list[str]) -> None:
        super().__init__(__builtins__=builtins.__dict__, __name__="tests")
        self._link, self._wanted = link, frozenset(wanted)

    def __missing__(self, name: str) -> Any:
        if name not in self._wanted:
            raise KeyError(name)
        self[name] = self._link.named(name)
        return self[name]


def run(plan: dict[str, Any]) -> tuple[str, str, str]:
    """Return verdict, reason and evidence."""
    link = Link()
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
    _run_tests(plan, names)
    if link.trouble is not None:
        raise link.trouble
    return "pass", "", ""


def _run_tests(plan: dict[str, Any], names: Names) -> None:
    for number, chunk in enumerate(plan["tests"]):
        exec(compile(chunk, f"test{number}.py", "exec", dont_inherit=True), names)  # noqa: S102 - not the program's
    own = dict(names)
    if plan["check"]:
        own["check"](names[plan["entry_point"]])
    for name, value in own.items():
        if name.startswith("test") and isinstance(value, types.FunctionType) and not value.__code__.co_argcount:
            value()
    if "unittest" in sys.modules:
        _run_cases([each for each in own.values() if isinstance(each, type)])


def _run_cases(kinds: list[type]) -> None:
    import unittest

    for kind in (each for each in kinds if issubclass(each, unittest.TestCase)):
        suite = unittest.defaultTestLoader.loadTestsFromTestCase(kind)
        outcome = unittest.TextTestRunner(stream=io.StringIO()).run(suite)
        if not outcome.wasSuccessful() or not outcome.testsRun:
            told = [text for _, text in (*outcome.failures, *outcome.errors)]
            raise AssertionError(told[0] if told else "no test ran")


def judged(plan: dict[str, Any]) -> tuple[str, str, str]:  # noqa: PLR0911 - one for each way to end
    """Run, and turn what stops the tests into a verdict."""
    try:
        return run(plan)
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
    plan = json.loads(Path("plan.json").read_bytes())
    out, mark = sys.stdout, plan.pop("mark")
    sys.stdout = io.StringIO()
    sys.setrecursionlimit(4000)
    verdict = judged(plan)
    out.write("\n" + json.dumps([mark, *verdict]) + "\n")
    out.flush()


if __name__ == "__main__":
    main()
