"""Takes secrets out of what is written: logs, errors, dead letters, answers of /readyz.

Two ways, for neither is enough: by form (credentials in addresses, headers and queries), and by value, for the secrets
that this process knows of are those of its environment.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping

MASK = "***"
_NAME = re.compile(
    r"(^|[_.\-])(passw(or)?d|passphrase|secret|token|api[_\-]?key|private[_\-]?key|access[_\-]?key|account[_\-]?key"
    r"|authorization|credentials?|cookie)$",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"(^|_)(KEY|DSN|CONNECTION_STRING)$", re.IGNORECASE)
# A password may hold slashes (secret keys of S3 do); a port before a path is none.
_ADDRESS = r"(?<=://)(?:[^\s/@:]+:(?!\d+(?:/|$))[^\s@]+|[^\s/@]+)(?=@)"
_QUERY = r"(?<=[?&])(?P<name>[\w.\-]*(?:signature|credential|sig|token|api[_\-]?key|password|secret))=[^&\s\"']+"
_HEADER = r"(?<=bearer )[^\s\"',]+|(?<=basic )[a-z0-9+/=]{8,}"
_TEXT = re.compile(f"{_ADDRESS}|{_QUERY}|{_HEADER}", re.IGNORECASE)
_CREDENTIALS = re.compile(f"{_ADDRESS}|{_QUERY}", re.IGNORECASE)
_PASSWORD = re.compile(r"://[^\s/@:]*:(?!\d+(?:/|$))([^\s@]+)@")
_SHORTEST_SECRET = 6


def is_secret_name(name: str) -> bool:
    """Whether a field is named like one that holds a secret."""
    return _NAME.search(name) is not None


def holds_credentials(text: str) -> bool:
    """Whether a text holds an address with a user, a password, or a signed query."""
    return _CREDENTIALS.search(text) is not None


def known_secrets(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the secrets of an environment, the longest first; the process's own by default.

    Values of variables that are named like secrets, and passwords in addresses (such as a proxy's).
    """
    found = set(_found(os.environ if environment is None else environment))
    return tuple(sorted((value for value in found if len(value) >= _SHORTEST_SECRET), key=len, reverse=True))


def redacted(text: str, secrets: Iterable[str] | None = None) -> str:
    """Return the text without credentials and without these secrets; those of the environment by default."""
    text = _TEXT.sub(lambda match: f"{match['name']}={MASK}" if match["name"] else MASK, text)
    for secret in known_secrets() if secrets is None else secrets:
        text = text.replace(secret, MASK)
    return text


def _found(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if _NAME.search(name) or _VARIABLE.search(name):
            yield value
        yield from _PASSWORD.findall(value)
