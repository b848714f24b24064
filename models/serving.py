"""What the Triton models share: a dynamic batch of requests in, one response each out, whatever goes wrong."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from typing import Any, TypeVar

import numpy as np
from numpy.typing import NDArray

Request = TypeVar("Request")
Question = TypeVar("Question")
Answer = TypeVar("Answer")
Response = TypeVar("Response")


def model_parameters(args: dict[str, str]) -> dict[str, str]:
    """Return the parameters of the model's config.pbtxt by key."""
    stated = json.loads(args["model_config"]).get("parameters", {})
    return {key: str(value["string_value"]) for key, value in stated.items()}


def texts_of(column: NDArray[np.object_]) -> list[str]:
    """Return the texts of a string tensor; raise UnicodeDecodeError where one is not UTF-8."""
    return [value.decode("utf-8") if isinstance(value, bytes) else str(value) for value in column.reshape(-1)]


def answer_requests(
    requests: Sequence[Request],
    questions_of: Callable[[Request], list[Question]],
    compute: Callable[[list[Question]], Sequence[Answer]],
    respond: Callable[[Sequence[Answer]], Response],
    refuse: Callable[[str], Response],
) -> list[Response]:
    """Return one response for each request: all questions are computed together, and a bad request fails alone.

    Parameters
    ----------
    requests : sequence
        What the server batched.
    questions_of : callable
        Reads a request; may raise.
    compute : callable
        Answers a list of questions; may raise, and is then asked for one request at a time.
    respond, refuse : callable
        Make a response of the answers to one request, or of an error message.
    """
    read: list[list[Question] | Exception] = [_attempt(questions_of, request) for request in requests]
    together = [question for questions in read if isinstance(questions, list) for question in questions]
    answers = _attempt(compute, together)
    responses, start = [], 0
    for questions in read:
        if isinstance(questions, Exception):
            responses.append(refuse(_message(questions)))
        elif isinstance(answers, Exception):
            responses.append(_alone(questions, compute, respond, refuse))
        else:
            responses.append(respond(answers[start : start + len(questions)]))
            start += len(questions)
    return responses


def _alone(
    questions: list[Question],
    compute: Callable[[list[Question]], Sequence[Answer]],
    respond: Callable[[Sequence[Answer]], Response],
    refuse: Callable[[str], Response],
) -> Response:
    answers = _attempt(compute, questions)
    return refuse(_message(answers)) if isinstance(answers, Exception) else respond(answers)


def _attempt(function: Callable[[Any], Any], argument: Any) -> Any:
    """Return the result or the exception: an exception that left execute() would fail the whole dynamic batch."""
    try:
        return function(argument)
    except Exception as error:  # noqa: BLE001 - becomes the answer to its request
        return error


def _message(error: Exception) -> str:
    return f"{type(error).__name__}: {error}"
