"""Takes secrets out of what is written: logs, errors, dead letters, answers of /readyz.

Two ways, for neither is enough: by form (credentials in addresses, headers and queries), and by value, for the secrets
that this process knows of are those of its environment.
"""

from __future__ import annotations

import json
import os
import re
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple
from urllib.parse import quote

MASK = "***"
_NAME = re.compile(
    r"(^|[_.\-])(passw(or)?d|passphrase|secret|token|api[_\-]?key|private[_\-]?key|access[_\-]?key|account[_\-]?key"
    r"|authorization|credentials?|cookie)$",
    re.IGNORECASE,
)
_VARIABLE = re.compile(r"(^|_)(KEY|DSN|CONNECTION_STRING)$", re.IGNORECASE)
_SCHEME = re.compile("://")
_CREDENTIALS_END = re.compile(r"[\s@]")
# A password may hold slashes (secret keys of S3 do); a port before a path is none.
_USER = re.compile(r"[^\s/@:]*+:(?!\d++/)")
_QUERY = r"(?<=[?&])(?P<name>[\w.\-]*(?:signature|credential|sig|token|api[_\-]?key|password|secret))=[^&\s\"']+"
_HEADER = r"(?<=bearer )[^\s\"',]+|(?<=basic )[a-z0-9+/=]{8,}"
_TEXT = re.compile(f"{_QUERY}|{_HEADER}", re.IGNORECASE)
_SIGNED = re.compile(_QUERY, re.IGNORECASE)
_ESCAPE = re.compile("%[0-9A-F]{2}")
_SHORTEST_SECRET = 6


def is_secret_name(name: str) -> bool:
    """Whether a field is named like one that holds a secret."""
    return _NAME.search(name) is not None


def holds_credentials(text: str) -> bool:
    """Whether a text holds an address with a user, a password, or a signed query."""
    return next(_credentials(text), None) is not None or _SIGNED.search(text) is not None


def known_secrets(environment: Mapping[str, str] | None = None) -> tuple[str, ...]:
    """Return the secrets of an environment, the longest first; the process's own by default.

    Values of variables that are named like secrets, and passwords in addresses (such as a proxy's).
    """
    found = set(_found(os.environ if environment is None else environment))
    return tuple(sorted((value for value in found if len(value) >= _SHORTEST_SECRET), key=len, reverse=True))


def redacted(text: str, secrets: Iterable[str] | None = None) -> str:
    """Return the text without credentials and without these secrets; those of the environment by default.

    A secret is masked however it is spelled: as it is, escaped as by `repr` or JSON, in an address, or in Base64. The
    time taken grows with the text's length, whatever it holds.
    """
    text = _TEXT.sub(lambda match: f"{match['name']}={MASK}" if match["name"] else MASK, _without_credentials(text))
    for secret in known_secrets() if secrets is None else secrets:
        for spelling in _spellings(secret):
            text = text.replace(spelling, MASK)
    return text


class _Credentials(NamedTuple):
    """Where in a text the user of an address begins, where the password (None without), and where both end."""

    begin: int
    password: int | None
    end: int


def _credentials(text: str) -> Iterator[_Credentials]:
    """Yield the credentials of the addresses in a text, from left to right.

    No pattern does this: one that looks for the `@` from every `://` on takes time that grows with the square.
    """
    end = slash = taken = -1
    for scheme in _SCHEME.finditer(text):
        begin = scheme.end()
        if begin > end:
            stop = _CREDENTIALS_END.search(text, begin)
            end = len(text) if stop is None else stop.start()
            slash = text.rfind("/", begin, end)
        if begin <= taken or begin == end or text[end : end + 1] != "@":
            continue
        user = _USER.match(text, begin)
        password = user.end() if user is not None and user.end() < end else None
        if password is not None or slash < begin:
            taken = end
            yield _Credentials(begin, password, end)


def _without_credentials(text: str) -> str:
    kept, at = [], 0
    for found in _credentials(text):
        kept += [text[at : found.begin], MASK]
        at = found.end
    return "".join([*kept, text[at:]])


@lru_cache(maxsize=256)
def _spellings(secret: str) -> tuple[str, ...]:
    """Return how a secret may stand in a text, the longest spelling first."""
    escaped = [repr(secret), ascii(secret), json.dumps(secret), json.dumps(secret, ensure_ascii=False)]
    quoted = [quote(secret, safe, errors="surrogatepass") for safe in ("", "/")]
    quoted += [one.replace("%20", "+") for one in quoted]
    found = {
        secret,
        *(one[1:-1] for one in escaped),
        *quoted,
        *(_ESCAPE.sub(lambda code: code[0].lower(), one) for one in quoted),
        *_base64_cores(secret.encode("utf-8", "surrogatepass")),
    }
    return tuple(sorted((one for one in found if one == secret or len(one) >= _SHORTEST_SECRET), key=len, reverse=True))


def _base64_cores(secret: bytes) -> Iterator[str]:
    """Yield the characters that Base64 makes of these bytes alone, wherever among others they begin."""
    for before in range(3):
        first, last = -(-before * 8 // 6), (before + len(secret)) * 8 // 6
        for alphabet in (None, b"-_"):
            yield b64encode(bytes(before) + secret, alphabet).decode()[first:last]


def _found(environment: Mapping[str, str]) -> Iterator[str]:
    for name, value in environment.items():
        if _NAME.search(name) or _VARIABLE.search(name):
            yield value
        for found in _credentials(value):
            if found.password is not None:
                yield value[found.password : found.end]
