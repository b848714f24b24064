"""The settings of our own checks in a RunSpec: a wrong one is told when the run is submitted, not by every sample."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Mapping
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, PositiveInt, ValidationError

from schemas.run import Verify
from services.verifier.code_tests import CodeTestsOptions
from services.verifier.personal import KINDS
from services.verifier.sql_result import SqlResultOptions

Share = Field(default=None, ge=0, le=1)


class _Form(BaseModel):
    model_config = ConfigDict(extra="allow", frozen=True)

    unknown: Literal["mark", "reject"] | None = None


class _CodeTests(CodeTestsOptions, _Form):
    model_config = ConfigDict(extra="allow", frozen=True)


class _SqlResult(SqlResultOptions, _Form):
    model_config = ConfigDict(extra="allow", frozen=True)


class _TextFormat(_Form):
    min_response_characters: int | None = None
    max_response_characters: int | None = None
    refusals: Literal["reject", "allow"] | None = None
    min_distinct_grams: float | None = Share


class _Privacy(_Form):
    action: Literal["reject", "mask", "report"] | None = None
    kinds: list[Literal[tuple(sorted(KINDS))]] | None = None  # type: ignore[valid-type]
    reserved: bool | None = None


class _Injection(_Form):
    kinds: list[Literal["override", "verdict", "to_the_judge", "template", "role", "hidden_text"]] | None = None


class _Language(_Form):
    languages: list[str] | str | None = None
    agree: bool | None = None


class _Groundedness(_Form):
    least: float | None = Share
    required: bool | None = None
    context: Literal["instruction"] | None = None


class _Mismatch(_Form):
    least_cosine: float | None = Field(default=None, ge=-1, le=1)


class _MathQuestion(_Form):
    models: list[str] | None = None
    samples: PositiveInt | None = None


class _Judge(_Form):
    votes: PositiveInt | None = None
    rubric: dict[str, str] | None = None
    canary_every: PositiveInt | None = None
    canary_share: float | None = Share
    max_tokens: PositiveInt | None = None


class _Toxicity(_Form):
    classifier: str | None = None
    most: float | None = Share


FORMS: Mapping[str, type[_Form]] = {
    "text_format": _TextFormat, "privacy": _Privacy, "injection": _Injection, "language": _Language,
    "groundedness": _Groundedness, "mismatch": _Mismatch, "math_question": _MathQuestion, "judge": _Judge,
    "toxicity": _Toxicity, "code_tests": _CodeTests, "sql_result": _SqlResult, "math_answer": _Form,
    "math_steps": _Form, "code_static": _Form, "sql_static": _Form, "contamination": _Form,
}  # fmt: skip


def wrong_settings(verify: Verify) -> Iterator[str]:
    """Yield the settings of our own checks whose value can never work."""
    for name, form, options in _own(verify):
        try:
            form.model_validate(dict(options))
        except ValidationError as error:
            for each in error.errors():
                place = ".".join(str(part) for part in ("verify.checks", name, *each["loc"]))
                yield f"{place}: {each['msg']}, not {each['input']!r}"


def unknown_settings(verify: Verify) -> Iterator[str]:
    """Yield the settings that none of our checks reads; they are no fault, but do nothing."""
    for name, form, options in _own(verify):
        for option in sorted(options.keys() - form.model_fields.keys()):
            near = difflib.get_close_matches(option, form.model_fields, n=1)
            meant = f"; did you mean {near[0]!r}?" if near else f"; known: {', '.join(sorted(form.model_fields))}"
            yield f"verify.checks.{name}.{option}: the check has no such setting, and does not look at it{meant}"


def _own(verify: Verify) -> Iterator[tuple[str, type[_Form], Mapping[str, Any]]]:
    for name, options in sorted(verify.checks.items()):
        if name in FORMS and isinstance(options, dict):
            yield name, FORMS[name], options
