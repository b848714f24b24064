"""The program's process: load the answer, then do what the tests ask. Nothing here is believed by the other side."""

from __future__ import annotations

import operator
import sys
import types
from typing import Any

from services.verifier.code.inside.peer import Peer
from services.verifier.code.inside.wire import CannotCross, Ended

NAME = "program"
_SPECIAL = {"__len__": len, "__str__": str, "__repr__": repr, "__iter__": iter, "__next__": next,
            "__enter__": lambda one: type(one).__enter__(one), "__exit__": lambda one, *_: type(one).__exit__(one, *_),
            "__getitem__": operator.getitem, "__setitem__": operator.setitem, "__delitem__": operator.delitem,
            "__eq__": lambda one, other: type(one) is type(other) and bool(one == other)}  # fmt: skip


class Remote:
    """A callable, an iterator, or an object of a class of the tests."""

    def __init__(self, program: Program, number: int) -> None:
        self.__dict__.update(_program=program, number=number)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it where it lives."""
        return self._program.ask_back(["call", self.number, self._program.forms(args), self._program.forms(kwargs)])

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__"):
            raise AttributeError(name)
        return self._program.ask_back(["attr", self.number, name])

    def __setattr__(self, name: str, value: Any) -> None:
        self._program.ask_back(["setattr", self.number, name, self._program.peer.form(value)])

    def __iter__(self) -> Remote:
        return self

    def __next__(self) -> Any:
        return self._program.ask_back(["next", self.number])


class Program:
    """The answer, loaded as a module."""

    def __init__(self) -> None:
        self.peer = Peer(self.serve, lambda number, _kind, _name: self._remote(number), _number)
        self._remotes: dict[int, Remote] = {}
        self.module = types.ModuleType(NAME)
        sys.modules[NAME] = self.module

    def _remote(self, number: int) -> Remote:
        # One for each object, so that `is` and sets of nodes work.
        return self._remotes.setdefault(number, Remote(self, number))

    def forms(self, values: Any) -> Any:
        """Return the forms of arguments."""
        if isinstance(values, dict):
            return {name: self.peer.form(each) for name, each in values.items()}
        return [self.peer.form(each) for each in values]

    def ask_back(self, request: list[Any]) -> Any:
        """Use an object of the tests."""
        kind, *rest = self.peer.ask(request)
        if kind == "stop":
            raise StopIteration
        if kind == "absent":
            raise AttributeError(request[2])
        if kind != "value":
            raise RuntimeError("an argument of the tests failed")
        return self.peer.value(rest[0])

    def serve(self, request: list[Any]) -> list[Any]:
        """Answer one request."""
        try:
            return getattr(self, f"_{request[0]}")(*request[1:])  # type: ignore[no-any-return]
        except (CannotCross, RecursionError) as error:
            return ["cannot", str(error)] if isinstance(error, CannotCross) else _raised(self, error)
        except Ended:
            raise
        except BaseException as error:  # noqa: BLE001 - whatever the program raises crosses by name
            return _raised(self, error)

    def _load(self, source: str) -> list[Any]:
        exec(compile(source, "answer.py", "exec", dont_inherit=True), self.module.__dict__)  # noqa: S102 - its purpose
        return ["value", None]

    def _get(self, name: str) -> list[Any]:
        if name not in self.module.__dict__:
            return ["absent"]
        return ["value", self.peer.form(self.module.__dict__[name])]

    def _call(self, number: int, args: list[Any], kwargs: dict[str, Any]) -> list[Any]:
        target = self.peer.own(number)
        values = [self.peer.value(each) for each in args]
        named = {name: self.peer.value(each) for name, each in kwargs.items()}
        result = target(*values, **named)
        same = [place for place, each in enumerate(values) if each is result and isinstance(each, list | dict | set)]
        form = self.peer.handle(result) if isinstance(target, type) else self.peer.form(result)
        after = self.forms(values)
        return ["value", form, None if after == args else after, same[0] if same else None]

    def _attr(self, number: int, name: str) -> list[Any]:
        return ["value", self.peer.form(getattr(self.peer.own(number), name))]

    def _setattr(self, number: int, name: str, value: Any) -> list[Any]:
        setattr(self.peer.own(number), name, self.peer.value(value))
        return ["value", None]

    def _special(self, number: int, name: str, args: list[Any]) -> list[Any]:
        values = [self.peer.value(each) for each in args]
        return ["value", self.peer.form(_SPECIAL[name](self.peer.own(number), *values))]  # type: ignore[operator]

    def _plain(self, number: int) -> list[Any]:
        """Give the plain value of an object built on a plain type; any other one as itself."""
        return ["value", self.peer.form(self.peer.own(number))]

    def _truth(self, number: int) -> list[Any]:
        one = self.peer.own(number)
        if hasattr(type(one), "__bool__"):
            return ["cannot", f"the truth of an object of class {type(one).__name__}"]
        return ["value", bool(one)]

    def _await(self, number: int) -> list[Any]:
        import asyncio  # most programs need none of it

        return ["value", self.peer.form(asyncio.run(self.peer.own(number)))]

    def _instance(self, number: int, kind: int) -> list[Any]:
        return ["value", isinstance(self.peer.own(number), self.peer.own(kind))]


def _number(value: Any) -> int | None:
    return value.number if isinstance(value, Remote) else None


def _raised(program: Program, error: BaseException) -> list[Any]:
    try:
        args = [program.peer.form(each) for each in error.args]
    except Exception:  # noqa: BLE001 - an argument that cannot cross stays here
        args = []
    missing = error.name if isinstance(error, ModuleNotFoundError) else None
    return ["raised", [kind.__name__ for kind in type(error).__mro__], args, missing]


if __name__ == "__main__":
    # The frames of this module do not count against the program.
    sys.setrecursionlimit(sys.getrecursionlimit() + 50)
    try:
        Program().peer.serve_for_ever()
    except Ended:
        sys.exit(0)
