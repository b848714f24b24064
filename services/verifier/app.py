"""Wiring of the verifier."""

from __future__ import annotations

import inspect

from limoflow.plugins import operators
from services.verifier.checks import GROUP, OWN
from services.verifier.handler import Verifier
from services.verifier.settings import VerifierSettings


def layer(settings: VerifierSettings | None = None) -> Verifier:
    """Return the verifier with every check that is installed; `await layer.close()` ends its worker processes."""
    settings = settings or VerifierSettings()
    checks = []
    for point in operators(GROUP, OWN).values():
        kind = point.load()
        takes_settings = "settings" in inspect.signature(kind).parameters
        checks.append(kind(settings) if takes_settings else kind())
    return Verifier(checks)
