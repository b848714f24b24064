"""What is wrong with a mathematical question on its face: no model is asked.

The first two stages of MathQ-Verify (arXiv 2505.13903) as far as rules go; conservative, a doubt is no fault.
"""

from __future__ import annotations

import re

_META = re.compile(
    r"\b(?:rewrite|rephrase|paraphrase|translate)\b.{0,40}\b(?:question|problem|text|prompt)\b"
    r"|\bas an ai\b|\b(?:here is|here's) (?:the|a|your) (?:new|rewritten|modified|rephrased) (?:question|problem)\b"
    r"|\b(?:create|generate|write|design) (?:a|an|another|one) (?:new |similar |different )?(?:math )?"
    r"(?:question|problem)\b"
    r"|(?:改写|重写|翻译)(?:下面|以下|这道|上述|该)?.{0,10}(?:题目|问题)|作为(?:一个)?(?:人工智能|AI|语言模型)",
    re.IGNORECASE,
)
_LEAK = re.compile(
    r"####\s*\S|\\boxed\s*\{[^{}]+\}"
    r"|(?<!\bif )(?<!\bthat )(?<!\bwhen )(?<!\bsuppose )\bthe (?:final |correct )?answer is:?\s*\$?-?\d"
    r"|(?<!如果)(?<!若)(?<!已知)(?<!设)答案(?:是|为|[:：])[:：]?\s*-?\d",
    re.IGNORECASE,
)
_GOAL = re.compile(
    r"[?？]|\b(?:find|determine|compute|calculate|evaluate|solve|prove|show|simplify|factor|express|how|what|which|when|"
    r"where|who|why|give|list|state|estimate|convert|round|write|draw|graph|sketch|expand|derive|differentiate|integrate|"
    r"maximi[sz]e|minimi[sz]e|identify|complete|fill|name|count|add|subtract|multiply|divide|verify|compare|decide|explain|"
    r"describe|let's find|is it|are there|can you|put|arrange|order|choose|select|use|work out|tell)\b"
    r"|求|计算|证明|解|多少|几|什么|哪|为何|如何|怎样|是否|写出|化简|判断|填空|比较|估算|分解|[=＝]\s*$|_{2,}|[（(]\s*[)）]",
    re.IGNORECASE,
)
_ENVIRONMENT = re.compile(r"\\(begin|end)\s*\{([A-Za-z*]+)\}")
_MATHEMATICS = re.compile(r"\$[^$]*\\[A-Za-z]|(?<![\w$])\$\s?[A-Za-z(][^$\n]{0,80}[\^_=<>]")
_NEEDS_ARGUMENT = re.compile(r"\\(?:[dt]?frac|sqrt|text|mathrm)[\s.,;?!]*+$")


def question_fault(question: str) -> tuple[str, str] | None:
    """Return a stable word and the piece of text that shows it, or None.

    `contaminated_instruction`: it asks to write a problem, or is addressed to a model, or gives its own answer.
    `broken_latex`: braces, `$`, delimiters or environments do not close. `missing_goal`: nothing is asked for.
    """
    if not question.strip():
        return "missing_goal", ""
    for pattern in (_META, _LEAK):
        if found := pattern.search(question):
            return "contaminated_instruction", found[0][:200]
    if (broken := _broken_latex(question)) is not None:
        return "broken_latex", broken
    return None if _GOAL.search(question) else ("missing_goal", question[-80:])


def _broken_latex(text: str) -> str | None:
    if _latex_brace_depth(text) != 0:
        return "braces"
    for opening, closing in (("\\(", "\\)"), ("\\[", "\\]")):
        # In a matrix `\\\\[2pt]` is a line break.
        bare = text.replace("\\\\", "  ")
        if bare.count(opening) != bare.count(closing):
            return f"{opening} {closing}"
    if _unpaired(text):
        return "\\left \\right"
    names = _ENVIRONMENT.findall(text)
    if sorted(name for kind, name in names if kind == "begin") != sorted(name for kind, name in names if kind == "end"):
        return "\\begin \\end"
    missing = _NEEDS_ARGUMENT.search(text)
    return missing[0].strip() if missing else _odd_dollars(text)


def _unpaired(text: str) -> bool:
    return len(re.findall(r"\\left(?![A-Za-z])", text)) != len(re.findall(r"\\right(?![A-Za-z])", text))


def _latex_brace_depth(text: str) -> int:
    bare = text.replace("\\\\", "").replace("\\{", "").replace("\\}", "")
    # Without LaTeX a brace may be anything.
    return bare.count("{") - bare.count("}") if "\\" in text else 0


def _odd_dollars(text: str) -> str | None:
    # `$` is money too: only an odd one beside a command or a relation is certain to be broken.
    signs = text.replace("\\$", "").replace("$$", "")
    money = re.sub(r"\$\s?\d[\d,.]*(?!\s*[\\^_+*/=$])", "", signs)
    return "$" if money.count("$") % 2 and _MATHEMATICS.search(money, money.rfind("$")) else None
