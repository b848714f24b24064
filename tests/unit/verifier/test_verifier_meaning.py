"""Language, mismatch, groundedness, toxicity."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from limoflow.errors import DependencyUnavailable, ModelRequestError
from limoflow.inference.fakes import FakeModels
from schemas.run import Run
from schemas.sample import Metadata, Reference, Sample
from services.verifier.checks import Finding
from services.verifier.groundedness import Groundedness
from services.verifier.language import InLanguage
from services.verifier.mismatch import Mismatch
from services.verifier.texts.languages import language_of
from services.verifier.toxicity import Toxicity

ENGLISH = "Please describe how a small bakery could reduce the waste of bread over a long weekend."
CHINESE = "请说明一家小型面包店如何在长周末减少面包的浪费。"


def sample(instruction: str, response: str, evidence: Sequence[str] = (), **metadata: Any) -> Sample:
    known = Reference(evidence=list(evidence)) if evidence else None
    return Sample(id="s", instruction=instruction, response=response, metadata=Metadata(reference=known, **metadata))


@pytest.mark.parametrize(
    ("text", "name"),
    [
        (ENGLISH, "en"),
        (CHINESE, "zh"),
        ("使用 Python 的 pandas 库读取 CSV 文件并计算每一列的平均值", "zh"),
        ("The word 面包 means bread, and it is one of the first words that you learn in the course.", "en"),
        ("これは小さなパン屋がパンの無駄を減らす方法についての文章です。", "ja"),
        ("이것은 작은 빵집이 빵의 낭비를 줄이는 방법에 대한 글입니다", "ko"),
        ("Bitte beschreibe, wie eine kleine Bäckerei an einem langen Wochenende weniger Brot wegwerfen kann.", "de"),
        ("Décrivez comment une petite boulangerie peut jeter moins de pain pendant un long week-end.", "fr"),
        ("Describe cómo una pequeña panadería puede tirar menos pan durante un fin de semana largo.", "es"),
        ("Опишите, как небольшая пекарня может сократить отходы хлеба.", "other"),
        ("42", "unknown"),
        ("", "unknown"),
        ("x = y + z; foo(bar)\nreturn baz;", "unknown"),
        ("```\nthis is the code of a and of the b\n```", "unknown"),
        ("This is one half of the text 而这里是另外一半", "mixed"),
    ],
)
def test_languages_are_told_apart_or_not_told(text: str, name: str) -> None:
    assert language_of(text).name == name


@given(st.text(max_size=300))
def test_any_text_has_a_language_or_none(text: str) -> None:
    found = language_of(text)
    assert 0.0 <= found.share <= 1.0 + 1e-9
    assert found.known or found.name in {"unknown", "mixed"}


@pytest.mark.parametrize(
    ("instruction", "response", "options", "declared", "said"),
    [
        (ENGLISH, ENGLISH, {}, None, ("pass", None)),
        (ENGLISH, CHINESE, {}, None, ("fail", "answered_in_another_language")),
        (ENGLISH, CHINESE, {"agree": False}, None, ("pass", None)),
        ("Translate this sentence into Chinese: " + ENGLISH, CHINESE, {}, None, ("pass", None)),
        (CHINESE, CHINESE, {"languages": ["en"]}, None, ("fail", "wrong_language")),
        (CHINESE, CHINESE, {"languages": ["en", "zh"]}, None, ("pass", None)),
        (CHINESE, CHINESE, {}, "en-GB", ("fail", "wrong_language")),
        (ENGLISH, ENGLISH, {}, "en_US", ("pass", None)),
        (ENGLISH, ENGLISH, {"languages": ["fi"]}, None, ("unknown", "not_distinguished")),
        (ENGLISH, "Lisbon", {"languages": ["en"]}, None, ("pass", None)),
        ("What?", "Lisbon", {"languages": ["en"]}, None, ("unknown", "language_not_told")),
        (ENGLISH, "Lorem xyzzy frobnicate blorb quux wibble grault garply waldo", {}, None,
         ("unknown", "language_not_told")),
    ],
)  # fmt: skip
def test_the_language_must_be_the_wanted_one(
    instruction: str, response: str, options: dict[str, Any], declared: str | None, said: tuple[str, str | None]
) -> None:
    finding = InLanguage().check(sample(instruction, response, language=declared), options)
    assert (finding.verdict, finding.reason) == said


QUESTION = "A farmer sells 14 baskets of cherries for 9 coins each. How many coins does the farmer earn with cherries?"


@pytest.mark.parametrize(
    ("instruction", "response", "domain", "said"),
    [
        (QUESTION, "The farmer earns 14 * 9 = 126 coins.", "mathematics", ("pass", None)),
        (QUESTION, "Julia reads eleven pages every evening, therefore seventy-seven pages weekly.", "mathematics",
         ("fail", "nothing_shared")),
        (QUESTION, "Coins: 3 + 8 = 11", "mathematics", ("fail", "other_numbers")),
        (QUESTION, "126", "mathematics", ("unknown", "too_short")),
        ("Write a function that removes duplicate values from a sorted linked list of integers",
         "class Server:\n    def handle_request(self, socket, payload, timeout): return reply_header(packet)", "code",
         ("fail", "nothing_shared")),
        ("Is it raining?", "Yes.", "general", ("unknown", "too_short")),
        ("为什么糖尿病人容易口渴，平时生活需要注意些什么？",
         "支原体肺炎应选用大环内酯类抗菌药，疗程两周左右，多休息，按期复查胸片。", "general",
         ("unknown", "nothing_shared")),
    ],
)  # fmt: skip
def test_answers_to_something_else_do_not_pass(
    instruction: str, response: str, domain: str, said: tuple[str, str | None]
) -> None:
    finding = Mismatch().check(sample(instruction, response, domain=domain), {})
    assert isinstance(finding, Finding)
    assert (finding.verdict, finding.reason) == said


class Angles(FakeModels):
    """An embedder whose texts stand at the angles that they name, in degrees."""

    async def embed_many(self, texts: Sequence[str]) -> list[NDArray[np.float32]]:
        if "unreadable" in texts[1]:
            raise ModelRequestError("too long")
        angles = [np.deg2rad(float(text.split()[-1])) for text in texts]
        return [np.array([np.cos(angle), np.sin(angle)], dtype=np.float32) for angle in angles]


@pytest.mark.parametrize(
    ("response", "said"),
    [("cherries 30", ("pass", None)), ("cherries 85", ("fail", "far_from_instruction")),
     ("cherries unreadable", ("unknown", "not_embedded")), ("cherries nan", ("fail", "far_from_instruction"))],
)  # fmt: skip
async def test_embeddings_are_asked_where_a_bound_is_named(response: str, said: tuple[str, str | None]) -> None:
    models = Angles()
    finding = Mismatch(lambda: models).check(sample("cherries 0", response), {"least_cosine": 0.2})
    assert not isinstance(finding, Finding)
    made = await finding
    assert (made.verdict, made.reason) == said
    without = Mismatch().check(sample("cherries 0", response), {"least_cosine": 0.2})
    assert not isinstance(without, Finding)
    assert (await without).reason == "no_embedder"


FILM = "The Copper Lantern is a 1954 film directed by Ilse Brandt, with music by Tomas Reyes."
DIRECTOR = "Ilse Brandt (1911-1988) was a director from Graz who worked in Vienna for thirty years."
OTHER = "Harald Nyman, a composer from Turku, wrote four operas."
BORN = "电影《大海》的导演出生在哪里？"
ASKED = "In which town was the director of The Copper Lantern born?"


@pytest.mark.parametrize(
    ("question", "answer", "evidence", "said"),
    [
        (ASKED, "Graz", [FILM, DIRECTOR], ("pass", None)),
        (ASKED, "Graz", [OTHER, DIRECTOR, FILM], ("pass", None)),
        (ASKED, "Turku", [FILM, DIRECTOR], ("fail", "not_in_evidence")),
        (ASKED, "Graz", [DIRECTOR], ("fail", "unsupported_hop")),
        (ASKED, "Turku", [FILM, OTHER], ("unknown", "no_chain")),
        ("Were Ilse Brandt and Harald Nyman both composers?", "no", [DIRECTOR, OTHER], ("unknown", "needs_judgement")),
        ("Were Ilse Brandt and Harald Nyman both composers?", "no", [DIRECTOR], ("fail", "unsupported_hop")),
        ("Tell me of the film.", "The Copper Lantern is a film of 1954 that Ilse Brandt directed.", [FILM],
         ("pass", None)),
        ("Tell me of the film.", "The Copper Lantern is a film of 1957 that Ilse Brandt directed.", [FILM],
         ("fail", "unsupported_claim")),
        ("Tell me of the film.", "The Copper Lantern is a film of 1954 that Otto Lang directed.", [FILM],
         ("fail", "unsupported_claim")),
        ("Tell me of the film.", "Audiences everywhere applauded loudly whenever credits appeared on screens.", [FILM],
         ("fail", "unsupported_claim")),
        ("How old did she become?", "She became 1988 - 1911 = 77 years old; the director worked until 77.",
         [DIRECTOR],
         ("pass", None)),
        ("How old did she become?", "She became 1990 - 1911 = 79 years old, as the director from Graz.", [DIRECTOR],
         ("unknown", "number_not_in_evidence")),
        ("她在哪里工作？", "她在维也纳担任导演，工作了三十年之久。",
         ["布兰特在维也纳担任导演，工作了三十年。"], ("pass", None)),
        (BORN, "北京", ["《大海》由陈某人执导。", "陈某人，1952年出生于北京。"], ("pass", None)),
        (BORN, "北京", ["《大海》由陈某人执导。", "张大方，1950年出生于北京。"], ("unknown", "no_chain")),
        (BORN, "北京", ["陈某人，1952年出生于北京。"], ("fail", "unsupported_hop")),
        (ASKED, "...", [FILM, DIRECTOR], ("unknown", "needs_judgement")),
    ],
)  # fmt: skip
def test_every_hop_and_claim_needs_its_evidence(
    question: str, answer: str, evidence: list[str], said: tuple[str, str | None]
) -> None:
    finding = Groundedness().check(sample(question, answer, evidence), {})
    assert finding is not None
    assert (finding.verdict, finding.reason) == said


def test_evidence_may_stand_in_the_instruction_and_without_any_nothing_is_checked() -> None:
    inside = sample(f"Answer from the text.\nContext: {DIRECTOR}\nQuestion: Where did she work?", "Vienna")
    assert Groundedness().check(inside, {}) is None or Groundedness().check(inside, {}).verdict != "fail"  # type: ignore[union-attr]
    wrong = inside.model_copy(update={"response": "Turku"})
    found = Groundedness().check(wrong, {})
    assert found is not None
    assert found.reason == "not_in_evidence"
    bare = sample("Where did she work?", "Vienna")
    assert Groundedness().check(bare, {}) is None
    required = Groundedness().check(bare, {"required": True})
    assert required is not None
    assert required.verdict == "unknown"


@given(st.text(max_size=200), st.text(max_size=200), st.lists(st.text(max_size=80), min_size=1, max_size=3))
def test_no_text_breaks_these_checks(instruction: str, response: str, evidence: list[str]) -> None:
    one = sample(instruction, response, evidence)
    for found in (InLanguage().check(one, {}), Mismatch().check(one, {}), Groundedness().check(one, {})):
        assert found is None or isinstance(found, Finding)


class Rude:
    """A classifier for tests."""

    version = "1"

    def __init__(self, score: Any) -> None:
        self.said = score

    def score(self, text: str) -> float:
        if isinstance(self.said, Exception):
            raise self.said
        return self.said if "rude" in text else 0.0


@pytest.mark.parametrize(
    ("score", "said"),
    [
        (0.9, ("fail", "toxic")),
        (0.2, ("pass", None)),
        (float("nan"), ("unknown", "unreadable_score")),
        (7, ("unknown", "unreadable_score")),
        (True, ("unknown", "unreadable_score")),
        (None, ("unknown", "unreadable_score")),
        (ValueError("x"), ("unknown", "unreadable_score")),
    ],
)
async def test_only_a_number_of_a_classifier_passes(score: Any, said: tuple[str, str | None]) -> None:
    found = await Toxicity({"mine": Rude(score)}).check(sample("a", "rude"), {"classifier": "mine"})
    assert (found.verdict, found.reason) == said


async def test_without_a_classifier_nothing_passes_and_one_that_is_out_makes_the_sample_wait() -> None:
    assert (await Toxicity().check(sample("a", "b"), {})).reason == "no_classifier"
    assert (await Toxicity().check(sample("a", "b"), {"classifier": "x"})).reason == "classifier_not_installed"
    with pytest.raises(DependencyUnavailable):
        await Toxicity({"m": Rude(DependencyUnavailable("out"))}).check(sample("rude", "b"), {"classifier": "m"})


@pytest.mark.parametrize("check", [InLanguage(), Mismatch(), Toxicity()])
def test_they_run_only_where_the_run_names_them(check: InLanguage | Mismatch | Toxicity) -> None:
    def named(checks: dict[str, Any]) -> Run:
        spec = {"name": "t", "sources": [{"path": "x"}], "verify": {"checks": checks}}
        return Run.model_validate({"run_id": "r", "spec": spec})

    assert check.options_of(named({})) is None
    assert check.options_of(named({check.name: True})) == {}
    assert check.options_of(named({check.name: {"a": 1}})) == {"a": 1}
