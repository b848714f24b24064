"""Every error that limoflow raises on purpose, in one hierarchy.

A message names the thing, the value, the bound and what to do about it. Exit codes of the command line:
0 done, 1 the run failed, 2 wrong use, 3 a dependency is missing.
"""

from __future__ import annotations

from typing import ClassVar


class LimoflowError(Exception):
    """Base of all errors that limoflow raises on purpose."""

    exit_code: ClassVar[int] = 1


class UsageError(LimoflowError):
    """The caller asked for something that cannot be: a bad setting, an unknown key, a missing folder."""

    exit_code: ClassVar[int] = 2


class RunSpecError(UsageError):
    """A RunSpec does not hold; the message names the file, the field, the value and the nearest known key."""


class SchemaError(UsageError):
    """A contract change is incompatible, or a schema file is missing or stale."""


class MissingDependency(LimoflowError):
    """A program or package that the request needs is not on this machine; the message says how to get it."""

    exit_code: ClassVar[int] = 3


class PoisonError(LimoflowError):
    """A record can never be handled (undecodable, mistyped): it goes to the dead-letter topic at once."""


class DependencyUnavailable(LimoflowError):
    """A broker, model server or endpoint is out for now: wait and try again, never dead-letter."""


class BreakerOpen(DependencyUnavailable):
    """The circuit breaker of a dependency is open; calls are refused until it half-opens."""


class DeadlineExceeded(DependencyUnavailable):
    """A dependency did not answer within its deadline."""


class ModelRequestError(LimoflowError):
    """A model server answered, and the answer is that this one request cannot be served."""


class ChatRequestError(LimoflowError):
    """A chat endpoint refused one request for good (4xx other than 429), or its answer cannot be read."""


class InvariantBroken(LimoflowError):
    """A promise would be broken by going on; the process must end."""


class StackError(LimoflowError):
    """A process of the local stack did not start, or ended on its own."""


class ModelBuildError(LimoflowError):
    """The embedded model cannot be trained from the given data."""


class ExportError(LimoflowError):
    """A release folder cannot be written (full disk, missing rights, rows missing)."""


class TrainingError(LimoflowError):
    """Fine-tuning failed; the message names the release and the step."""


class AuditFailure(LimoflowError):
    """Samples are missing, or left by more than one door."""


class AccessDenied(LimoflowError):
    """A broker refuses a name, a password, a certificate or a right; waiting does not help, a setting must change."""

    exit_code: ClassVar[int] = 2
