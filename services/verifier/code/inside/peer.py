"""Objects of one side as the other sees them: by number, through a few named operations."""

from __future__ import annotations

import types
from collections.abc import Callable
from typing import Any

from services.verifier.code.inside.wire import CannotCross, Ended, decoded, encoded, receive, send

_MOST_OBJECTS = 100_000


class Peer:
    """One end of the stream: asks, and serves while it waits for its answer.

    Parameters
    ----------
    serve : callable
        Answers a request of the other side with a message.
    stand_in : callable
        Makes what stands for an object of the other side, from its number, kind and name.
    number_of : callable
        Number of the object that something stands for; None where it stands for none.
    """

    def __init__(
        self,
        serve: Callable[[list[Any]], list[Any]],
        stand_in: Callable[[int, str, str], Any],
        number_of: Callable[[Any], int | None],
    ) -> None:
        self._serve = serve
        self._stand_in = stand_in
        self._number_of = number_of
        self._numbers: dict[int, int] = {}
        self._objects: list[Any] = []

    def form(self, value: Any) -> Any:
        """Return what crosses for a value."""
        try:
            return encoded(value, self._other_form)
        except RecursionError as error:
            raise CannotCross("nested too deep") from error

    def value(self, form: Any) -> Any:
        """Return the value for what came across."""
        return decoded(form, self._other_value)

    def own(self, number: Any) -> Any:
        """Return an object of this side by its number."""
        if type(number) is not int or not 0 <= number < len(self._objects):
            raise Ended("no such object")
        return self._objects[number]

    def handle(self, value: Any) -> list[Any]:
        """Return the form of an object that stays here."""
        if id(value) not in self._numbers:
            if len(self._objects) >= _MOST_OBJECTS:
                raise CannotCross(f"more than {_MOST_OBJECTS} objects")
            self._numbers[id(value)] = len(self._objects)
            self._objects.append(value)
        return ["own", self._numbers[id(value)], kind_of(value), type_name(value)]

    def ask(self, request: list[Any]) -> list[Any]:
        """Send a request and return its answer, serving what is asked meanwhile."""
        send(["?", request])
        while True:
            message = receive()
            if not isinstance(message, list) or len(message) != 2 or not isinstance(message[1], list):
                raise Ended("no message")
            if message[0] == "!":
                return message[1]
            self._answer(message[1])

    def serve_for_ever(self) -> None:
        """Answer until the other side is gone."""
        while True:
            self._answer(receive()[1])

    def _answer(self, request: list[Any]) -> None:
        answer = self._serve(request)
        try:
            send(["!", answer])
        except CannotCross as error:
            send(["!", ["cannot", str(error)]])

    def _other_form(self, value: Any) -> Any:
        number = self._number_of(value)
        return self.handle(value) if number is None else ["yours", number]

    def _other_value(self, form: list[Any]) -> Any:
        if form[0] == "yours":
            return self.own(form[1])
        if form[0] == "own":
            return self._stand_in(int(form[1]), str(form[2]), str(form[3]))
        raise Ended("no such form")


def kind_of(value: Any) -> str:
    """Return what an object can be used for."""
    if isinstance(value, type):
        return "exception" if issubclass(value, BaseException) else "class"
    if callable(value):
        return "callable"
    if type(value) is types.CoroutineType:
        return "coroutine"
    return "iterator" if hasattr(type(value), "__next__") else "object"


def type_name(value: Any) -> str:
    """Return the name of a class, or of the class of another object."""
    return value.__name__ if isinstance(value, type) else type(value).__name__
