"""Phrases aimed at a language model that reads the sample later: a judge, a generator, a scorer. [own]."""

from __future__ import annotations

import re
import unicodedata

from schemas.sample import Sample
from services.verifier.checks import PASS, Cost, Finding, Options

# Tag characters and zero-width signs hide text from people; joiners between letters of scripts that need them do not.
_HIDDEN = re.compile(
    r"(?<=[A-Za-z])[\u00ad\u200c\u200d](?=[A-Za-z])|[\u200b\u2060\u2061-\u2064\ufeff\U000e0000-\U000e007f]"
)
# Three flags, those of England, Scotland and Wales, are written with a few of them.
_TAGS = re.compile(r"(?<![\U0001f3f4\U000e0020-\U000e007e])[\U000e0020-\U000e007e]|[\U000e0020-\U000e007e]{7}")
_LINE = re.compile(r"(?<![ \t])[ \t]*+\n(?![ \t]*\n)[ \t]*")
# Cyrillic and Greek letters that look like Latin ones.
_ALIKE = str.maketrans("аеорсухіѕјкмтнвАЕОРСУХІЅЈКМТНВοιαρεΟΙΑΡΕΤΚΜΝ", "aeopcyxisjkmthbAEOPCYXISJKMTHBoiapeOIAPETKMN")
_BIDI = re.compile(r"[\u202d\u202e\u2066-\u2068]")
_RULES = tuple(
    (name, re.compile(pattern, re.IGNORECASE))
    for name, pattern in (
        (
            "override",
            r"\b(?:ignore|disregard|forget|override|bypass)\b[^.!?\n]{0,30}\b(?:previous|prior|above|earlier|preceding|"
            r"system|original|all(?: of)? (?:your|the)|your)\b[^.!?\n]{0,20}\b(?:instructions?|prompts?|rules|"
            r"directions|guidelines|context)\b"
            r"|\b(?:ignore|disregard|forget) (?:all |everything |anything )?(?:of )?(?:the |what is |that is )?"
            r"(?:above|previous|preceding|before this)(?:\s*[,;:.]|\s+and|\s+but)[^.!?\n]{0,20}"
            r"\b(?:say|answer|output|print|respond|reply|return|give|write|rate|score)\b"
            r"|\bforget (?:everything|all|anything)(?: that)? you(?: were|'ve been| have been)? (?:told|taught|know)\b"
            r"|\b(?:do not|don't|never) (?:follow|obey)\b[^.!?\n]{0,20}\b(?:previous|prior|above|earlier|system|your)"
            r"\b[^.!?\n]{0,12}\b(?:instructions?|prompts?|rules|guidelines)\b"
            r"|\b(?:do not|don't|never) (?:follow|obey) (?:the|any|all) (?:instructions?|prompts?|rules) above\b"
            r"|(?:忽略|无视|忘记|忘掉|不要理会|跳过)[^。！？\n]{0,12}(?:之前|以上|上述|上面|前面|先前|系统|所有|原来)"
            r"[^。！？\n]{0,10}(?:指令|指示|提示|规则|要求|命令|说明)",
        ),
        (
            "verdict",
            r"\b(?:give|assign|rate|score|grade|mark|award|return|output|answer)\b[^.!?\n]{0,40}\b(?:this|the|my)"
            r" (?:response|answer|sample|solution|submission|item)\b[^.!?\n]{0,40}"
            r"(?:\b(?:full|highest|maximum|perfect|top|pass)\b|\b(?:10|5|100)\b)"
            r"|\"(?:verdict|judge?ment_test)\"\s{0,4}:\s{0,4}\"?(?:pass|true)\b"
            r"|(?:请|必须|务必|直接)[^。！？\n]{0,10}(?:给|评为|打|判为|输出)[^。！？\n]{0,10}(?:满分|最高分|通过|10\s?分|5\s?分)",
        ),
        (
            "to_the_judge",
            r"\b(?:dear|attention|note (?:to|for)|message (?:to|for)|instructions? (?:to|for))(?: the| any| all)? "
            r"(?:ai |llm |automated )?(?:judges?|graders?|evaluators?|reviewers?|verifiers?|raters?)\b"
            r"|\bas (?:a|the|an) (?:ai |llm )?(?:judge|grader|evaluator|rater)[, ]{1,2}you (?:must|should|will|have to)"
            r"\b[^.!?\n]{0,12}\b(?:output|return|answer|give|mark|score|say|accept|approve|pass)\b"
            r"|(?:评审|评委|评估者|打分者|评分者|裁判)(?:们|模型|员)?[^。！？\n]{0,4}(?:请?注意)[:：，,]"
            r"|(?:致|告知|提示|提醒)(?:各位|所有)?(?:评审|评委|评估者|打分者|裁判|审核)(?:模型|员|者)?[:：，,]",
        ),
        (
            "template",
            r"<\|(?:im_start|im_end|system|assistant|endoftext|eot_id|start_header_id|begin_of_text)\|>"
            r"|\[/?INST\]|<</?SYS>>|<(?:start|end)_of_turn>",
        ),
        (
            "role",
            r"\b(?:reveal|print|repeat|show|leak)\b[^.!?\n]{0,20}\b(?:your|the) (?:system|hidden|secret|initial) "
            r"(?:prompt|instructions?)\b"
            r"|\byou are (?:now|no longer) (?:an? |in )?(?:unrestricted|developer mode|jailbroken|dan\b|bound)"
            r"|(?:泄露|显示|输出|告诉我)[^。！？\n]{0,8}系统提示词?|你(?:现在)?(?:是|处于)(?:一个|一名)?(?:开发者模式|不受限制|没有限制|无限制|没有任何限制)",
        ),
    )
)


LONGEST = 200_000


class Injection:
    """Instructions to a later model in instruction, response or earlier turns; a finding of any kind fails.

    Text is compared after NFKC and without hidden characters. Options: `kinds`, a list of the rules that count
    (override, verdict, to_the_judge, template, role, hidden_text; all by default). A text of more than 200,000
    characters is not searched: unknown.
    """

    name = "injection"
    version = "2"
    cost = Cost.TEXT
    domains: frozenset[str] | None = None

    def applies(self, sample: Sample) -> bool:  # noqa: ARG002 - the protocol's
        """Every sample."""
        return True

    def check(self, sample: Sample, options: Options) -> Finding:
        """Return the first rule that fires."""
        wanted = options.get("kinds")
        earlier = [message.content for message in sample.messages or ()]
        texts = (sample.instruction, sample.response, *earlier)
        longest = max(map(len, texts))
        if longest > LONGEST:
            return Finding("unknown", "too_long", longest, LONGEST)
        for text in texts:
            found = injection(text)
            if found is not None and (wanted is None or found[0] in wanted):
                return Finding("fail", found[0], 1, 0, found[1])
        return PASS


def injection(text: str) -> tuple[str, str] | None:
    """Return the rule that a text breaks, with the passage (at most 120 characters); None for none."""
    plain = text
    if not text.isascii():
        if _TAGS.search(text) or len(_BIDI.findall(text)) > 2:
            return "hidden_text", "invisible or reordering characters"
        plain = unicodedata.normalize("NFKC", _HIDDEN.sub("", text)).translate(_ALIKE)
    plain = _LINE.sub(" ", plain)
    for name, pattern in _RULES:
        if match := pattern.search(plain):
            return name, match[0][:120]
    return None
