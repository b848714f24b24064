"""Personal data and secrets: reported, masked or refused."""

from __future__ import annotations

from schemas.sample import Sample
from services.verifier.checks import CODE_DOMAINS, PASS, Cost, Finding, Options, domain_in
from services.verifier.personal import KINDS, is_chinese_id, is_luhn, masked, personal_data

__all__ = ["Privacy", "is_chinese_id", "is_luhn", "personal_data"]

LONGEST = 1_000_000


class Privacy:
    """E-mail, phone, Chinese id (checksum), US social security number, bank card (Luhn), public IP, keys and tokens.

    Options: `action`, `reject` (the default), `mask` (the sample is refused, and a child with `[EMAIL_1]` and the like
    goes on) or `report` (it passes, with the kinds as reason); `kinds`, a list of those to look for (all by default);
    `reserved`, whether addresses and numbers that are set aside for examples (RFC 2606, 555-01xx) count too: by default
    in prose, where a model would learn to write personal data, and not in answers that are code, where they are the
    usual placeholders. Private IP ranges never count. Data in an earlier turn of a dialogue is refused where it should
    be masked. An unknown action, and a text of more than a million characters, give unknown.
    """

    name = "privacy"
    version = "3"
    cost = Cost.TEXT
    domains: frozenset[str] | None = None

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    def check(self, sample: Sample, options: Options) -> Finding:
        """Return the first finding; the evidence never repeats the datum itself."""
        action = str(options.get("action", "reject"))
        if action not in {"reject", "mask", "report"}:
            return Finding("unknown", "unknown_action", action, "reject, mask or report")
        parts = {"instruction": sample.instruction, "response": sample.response}
        for at, message in enumerate(sample.messages or ()):
            if message.content not in (sample.instruction, sample.response):
                parts[f"turn {at}"] = message.content
        longest = max(map(len, parts.values()))
        if longest > LONGEST:
            return Finding("unknown", "too_long", longest, LONGEST)
        kinds = frozenset(options["kinds"]) if options.get("kinds") is not None else KINDS
        found = [
            (kind, part)
            for part, text in parts.items()
            for kind in personal_data(text, reserved=_reserved(sample, options, part))
            if kind in kinds
        ]
        return _acted(sample, options, action, kinds, found) if found else PASS


def _reserved(sample: Sample, options: Options, part: str) -> bool:
    return bool(options.get("reserved", not (domain_in(sample, CODE_DOMAINS) and part == "response")))


def _acted(
    sample: Sample, options: Options, action: str, kinds: frozenset[str], found: list[tuple[str, str]]
) -> Finding:
    kind, part = found[0]
    if action == "report":
        return Finding(
            "pass", "reported", len(found), evidence=", ".join(f"{one} in the {where}" for one, where in found)[:200]
        )
    refusal = Finding("fail", kind, 1, 0, f"in the {part}")
    if action == "reject" or any(where.startswith("turn") for _, where in found):
        return refusal
    texts = (sample.instruction, sample.response)
    clean = masked(texts, reserved=lambda at: _reserved(sample, options, ("instruction", "response")[at]), kinds=kinds)
    if clean is None:
        return refusal
    return Finding("pass", "masked", len(found), 0, f"{kind} in the {part}", (clean[0], clean[1]))
