"""Finds secrets in a RunSpec: it is written to topics and manifests, and everybody may read it there."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any

from limoflow.redaction import holds_credentials, is_secret_name, known_secrets

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
_NAME = re.compile(
    r"(^|[_.\-])(pwd|passcode|auth|bearer|dsn|(secret|encryption|signing|shared)[_\-]?key|connection[_\-]?string)$",
    re.I,
)
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
# A header, a part of a connection string, a query, and what keys of the large services look like.
_TEXT = re.compile(
    r"(?i:^\s*bearer\s+\S{6,}\s*$)"
    r"|^\s*[Bb]asic\s+(?=\S*[0-9A-Z=+/])[A-Za-z0-9+/]{8,}={0,2}\s*$"
    r"|(?i:\b(proxy-)?authorization\s*[:=]\s*\S|\b(x-)?api-key\s*[:=]\s*\S{6,})"
    r"|(?i:(^|[;,\s])(account_?key|shared_?access_?(key|signature)|password|pwd|client_?secret|secret_?key)\s*=\s*[^\s;]{4,})"
    r"|(?i:[?&](key|auth|code|pwd|passw(or)?d|[\w.\-]*(secret|token|access_?key|subscription-key))=[^&\s]{4,})"
    r"|\b(AKIA[0-9A-Z]{16}|AIza[\w\-]{30,}|gh[pousr]_[A-Za-z0-9]{30,}|hf_[A-Za-z0-9]{30,}|sk-[A-Za-z0-9_\-]{0,40}[A-Za-z0-9]{20,}"
    r"|xox[abprs]-[\w\-]{10,})\b"
    r"|-----BEGIN [A-Z ]*PRIVATE KEY"
)
# A share of a domain that is called `token` is none.
_SMALLEST_NUMBER = 1_000

_HELD = "holds a secret; set it in the environment of the services, and not in a run"


def secrets_in(plain: Any) -> Iterator[tuple[str, str]]:
    """Yield the places of a plain RunSpec that hold a secret, and what to do; never the secret.

    A secret is what the environment of this process knows as one, what is named like one, and what looks like one.
    """
    yield from _below(plain, (), known_secrets(), named=False)


def _below(value: Any, place: tuple[str, ...], known: Sequence[str], *, named: bool) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict):
        for key, part in value.items():
            name = str(key)
            if any(secret in name for secret in known):
                yield ".".join((*place, "a key")), _HELD
            else:
                yield from _below(part, (*place, name), known, named=named or _is_named(name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _below(part, (*place, str(index)), known, named=named)
    elif isinstance(value, str):
        if place and place[-1] == "api_key_env" and not _VARIABLE.fullmatch(value):
            yield ".".join(place), "is no name of an environment variable; set the key there, and name it here"
        elif named or _looks_secret(value, known):
            yield ".".join(place), _HELD
    elif _is_secret_number(value, known, named=named):
        yield ".".join(place), _HELD


def _looks_secret(text: str, known: Sequence[str]) -> bool:
    return holds_credentials(text) or _TEXT.search(text) is not None or any(secret in text for secret in known)


def _is_secret_number(value: Any, known: Sequence[str], *, named: bool) -> bool:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return (named and abs(value) >= _SMALLEST_NUMBER) or str(value) in known


def _is_named(name: str) -> bool:
    snake = _CAMEL.sub("_", name)
    return is_secret_name(snake) or _NAME.search(snake) is not None
