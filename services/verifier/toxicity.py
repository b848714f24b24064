"""Toxicity, by a classifier that an installation brings: limoflow has none of its own."""

from __future__ import annotations

import inspect
import math
from collections.abc import Awaitable
from typing import Protocol

from limoflow.errors import LimoflowError
from limoflow.plugins import operators
from schemas.run import Run
from schemas.sample import Sample
from services.verifier.checks import Cost, Finding, Options

CLASSIFIERS = "limoflow.toxicity"


class Classifier(Protocol):
    """A classifier, found through the entry points `limoflow.toxicity`; made once, without arguments.

    `score` may raise `DependencyUnavailable`: the sample waits. It may also have `async close()`.
    """

    version: str

    def score(self, text: str) -> float | Awaitable[float]:
        """Return how toxic a text is, 0 to 1."""
        ...


class Toxicity:
    """Runs only where `verify.checks` names it.

    Options: `classifier`, the name of an installed one; `most` (0.5), the highest score that passes, of instruction,
    response and earlier turns. Without a classifier, or where its answer is no number from 0 to 1, the verdict is
    `unknown` (G9): no list of words stands in for one.

    Parameters
    ----------
    classifiers : dict, optional
        Name to classifier, beside those that are installed.
    """

    name = "toxicity"
    version = "1"
    cost = Cost.MODEL
    domains: frozenset[str] | None = None

    def __init__(self, classifiers: dict[str, Classifier] | None = None) -> None:
        self._classifiers: dict[str, Classifier] = dict(classifiers or {})

    def options_of(self, run: Run) -> Options | None:
        """Return the settings; None where the run does not name the check."""
        chosen = run.spec.verify.checks.get(self.name)
        return None if chosen is None else chosen if isinstance(chosen, dict) else {}

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    async def check(self, sample: Sample, options: Options) -> Finding:
        """Return the highest score of the parts.

        Raises
        ------
        DependencyUnavailable
            When the classifier is out.
        """
        name = options.get("classifier")
        if not name:
            return Finding("unknown", "no_classifier", evidence=f"verify.checks.toxicity.classifier: {self._known()}")
        classifier = self._classifier(str(name))
        if classifier is None:
            return Finding("unknown", "classifier_not_installed", str(name), self._known())
        bound, worst = float(options.get("most", 0.5)), 0.0
        earlier = [message.content for message in sample.messages or ()]
        for text in dict.fromkeys((sample.instruction, sample.response, *earlier)):
            score = await _score(classifier, text)
            if score is None:
                return Finding("unknown", "unreadable_score", evidence=f"{name} {classifier.version}")
            worst = max(worst, score)
            if worst > bound:
                return Finding("fail", "toxic", round(worst, 4), bound, text)
        return Finding("pass", None, round(worst, 4), bound)

    async def close(self) -> None:
        """Close the classifiers."""
        for classifier in self._classifiers.values():
            close = getattr(classifier, "close", None)
            if close is not None:
                await close()

    def _classifier(self, name: str) -> Classifier | None:
        if name not in self._classifiers:
            point = operators(CLASSIFIERS, {}).get(name)
            if point is None:
                return None
            self._classifiers[name] = point.load()()
        return self._classifiers[name]

    def _known(self) -> str:
        return ", ".join(sorted({*operators(CLASSIFIERS, {}), *self._classifiers})) or "none is installed"


async def _score(classifier: Classifier, text: str) -> float | None:
    try:
        said = classifier.score(text)
        score = await said if inspect.isawaitable(said) else said
    except LimoflowError:
        raise
    except Exception:  # noqa: BLE001 - whatever a text provokes in a classifier is no score of it
        return None
    readable = isinstance(score, (int, float)) and not isinstance(score, bool) and math.isfinite(score)
    return float(score) if readable and 0.0 <= score <= 1.0 else None
