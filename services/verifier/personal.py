"""Personal data and secrets in a text: where they stand, each pattern with a validator; and their masks."""

from __future__ import annotations

import ipaddress
import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import date

_ANY = re.compile(
    r"@|\d{7}|\d[- .)\u3000]\d{3}|\d[- ]\d{2}[- ]\d|\d\.\d{1,3}\.|:[0-9A-Fa-f]{0,4}:|sk-|sk_live|gh[pousr]_|github_pat_"
    r"|AKIA|ASIA|xox|AIza|hf_|glpat-|npm_|eyJ|PRIVATE KEY|\d{4} \d{4}"
)
_EMAIL = re.compile(
    r"(?<![A-Za-z0-9_.+-])[A-Za-z0-9_.+-]{1,64}@((?:[A-Za-z0-9-]{1,63}\.){1,8}[A-Za-z]{2,24})(?![A-Za-z0-9-])"
)
_RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|test|invalid|localhost|example)$", re.IGNORECASE)
_CHINESE_MOBILE = re.compile(
    r"(?<![\d.])(?:\(?(?:\+|00)?86\)?[- ]?)?1[3-9]\d(?:\d{8}|([- ])\d{4}\1\d{4}(?! ?\d))(?![\d.]*\d|-\d)"
)
_CHINESE_LANDLINE = re.compile(r"(?<![\d.-])(?:0(?:10|2\d)-\d{8}|0[3-9]\d{2}-\d{7,8})(?![\d-])")
_CHINESE_ID = re.compile(r"(?<!\d)[1-9]\d{16}[\dXx](?!\d)")
_SSN = re.compile(r"(?<![\w.-])(\d{3})([- ])(\d{2})\2(\d{4})(?![\w-])")
_CARD = re.compile(r"(?<![\d.])(?:\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,7}|3\d{3}[ -]\d{6}[ -]\d{5}|\d{15,19})(?![\d.]*\d)")
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.])(?:\+[1-9]\d{0,2}[ .-]\(?\d{1,4}\)?(?:[ .-]\d{2,4}){2,4}|\(\d{3}\) ?\d{3}[ .-]\d{4}"
    r"|\d{3}-\d{3}-\d{4}|[2-9]\d{2}\.[2-9]\d{2}\.\d{4}|(?<![)\]}])\+[1-9]\d{9,14})(?![A-Za-z0-9_-]|\.\d)"
)
# Full-width letters, digits and signs, each for one of ASCII, so that places stay.
_HALF_WIDTH = {code: code - 0xFEE0 for code in range(0xFF01, 0xFF5F)} | {0x3000: 0x20}
_IPV4 = re.compile(r"(?<![A-Za-z0-9_.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_IPV6 = re.compile(r"(?<![\w:.])(?:[0-9A-Fa-f]{0,4}:){2,7}[0-9A-Fa-f]{0,4}(?![\w:])")
_KEY = re.compile(
    r"(?<![A-Za-z0-9_])(?:sk-[A-Za-z0-9_-]{20,}|sk_live_\w{16,}|gh[pousr]_[A-Za-z0-9]{36}|github_pat_\w{22,}"
    r"|A[KS]IA[0-9A-Z]{16}|xox[abprs]-[\w-]{10,}|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,}|glpat-[\w-]{20,}|npm_[A-Za-z0-9]{36}"
    r"|eyJ[\w-]{10,2000}+\.eyJ[\w-]{10,4000}+\.[\w-]{10,1000})"
    r"|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----(?:[A-Za-z0-9+/=\s]{0,8000}-----END [A-Z ]{0,20}PRIVATE KEY-----)?"
)
_VERSION = re.compile(r"(?:\bversion|\bver\.?|\bv|\brelease|版本号?)[:：]?\s?$", re.IGNORECASE)
_EXPRESSION = re.compile(r"[-+*/=×÷<>]\s*$")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ROUNDS = 8


@dataclass(frozen=True, slots=True)
class Datum:
    """One personal datum: its kind, where it stands, and the datum without its punctuation."""

    kind: str
    start: int
    end: int
    value: str


def found_data(text: str, *, reserved: bool) -> Iterator[Datum]:
    """Yield the personal data of a text, kind by kind in a fixed order.

    Parameters
    ----------
    reserved : bool
        Whether what is set aside for examples (RFC 2606 addresses, 555-01xx) counts too.
    """
    if not text.isascii():
        text = text.translate(_HALF_WIDTH)
    if _ANY.search(text) is None:
        return
    for kind, pattern, holds in _KINDS:
        for match in pattern.finditer(text):
            if holds(match, reserved):
                yield Datum(kind, match.start(), match.end(), re.sub(r"[\s()-]", "", match[0]).casefold())


def personal_data(text: str, *, reserved: bool) -> Iterator[str]:
    """Yield the kinds of personal data that a text holds, each once, in a fixed order."""
    seen: set[str] = set()
    for datum in found_data(text, reserved=reserved):
        if datum.kind not in seen:
            seen.add(datum.kind)
            yield datum.kind


def masked(texts: Sequence[str], *, reserved: Callable[[int], bool], kinds: frozenset[str]) -> list[str] | None:
    """Return the texts with `[EMAIL_1]`, `[PHONE_2]`, ... in the place of data: one number for one datum in all texts.

    The numbers follow the order of appearance, so the masks are a function of the texts alone and tell nothing of the
    data. Masking twice is masking once. None where data is left after eight rounds.

    Parameters
    ----------
    reserved : callable
        As in `found_data`, for the text at an index.
    """
    names: dict[tuple[str, str], str] = {}
    last: Counter[str] = Counter()
    taken = set(re.findall(r"\[[A-Z_]+_\d+\]", "\n".join(texts)))
    result = list(texts)
    for _ in range(_ROUNDS):
        changed = False
        for at, text in enumerate(result):
            data = [datum for datum in found_data(text, reserved=reserved(at)) if datum.kind in kinds]
            if data:
                result[at] = _replaced(text, data, lambda datum: _name(datum, names, last, taken))
                changed = True
        if not changed:
            return result
    return None


def _replaced(text: str, data: list[Datum], name_of: Callable[[Datum], str]) -> str:
    parts, end = [], 0
    for datum in sorted(data, key=lambda one: (one.start, -one.end)):
        if datum.start >= end:
            parts += [text[end : datum.start], name_of(datum)]
            end = datum.end
    return "".join([*parts, text[end:]])


def _name(datum: Datum, names: dict[tuple[str, str], str], last: Counter[str], taken: set[str]) -> str:
    key = (datum.kind, datum.value)
    if key not in names:
        last[datum.kind] += 1
        while f"[{datum.kind.upper()}_{last[datum.kind]}]" in taken:
            last[datum.kind] += 1
        names[key] = f"[{datum.kind.upper()}_{last[datum.kind]}]"
    return names[key]


def is_chinese_id(text: str) -> bool:
    """Tell whether 18 characters are a resident id: a real birth date and the ISO 7064 MOD 11-2 check character."""
    try:
        born = date(int(text[6:10]), int(text[10:12]), int(text[12:14]))
    except ValueError:
        return False
    total = sum(int(digit) * weight for digit, weight in zip(text[:17], _WEIGHTS, strict=True))
    return 1900 <= born.year <= 2100 and "10X98765432"[total % 11] == text[17].upper()


def is_luhn(digits: str) -> bool:
    """Tell whether a digit string passes the Luhn check (ISO/IEC 7812-1)."""
    total = 0
    for place, digit in enumerate(reversed(digits)):
        value = int(digit) * (2 if place % 2 else 1)
        total += value - 9 if value > 9 else value
    return total % 10 == 0


def _in_expression(match: re.Match[str]) -> bool:
    return _EXPRESSION.search(match.string[max(0, match.start() - 4) : match.start()]) is not None


def _is_key(match: re.Match[str], reserved: bool) -> bool:  # noqa: ARG001 - the table's form
    return True


def _is_email(match: re.Match[str], reserved: bool) -> bool:
    return reserved or _RESERVED.search(match[1]) is None


def _is_resident(match: re.Match[str], reserved: bool) -> bool:  # noqa: ARG001 - the table's form
    return match[0].isascii() and is_chinese_id(match[0])


def _is_ssn(match: re.Match[str], reserved: bool) -> bool:
    """Tell whether the number could have been issued: area not 000, 666, 9xx; group not 00; serial not 0000."""
    area, group, serial = match[1], match[3], match[4]
    issued = area not in {"000", "666"} and area[0] != "9" and group != "00" and serial != "0000"
    example = f"{area}{group}{serial}" in {"078051120", "219099999", "123456789"}
    return issued and (reserved or not example) and not _in_expression(match)


def _is_card(match: re.Match[str], reserved: bool) -> bool:  # noqa: ARG001 - the table's form
    digits = re.sub(r"\D", "", match[0])
    plausible = 15 <= len(digits) <= 19 and digits[0] in "3456" and len(set(digits)) > 1
    return plausible and is_luhn(digits) and not _in_expression(match)


def _is_mobile(match: re.Match[str], reserved: bool) -> bool:  # noqa: ARG001 - the table's form
    return not _in_expression(match)


def _is_phone(match: re.Match[str], reserved: bool) -> bool:
    digits = re.sub(r"\D", "", match[0])
    # North America's 555-01xx numbers are reserved for fiction.
    return 10 <= len(digits) <= 15 and (reserved or digits[-7:-2] != "55501") and not _in_expression(match)


def _is_public(match: re.Match[str], reserved: bool) -> bool:  # noqa: ARG001 - the table's form
    if _VERSION.search(match.string[max(0, match.start() - 10) : match.start()]):
        return False
    try:
        return ipaddress.ip_address(match[0]).is_global
    except ValueError:
        return False


_KINDS: tuple[tuple[str, re.Pattern[str], Callable[[re.Match[str], bool], bool]], ...] = (
    ("api_key", _KEY, _is_key),
    ("email", _EMAIL, _is_email),
    ("chinese_id", _CHINESE_ID, _is_resident),
    ("us_ssn", _SSN, _is_ssn),
    ("bank_card", _CARD, _is_card),
    ("chinese_mobile", _CHINESE_MOBILE, _is_mobile),
    ("phone", _CHINESE_LANDLINE, _is_mobile),
    ("phone", _PHONE, _is_phone),
    ("ip_address", _IPV4, _is_public),
    ("ip_address", _IPV6, _is_public),
)
KINDS = frozenset(kind for kind, _, _ in _KINDS)
