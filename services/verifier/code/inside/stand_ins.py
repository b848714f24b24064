"""What the tests hold in place of the program's objects."""

from __future__ import annotations

import builtins
from collections.abc import Iterator
from typing import Any

from services.verifier.code.inside.peer import Peer
from services.verifier.code.inside.wire import CannotCross, Ended

TESTS = "tests"  # the name of the module that the tests are


class Untestable(BaseException):
    """The tests want of the program's object what cannot be known honestly; no handler of the tests may catch it."""


class ProgramEnded(BaseException):
    """The program ended itself, or its process is gone."""


class StandIn:
    """An object that lives in the program: it is called and iterated there.

    It is equal to plain data only where it is built on a plain type (`class Stack(list)`) and its plain value is equal.
    """

    def __init__(self, link: Link, number: int, kind: str, name: str) -> None:
        self.__dict__.update(_link=link, _number=number, _kind=kind, _name=name)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """Call it where it lives."""
        return self._link.call(self, args, kwargs)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("__") and name != "__name__":
            raise AttributeError(name)
        return self._link.ask(["attr", self._number, name])

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.ask(["setattr", self._number, name, self._link.form(value)])

    def _special(self, name: str, *args: Any) -> Any:
        return self._link.ask(["special", self._number, name, [self._link.form(each) for each in args]])

    def __len__(self) -> int:
        return int(self._special("__len__"))

    def __str__(self) -> str:
        return str(self._special("__str__"))

    def __repr__(self) -> str:
        return str(self._special("__repr__"))

    def __getitem__(self, key: Any) -> Any:
        return self._special("__getitem__", key)

    def __setitem__(self, key: Any, value: Any) -> None:
        self._special("__setitem__", key, value)

    def __delitem__(self, key: Any) -> None:
        self._special("__delitem__", key)

    def __iter__(self) -> Iterator[Any]:
        found: Iterator[Any] = self if self._kind == "iterator" else self._special("__iter__")
        return found

    def __next__(self) -> Any:
        return self._special("__next__")

    def __enter__(self) -> Any:
        return self._special("__enter__")

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if error is None:
            self._special("__exit__", None, None, None)
        elif isinstance(error, Exception) and not isinstance(error, AssertionError):
            # The program must not be able to make an assertion's failure disappear, and so makes none disappear.
            raise self._link.stopped(Untestable(f"an exception within an object of class {self._name}"))

    def __contains__(self, item: object) -> bool:
        # What goes through every answer there is would have each of them in it.
        raise self._link.stopped(Untestable(f"what is in an object of class {self._name}"))

    def __bool__(self) -> bool:
        # An object without `__bool__` is as true as any plain one that the program could have given.
        return self._link.ask(["truth", self._number]) is True

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, StandIn):
            # The program gives its value without knowing what that is compared with.
            plain = self._link.ask(["plain", self._number])
            return not isinstance(plain, StandIn) and bool(plain == other)
        return self._number == other._number or self._special("__eq__", other) is True

    def __hash__(self) -> int:
        return hash(self._number)

    def __instancecheck__(self, other: object) -> bool:
        if not isinstance(other, StandIn):
            return False
        return self._link.ask(["instance", other._number, self._number]) is True

    def _refused(self, *_: Any) -> Any:
        raise self._link.stopped(Untestable(f"arithmetic or order of objects of class {self._name}"))

    __lt__ = __le__ = __gt__ = __ge__ = __add__ = __radd__ = __sub__ = __rsub__ = __mul__ = __rmul__ = _refused
    __truediv__ = __rtruediv__ = __abs__ = __neg__ = __int__ = __float__ = __index__ = __mod__ = _refused


class Link:
    """The tests' end of the stream.

    Attributes
    ----------
    trouble : BaseException or None
        What ended the tests' belief in the program, even where the tests caught it.
    doubt : str
        What speaks against tests that ended well; empty where nothing does.
    used : bool
        Whether anything of the program was used, and not only its name looked up.
    """

    def __init__(self) -> None:
        self.peer = Peer(self._serve, self._stand_in, _number)
        self._exceptions: dict[str, type[BaseException]] = {}
        self._stand_ins: dict[tuple[int, str, str], StandIn] = {}
        self.trouble: BaseException | None = None
        self.doubt = ""
        self.used = False

    def stopped(self, error: BaseException) -> BaseException:
        """Keep what must not be forgotten, and return it."""
        self.trouble = self.trouble or error
        return error

    def form(self, value: Any) -> Any:
        """Return what crosses for an argument."""
        try:
            form = self.peer.form(value)
        except CannotCross as error:
            raise self.stopped(Untestable(str(error))) from error
        return form

    def ask(self, request: list[Any]) -> Any:
        """Return the value that the program answers with, or raise what it raised."""
        return self._value(self._answered(request)[0])

    def call(self, target: StandIn, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        """Call in the program; what it did to its arguments is done to them here."""
        forms = [self.form(each) for each in args]
        named = {name: self.form(each) for name, each in kwargs.items()}
        result, after, same = self._answered(["call", target._number, forms, named])
        if after is not None:
            for before, form in zip(args, after, strict=True):
                refresh(before, self._value(form))
        return self._value(result) if same is None else args[same]

    def named(self, name: str) -> Any:
        """Return what the program calls by a name.

        Raises
        ------
        KeyError
            When it has no such name.
        """
        value = self.ask(["get", name])
        self.used |= not isinstance(value, StandIn)
        return value

    def _value(self, form: Any) -> Any:
        try:
            return self.peer.value(form)
        except Ended as error:
            raise self.stopped(ProgramEnded(str(error))) from error

    def _answered(self, request: list[Any]) -> list[Any]:
        self.used |= request[0] not in {"load", "get"}
        try:
            kind, *rest = self.peer.ask(request)
        except (Ended, CannotCross, ValueError, TypeError) as error:
            raise self.stopped(ProgramEnded(f"the program's process: {error}")) from error
        if kind == "value" and len(rest) in {1, 3}:
            return rest
        if kind == "absent":
            raise KeyError(request[1])
        if kind == "cannot":
            raise self.stopped(Untestable(f"what the program gave: {rest[0]}"))
        if kind != "raised" or len(rest) != 3:
            raise self.stopped(ProgramEnded("the program's process gave no answer"))
        raised = self._exception(*rest)
        if request[2:3] != ["__next__"] and isinstance(raised, StopIteration | StopAsyncIteration):
            self.doubt = f"{type(raised).__name__} was raised, which ends loops over results before they are compared"
        raise raised

    def _exception(self, names: list[str], args: list[Any], missing: str | None) -> BaseException:
        kinds = [each for name in names if isinstance(each := getattr(builtins, str(name), None), type)]
        base = next((each for each in kinds if issubclass(each, BaseException)), Exception)
        if not issubclass(base, Exception):
            return self.stopped(ProgramEnded(f"{base.__name__} was raised"))
        if missing is not None and base is ModuleNotFoundError:
            return ModuleNotFoundError(f"No module named {missing}", name=str(missing))
        kind = base if names[0] == base.__name__ else self._exceptions.setdefault(names[0], type(names[0], (base,), {}))
        try:
            return kind(*(self._value(each) for each in args))
        except TypeError:
            return kind()

    def _stand_in(self, number: int, kind: str, name: str) -> Any:
        if kind == "exception":
            return self._exceptions.setdefault(name, type(name, (Exception,), {}))
        if kind == "coroutine":
            return self._awaited(number)
        # One for each object, so that `is` says what it says in a plain run.
        return self._stand_ins.setdefault((number, kind, name), StandIn(self, number, kind, name))

    async def _awaited(self, number: int) -> Any:
        return self.ask(["await", number])

    def _serve(self, request: list[Any]) -> list[Any]:
        """Let the program use a callable or an iterator that it was given."""
        target = self.peer.own(request[1])
        try:
            if request[0] in {"attr", "setattr"}:
                return self._attribute(target, *request[2:])
            if request[0] == "next":
                return ["value", self.peer.form(next(target))]
            if request[0] != "call" or not callable(target) or isinstance(target, type):
                return ["failed"]
            args = [self.peer.value(each) for each in request[2]]
            named = {name: self.peer.value(each) for name, each in request[3].items()}
            return ["value", self.peer.form(target(*args, **named))]
        except StopIteration:
            return ["stop"]
        except Exception:  # noqa: BLE001 - the program sees that its argument failed
            return ["failed"]

    def _attribute(self, target: Any, name: str, *value: Any) -> list[Any]:
        """Let the program read or set an attribute of an object whose class the tests define (a node of a list)."""
        if type(target).__module__ != TESTS or isinstance(target, type) or str(name).startswith("__"):
            return ["failed"]
        if not value and not hasattr(target, str(name)):
            return ["absent"]
        if value and callable(getattr(type(target), str(name), None)):
            return ["failed"]  # what the tests do is theirs: `self.assertEqual = print`
        if value:
            setattr(target, str(name), self.peer.value(value[0]))
            return ["value", None]
        return ["value", self.peer.form(getattr(target, str(name)))]


def refresh(before: Any, after: Any) -> None:
    """Make a mutable value equal to another of its type, keeping its identity and that of its parts where they fit."""
    if type(before) is not type(after):
        return
    if isinstance(before, list) and len(before) == len(after):
        for place, (old, new) in enumerate(zip(list(before), after, strict=True)):
            if isinstance(old, list | dict | set) and type(old) is type(new):
                refresh(old, new)
            else:
                before[place] = new
    elif isinstance(before, list | bytearray):
        before[:] = after
    elif isinstance(before, dict | set):
        before.clear()
        before.update(after)
    elif hasattr(before, "extend") and hasattr(before, "clear"):
        before.clear()
        before.extend(after)


def _number(value: Any) -> int | None:
    return value._number if isinstance(value, StandIn) else None
