"""Text that is empty, damaged, refusing, cut off or repeating itself."""

from __future__ import annotations

import re
from collections import Counter

from schemas.sample import Sample
from services.verifier.checks import CODE_DOMAINS, PASS, Cost, Finding, Options, domain_in

_CONTROL = re.compile(r"[\x00-\x08\x0b\x0e-\x1f\x7f]")
# UTF-8 read as Latin-1 or Windows-1252: a lead byte as a letter, followed by a continuation byte as a sign.
_MOJIBAKE = re.compile(
    "â€[™œžš¦“”\u009d\u0099\u009c]|[ÃÂ][\u0080-\u00bf\u20ac‚„…†‡ˆ‰‹‘’“”•–—˜™›]|ï»¿|[äåæçèé][\u0080-\u00bf]{2}"
    "|[\u00e0-\u00ef][\u0080-\u009f][\u0080-\u00bf]"
)
_RUN = re.compile(r"(\S)\1{59,}")
_BEGIN_END = re.compile(r"\\(begin|end)\{([a-zA-Z*]+)\}")
_SENTENCE_END = re.compile(r"[.!?。！？…](?=[\s\"'”’)）\]]|$)|[。！？]")
_LIST_ITEM = re.compile(r"^\s*(?:[-*•+>|#]|\d{1,3}[.)、]|[A-Za-z][.)]|\(?[a-z0-9]\))")
_DANGLING = re.compile(
    r"(?:[,，、(\[{（]|\b(?:a|an|the|and|or|but|of|to|in|for|with|by|from|is|are|was|were|because|that|which|into|"
    r"their|his|her|its|your|our|my))$",
    re.IGNORECASE,
)
_CHINESE = re.compile(r"[\u4e00-\u9fff]")
_CHINESE_MOJIBAKE = re.compile(r"锟斤拷|烫烫烫|屯屯屯|ï¼[\u0080-\u00bf]")
_UNSEEN = re.compile(r"[\u200b-\u200f\u2060-\u2064\ufeff]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")
_REFUSAL = re.compile(
    r"^\W{0,3}(?:(?:I'?m|I am|we'?re|we are) (?:very |so |really |truly )?(?:sorry|afraid)\b[^.!?\n]{0,80}"
    r"\b(?:can(?:no|')?t|can not|unable|not able|won'?t|don'?t|not allowed|not comfortable)\b"
    r"|(?:sorry|unfortunately|I apologi[sz]e)\b[^.!?\n]{0,60}\bI(?:'m| am)? (?:can(?:no|')?t|can not|unable|not able|"
    r"won'?t|don'?t have)"
    r"|I (?:can(?:no|')?t|can not|won'?t|am (?:unable|not able) to|'m (?:unable|not able) to) (?:assist|help|comply|"
    r"fulfil|provide|answer|complete|do that|generate|create|engage)"
    r"|I (?:must|have to|will have to) (?:respectfully |politely )?(?:decline|refuse)\b"
    r"|As an? (?:AI|artificial intelligence|large language|language)\b[^.!?\n]{0,80}"
    r"\b(?:can(?:no|')?t|can not|unable|not able|do(?:es)? not|don'?t|won'?t|not programmed)\b"
    r"|(?:很|非常|十分)?(?:抱歉|对不起|遗憾)[^。！？\n]{0,20}(?:无法|不能|没有办法|没办法)"
    r"|(?:我|本模型)(?:无法|不能)(?:回答|提供|协助|帮助|完成|满足|生成)"
    r"|作为(?:一个|一名|一款)?(?:人工智能|AI|大?语言模型)[^。！？\n]{0,30}(?:无法|不能|没有|不具备))",
    re.IGNORECASE,
)
_STUTTER = re.compile(r"\b([^\W\d_]{2,30})(?:[^\S\n]{1,3}\1\b){19}", re.IGNORECASE)
_OPEN_ARGUMENT = re.compile(r"\\[A-Za-z]{2,20}(?:\{[^{}\n]{0,400}\}){0,3}\{[^{}]{0,400}$")
_REFUSAL_ASKED = re.compile(r"\b(?:refus|declin|apolog|reject)|拒绝|道歉|婉拒", re.IGNORECASE)
_WINDOW = 20_000
_TAIL = 2_000
_REPEATS = 5
_LONG = 120
_GRAM = 5


class TextFormat:
    """Emptiness, length, encoding damage, refusals, repetition and truncation; conservative on purpose.

    Options: `min_response_characters` (1), `max_response_characters` (200,000), `refusals` (`reject`, or `allow` where
    refusing is what should be learned), `min_distinct_grams` (0.1: the share of distinct word 5-grams below which a
    text of 60 words and more is repetition; DataFlow's n-gram filter uses the same bound).
    """

    name = "text_format"
    version = "3"
    cost = Cost.TEXT
    domains: frozenset[str] | None = None

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    def check(self, sample: Sample, options: Options) -> Finding:
        """Return the first fault."""
        return (
            _emptiness(sample, int(options.get("min_response_characters", 1)))
            or _excess(sample, int(options.get("max_response_characters", 200_000)))
            or _damage(sample.instruction)
            or _damage(sample.response)
            or _refusal(sample, str(options.get("refusals", "reject")))
            or _stutter(sample.response)
            or _repetition(sample.response, float(options.get("min_distinct_grams", 0.1)))
            or _truncation(sample)
            or PASS
        )


def _emptiness(sample: Sample, shortest: int) -> Finding | None:
    if not sample.instruction.strip():
        return Finding("fail", "empty_instruction", 0, 1)
    length = len(_UNSEEN.sub("", sample.response).strip())
    if length < max(1, shortest):
        return Finding("fail", "empty_response" if not length else "short_response", length, max(1, shortest))
    return None


def _excess(sample: Sample, longest: int) -> Finding | None:
    length = len(sample.response)
    return Finding("fail", "long_response", length, longest) if length > longest else None


def _refusal(sample: Sample, treatment: str) -> Finding | None:
    if treatment == "allow" or _REFUSAL_ASKED.search(sample.instruction[:_WINDOW]):
        return None
    match = _REFUSAL.match(sample.response.lstrip()[:400].replace("’", "'"))
    return Finding("fail", "refusal", match[0][:80], "an answer") if match else None


def _damage(text: str) -> Finding | None:
    if text.isascii():
        match = _CONTROL.search(text)
        return Finding("fail", "control_character", repr(match[0]), "none") if match else None
    if "\ufffd" in text:
        return Finding("fail", "damaged_encoding", text.count("\ufffd"), 0, _around(text, text.index("\ufffd")))
    if match := _SURROGATE.search(text):
        return Finding("fail", "damaged_encoding", f"U+{ord(match[0]):04X}", "no lone surrogates")
    if match := _MOJIBAKE.search(text) or _CHINESE_MOJIBAKE.search(text):
        return Finding("fail", "damaged_encoding", match[0], "readable text", _around(text, match.start()))
    if match := _CONTROL.search(text):
        return Finding("fail", "control_character", repr(match[0]), "none", _around(text, match.start()))
    return None


def _around(text: str, at: int) -> str:
    return text[max(0, at - 20) : at + 20]


def _stutter(text: str) -> Finding | None:
    match = _STUTTER.search(text[:_WINDOW]) or _STUTTER.search(text[-_WINDOW:])
    return Finding("fail", "repetition", 20, 19, match[1]) if match else None


def _repetition(text: str, least: float) -> Finding | None:
    if len(text) < _LONG:
        return None
    if match := _RUN.search(text):
        return Finding("fail", "repetition", len(match[0]), 59, match[0][:10])
    if (unit := _looping_end(text[-_TAIL:])) is not None:
        return Finding("fail", "repetition", _REPEATS, _REPEATS - 1, unit[:80])
    if len(text) > 2 * _WINDOW:
        text = text[:_WINDOW] + text[-_WINDOW:]
    words = _units(text)
    if len(words) < 60:
        return None
    grams = [tuple(words[at : at + _GRAM]) for at in range(len(words) - _GRAM + 1)]
    counts = Counter(grams)
    share = len(counts) / len(grams)
    if share < least:
        return Finding("fail", "repetition", round(share, 4), least, " ".join(counts.most_common(1)[0][0])[:80])
    return None


def _looping_end(tail: str) -> str | None:
    """Return the unit of 12 to 400 characters that a text ends with at least five times in a row, or None."""
    tail = tail.rstrip()
    last = tail[-12:]
    if tail.count(last) < _REPEATS:
        return None
    period = len(tail) - 12 - tail.rfind(last, 0, len(tail) - 1)
    unit = tail[-period:]
    # A unit of few characters is a ruler, a table or a row of digits.
    looping = period >= 12 and len(set(unit)) > 4 and tail.endswith(unit * _REPEATS)
    return unit if looping else None


def _units(text: str) -> list[str]:
    words = text.split()
    # Chinese has no spaces: characters are its words.
    return words if len(words) * 12 > len(text) else list(text)


def _truncation(sample: Sample) -> Finding | None:
    text = sample.response.rstrip()
    fences = text.count("```")
    if fences % 2:
        return Finding("fail", "unclosed_fence", fences, fences + 1)
    if domain_in(sample, CODE_DOMAINS):
        return None
    if "\\" in text and (fault := _unclosed_latex(text)) is not None:
        return fault
    if fences or "\ndef " in text or ";\n" in text:
        return None
    return _unfinished_list(text) or _unfinished(text)


def _unclosed_latex(text: str) -> Finding | None:
    if match := _OPEN_ARGUMENT.search(text[-_TAIL:]):
        return Finding("fail", "unclosed_latex", match[0][-40:], "closed")
    if text.count("$$") % 2:
        return Finding("fail", "unclosed_latex", "$$", "closed")
    for opening, closing in (("\\(", "\\)"), ("\\[", "\\]")):
        if text.count(opening) > text.count(closing) and text.rfind(opening) > text.rfind(closing):
            return Finding("fail", "unclosed_latex", opening, closing)
    depth: Counter[str] = Counter()
    for kind, name in _BEGIN_END.findall(text):
        depth[name] += 1 if kind == "begin" else -1
    unclosed = sorted(name for name, count in depth.items() if count > 0)
    return Finding("fail", "unclosed_latex", unclosed[0], "closed") if unclosed else None


def _unfinished_list(text: str) -> Finding | None:
    """Find a last item that lacks the full stop which every other item has."""
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    items = [line for line in lines if _LIST_ITEM.match(line)]
    if len(items) < 2 or items[-1] is not lines[-1] or not lines[-1][-1].isalpha():
        return None
    if all(line[-1] in ".。！!？?" for line in items[:-1]):
        return Finding("fail", "unfinished_sentence", lines[-1][-40:], "a finished sentence")
    return None


def _unfinished(text: str) -> Finding | None:
    line = text.rpartition("\n")[2].strip()
    tail = line[-40:]
    chinese = _CHINESE.search(line) is not None
    if _LIST_ITEM.match(line) or (len(text) < _LONG and not chinese):
        return None
    if _DANGLING.search(tail):
        return Finding("fail", "unfinished_sentence", tail, "a finished sentence")
    inner = len(_SENTENCE_END.findall(text))
    # Chinese full stops are written without fail; English answers often end in a name or a value.
    enough = inner >= 1 if chinese else inner >= 2 and len(line) > 60 and _SENTENCE_END.search(line)
    if enough and line[-1].isalpha():
        return Finding("fail", "unfinished_sentence", tail, "a finished sentence")
    return None
