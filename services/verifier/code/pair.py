"""Python with tests: the program in one process, its tests in another."""

from __future__ import annotations

import ast
import json
import secrets
from collections.abc import Collection, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any, get_args

from schemas.sample import Verdict
from services.verifier.checks import Finding
from services.verifier.code.answer import entry_name
from services.verifier.code.source import Prompt, Unparsed, free_names, is_standard_module, parsed
from services.verifier.sandbox.interface import Job, Limits, Outcome, Sandbox

_INSIDE = Path(__file__).with_name("inside")
_PACKAGE = "services/verifier/code/inside"
# What changes the process that it runs in; the program's is another.
_REACHED_INTO = frozenset(
    {"redirect_stdout", "redirect_stderr", "capsys", "capfd", "monkeypatch", "mock"}
    | {"sys.stdout", "sys.stdin", "sys.stderr", "sys.argv"}
)
_SLOW = {"cpu_limit", "wall_limit"}


@dataclass(frozen=True, slots=True)
class Tests:
    """The tests of an item.

    Attributes
    ----------
    chunks : tuple of str
        Source, run one after another.
    setup : tuple of str
        What the question itself gives (imports, helper functions), run before.
    wanted : tuple of str
        The names that only the program can know.
    check : bool
        Whether `check(candidate)` is defined and is to be called with the entry point.
    entry_point : str or None
        What `check` is called with: a name, or an expression such as `Solution().twoSum`.
    """

    chunks: tuple[str, ...]
    setup: tuple[str, ...]
    wanted: tuple[str, ...]
    check: bool
    entry_point: str | None


def tests_of(chunks: Sequence[str], entry_point: str | None, prompt: Prompt | None) -> Tests:
    """Read the tests of an item.

    Raises
    ------
    Unparsed
        When they are no Python, test nothing (`no_tests`), name nothing of the program (`tests_name_nothing`), or would
        let a name that only the program can give judge what its entry point returns (`tests_ask_the_program`).
    """
    trees = [parsed(chunk.replace("\r\n", "\n")) for chunk in chunks]
    nodes = [node for tree in trees for node in ast.walk(tree)]
    functions = {node.name for node in nodes if isinstance(node, ast.FunctionDef)}
    if not any(isinstance(node, ast.Assert | ast.Raise) for node in nodes) and not any(
        name.startswith("test") for name in functions
    ):
        raise Unparsed("no_tests", "nothing is asserted")
    reached = _REACHED_INTO.intersection(_mentioned(nodes))
    if reached:
        raise Unparsed("tests_reach_into_program", f"{min(reached)}: the program runs in a process of its own")
    check = "check" in functions and entry_point is not None
    expression = entry_point if check else None
    entry_point = entry_name(entry_point) if entry_point else None
    free = free_names(trees)
    helpers = parsed(prompt.helpers) if prompt else ast.Module([], [])
    given = {name for node in helpers.body for name in _names(node)}
    modules = sorted(name for name in free - given if is_standard_module(name) and name != entry_point)
    wanted = free - given - set(modules) | ({entry_point} if entry_point else set())
    if not wanted:
        raise Unparsed("tests_name_nothing", "no name of the program is used; reference.entry_point is needed")
    judge = _judge(nodes, wanted, {entry_point, *(_candidate(nodes) if check else ())}) if entry_point else None
    if judge is not None:
        raise Unparsed(
            "tests_ask_the_program", f"{judge} is the program's own, and is to judge {entry_point}'s results"
        )
    setup = (*(f"import {name}" for name in modules), *([prompt.helpers] if prompt else []))
    return Tests(
        tuple(chunk.replace("\r\n", "\n") for chunk in chunks), setup, tuple(sorted(wanted)), check, expression
    )


def _mentioned(nodes: Sequence[ast.AST]) -> set[str]:
    """Return the names and modules that tests use, and the attributes that they set, such as `sys.stdout`."""
    names: set[str] = set()
    for node in nodes:
        if isinstance(node, ast.Name):
            names.add(node.id)
        elif isinstance(node, ast.arg):
            names.add(node.arg)
        elif isinstance(node, ast.Attribute):
            names.add(f"{_root(node)}.{node.attr}" if isinstance(node.ctx, ast.Store) else node.attr)
        elif isinstance(node, ast.ImportFrom):
            names.update((node.module or "").split("."), (alias.name for alias in node.names))
    return names


def _candidate(nodes: Sequence[ast.AST]) -> list[str]:
    checks = [node for node in nodes if isinstance(node, ast.FunctionDef) and node.name == "check"]
    return [argument.arg for node in checks for argument in node.args.args[:1]]


def _judge(nodes: Sequence[ast.AST], wanted: set[str], tested: Collection[str | None]) -> str | None:
    """Return a name of the program's, not a tested one, that is called with a tested one's result (np.allclose)."""
    for node in nodes:
        if isinstance(node, ast.Call) and (root := _root(node.func)) in wanted - set(tested):
            inner = [each for argument in (*node.args, *node.keywords) for each in ast.walk(argument)]
            if any(isinstance(each, ast.Call) and _root(each.func) in tested for each in inner):
                return root
    return None


def _root(node: ast.expr) -> str | None:
    while isinstance(node, ast.Attribute):
        node = node.value
    return node.id if isinstance(node, ast.Name) else None


def _names(node: ast.stmt) -> set[str]:
    if isinstance(node, ast.Import | ast.ImportFrom):
        return {(alias.asname or alias.name).partition(".")[0] for alias in node.names}
    if isinstance(node, ast.Assign):
        return {target.id for target in node.targets if isinstance(target, ast.Name)}
    return {node.name} if isinstance(node, ast.FunctionDef | ast.ClassDef) else set()


async def run_tests(sandbox: Sandbox, program: str, tests: Tests, limits: Limits) -> Finding:
    """Run an answer's program against the tests; never raises for what they do."""
    mark = secrets.token_hex(16)
    plan = {
        "mark": mark,
        "program": program,
        "tests": tests.chunks,
        "setup": tests.setup,
        "wanted": tests.wanted,
        "check": tests.check,
        "entry_point": tests.entry_point,
    }
    files = {f"{_PACKAGE}/{name}": content for name, content in _modules().items()}
    sources = {name: content.decode() for name, content in _modules().items()}
    # A program that floods or crashes must not take the tests with it: each has limits of its own.
    of_program, of_tests = await sandbox.run_pair(
        Job(python=sources["program_side.py"], files=files, limits=limits),
        Job(
            python=sources["tests_side.py"],
            files={**files, "plan.json": json.dumps(plan).encode()},
            limits=limits,
        ),
    )
    return finding(of_program, of_tests, mark)


def finding(program: Outcome, tests: Outcome, mark: str) -> Finding:
    """Return the verdict: what the tests' process reported, unless a limit ended it or the program."""
    if "unavailable" in {program.status, tests.status}:
        return Finding("unknown", "no_sandbox", evidence=tests.detail or program.detail)
    for outcome in (tests, program):
        if outcome.status in _SLOW:
            return Finding("timeout", outcome.status, evidence=outcome.detail)
    if program.status in {"memory_limit", "output_limit"}:
        return Finding("fail", program.status, evidence=program.detail)
    report = _report(tests, mark)
    if report is None:
        return Finding("unknown", "tests_gave_no_report", tests.status, "exited", _tail(tests))
    return report


def _report(tests: Outcome, mark: str) -> Finding | None:
    if tests.status != "exited" or tests.code != 0:
        return None
    try:
        said: Any = json.loads(tests.stdout.rstrip(b"\n").rpartition(b"\n")[2])
        found_mark, verdict, reason, evidence = said
    except (ValueError, TypeError):
        return None
    if found_mark != mark or verdict not in get_args(Verdict):
        return None
    return Finding(verdict, reason or None, evidence=evidence or None)


def _tail(outcome: Outcome) -> str:
    return outcome.stderr.decode(errors="replace")[-500:] or (outcome.detail or "")


@cache
def _modules() -> dict[str, bytes]:
    return {file.name: file.read_bytes() for file in sorted(_INSIDE.glob("*.py"))}
