"""Personal data and secrets, each pattern with a validator so that numbers of a problem are not eaten."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from datetime import date

from schemas.sample import Sample
from services.verifier.checks import CODE_DOMAINS, PASS, Cost, Finding, Options, domain_in

_EMAIL = re.compile(
    r"(?<![A-Za-z0-9_.+-])[A-Za-z0-9][A-Za-z0-9_.+-]{0,63}@((?:[A-Za-z0-9-]{1,63}\.)+[A-Za-z]{2,24})(?![A-Za-z0-9_-])"
)
_RESERVED = re.compile(r"(?:^|\.)(?:example\.(?:com|org|net)|test|invalid|localhost|example)$", re.IGNORECASE)
_CHINESE_MOBILE = re.compile(r"(?<![\d.])(?:\+?86[- ]?)?1[3-9]\d{9}(?![\d.]*\d)")
_CHINESE_ID = re.compile(r"(?<!\d)[1-9]\d{16}[\dXx](?!\d)")
_CARD = re.compile(r"(?<![\d.])(?:\d{4}[ -]\d{4}[ -]\d{4}[ -]\d{1,7}|\d{15,19})(?![\d.]*\d)")
_PHONE = re.compile(
    r"(?<![A-Za-z0-9_.])(?:\+[1-9]\d{0,2}[ -]\(?\d{1,4}\)?(?:[ -]\d{2,4}){2,4}|\(\d{3}\) ?\d{3}-\d{4}"
    r"|\d{3}-\d{3}-\d{4})(?![A-Za-z0-9_-])"
)
_IP = re.compile(r"(?<![A-Za-z0-9_.])(?:\d{1,3}\.){3}\d{1,3}(?![\w.]*\d)")
_KEY = re.compile(
    r"(?<![A-Za-z0-9_])(?:sk-[A-Za-z0-9_-]{20,}|ghp_[A-Za-z0-9]{36}|github_pat_\w{22,}|AKIA[0-9A-Z]{16}|xox[abpr]-[\w-]{10,}"
    r"|AIza[\w-]{35}|hf_[A-Za-z0-9]{30,})|-----BEGIN [A-Z ]{0,20}PRIVATE KEY-----"
)
_EXPRESSION = re.compile(r"[-+*/=×÷<>]\s*$")
_WEIGHTS = (7, 9, 10, 5, 8, 4, 2, 1, 6, 3, 7, 9, 10, 5, 8, 4, 2)
_ANY = re.compile(r"@|\d{7}|\d[- .)]\d{3}|\d\.\d{1,3}\.|sk-|ghp_|github_pat_|AKIA|xox|AIza|hf_|PRIVATE KEY|\d{4} \d{4}")


class Privacy:
    """E-mail, phone, Chinese mobile and id (checksum), bank card (Luhn), public IPv4 address, API keys.

    Options: `kinds`, a list of those to look for (all by default); `reserved`, whether addresses and numbers that are
    set aside for examples (RFC 2606, 555-01xx) count too: by default in prose, where a model would learn to write
    personal data, and not in answers that are code, where they are the usual placeholders. Private IP ranges never
    count.
    """

    name = "privacy"
    version = "1"
    cost = Cost.TEXT
    domains: frozenset[str] | None = None

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    def check(self, sample: Sample, options: Options) -> Finding:
        """Return the first finding; the evidence never repeats the datum itself."""
        wanted = options.get("kinds")
        code = domain_in(sample, CODE_DOMAINS)
        for part, text in (("instruction", sample.instruction), ("response", sample.response)):
            if _ANY.search(text) is None:
                continue
            reserved = bool(options.get("reserved", not (code and part == "response")))
            for kind in personal_data(text, reserved=reserved):
                if wanted is None or kind in wanted:
                    return Finding("fail", kind, 1, 0, f"in the {part}")
        return PASS


def personal_data(text: str, *, reserved: bool) -> Iterator[str]:
    """Yield the kinds of personal data that a text holds, in a fixed order; `reserved`: examples count too."""
    if _KEY.search(text):
        yield "api_key"
    if any(reserved or not _RESERVED.search(match[1]) for match in _EMAIL.finditer(text)):
        yield "email"
    if any(is_chinese_id(match[0]) for match in _CHINESE_ID.finditer(text)):
        yield "chinese_id"
    if any(_is_card(match[0]) for match in _CARD.finditer(text) if not _in_expression(text, match.start())):
        yield "bank_card"
    if any(not _in_expression(text, match.start()) for match in _CHINESE_MOBILE.finditer(text)):
        yield "chinese_mobile"
    if any(
        _is_phone(match[0], reserved=reserved) and not _in_expression(text, match.start())
        for match in _PHONE.finditer(text)
    ):
        yield "phone"
    if any(_is_public(match[0]) for match in _IP.finditer(text)):
        yield "ip_address"


def _in_expression(text: str, at: int) -> bool:
    return _EXPRESSION.search(text[max(0, at - 4) : at]) is not None


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


def _is_card(text: str) -> bool:
    digits = re.sub(r"\D", "", text)
    return 15 <= len(digits) <= 19 and digits[0] in "3456" and len(set(digits)) > 1 and is_luhn(digits)


def _is_phone(text: str, *, reserved: bool) -> bool:
    digits = re.sub(r"\D", "", text)
    # North America's 555-01xx numbers are reserved for fiction.
    return 10 <= len(digits) <= 15 and (reserved or digits[-7:-2] != "55501")


def _is_public(text: str) -> bool:
    try:
        return ipaddress.ip_address(text).is_global
    except ValueError:
        return False
