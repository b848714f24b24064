"""Quotas, duplicates, fluency, match, diversity and the combined score, each against a slow, obvious reference."""

from __future__ import annotations

import math
from collections import Counter
from random import Random

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.selector.candidate import Candidate
from services.selector.combine import combine, finite_parts
from services.selector.diversity import LENGTH, choose_diverse, whole_number_vectors
from services.selector.duplicates import exact_duplicates, near_duplicates, shingles_of
from services.selector.fluency import TrigramModel, cross_fitted_losses, fluency_texts
from services.selector.match import match_fluency
from services.selector.quotas import apportion, stratum_quotas
from services.selector.texts import Corpus, Ragged, fingerprint, language_of, words

NAMES = st.sampled_from("abcdef")


@given(
    st.integers(0, 200),
    st.dictionaries(NAMES, st.floats(0, 10, allow_nan=False)),
    st.dictionaries(NAMES, st.integers(0, 60)),
)
def test_shares_never_exceed_what_is_there_and_fill_the_total_where_they_can(
    total: int, shares: dict[str, float], available: dict[str, int]
) -> None:
    given_out = apportion(total, shares, available)
    assert given_out.keys() == available.keys()
    assert all(0 <= given_out[name] <= available[name] for name in available)
    assert all(shares.get(name, 0.0) > 0.0 for name, count in given_out.items() if count)
    possible = sum(count for name, count in available.items() if shares.get(name, 0.0) > 0.0)
    assert sum(given_out.values()) == min(total, possible)


def test_uncapped_shares_are_the_largest_remainder() -> None:
    assert apportion(10, {"a": 1, "b": 1, "c": 1}, {"a": 99, "b": 99, "c": 99}) == {"a": 4, "b": 3, "c": 3}
    assert apportion(100, {"a": 0.5, "b": 0.25, "c": 0.25}, {"a": 10, "b": 99, "c": 99}) == {"a": 10, "b": 45, "c": 45}


def test_domain_shares_hold_and_difficulties_follow_what_is_there() -> None:
    available = {("math", "easy"): 80, ("math", "hard"): 20, ("code", "easy"): 5, ("code", "hard"): 95}
    quotas = stratum_quotas(
        40, {"domain": {"math": 0.75, "code": 0.25}, "difficulty": {"easy": 0.5, "hard": 0.5}}, available
    )
    assert quotas == {("code", "easy"): 5, ("code", "hard"): 5, ("math", "easy"): 15, ("math", "hard"): 15}
    assert stratum_quotas(20, {}, available) == {
        ("code", "easy"): 1, ("code", "hard"): 9, ("math", "easy"): 8, ("math", "hard"): 2,
    }  # fmt: skip


def test_a_missing_part_spreads_its_weight_and_no_part_is_no_score() -> None:
    parts = finite_parts({"a": 0.5, "b": math.nan, "c": None, "d": math.inf, "e": 7.0})
    assert parts == {"a": 0.5, "e": 1.0}
    assert combine(parts, {"a": 3.0, "b": 5.0, "e": 1.0}) == pytest.approx(0.625)
    assert combine(parts, {"b": 1.0}) is None
    assert combine(parts, {"a": 0.0}) is None


def test_fingerprints_ignore_case_width_and_space_and_nothing_else() -> None:
    assert fingerprint("Ａdd  2\n+ 2", "FOUR") == fingerprint("add 2 + 2", "four")
    assert fingerprint("add 2 + 2", "four") != fingerprint("add 2 + 3", "four")
    assert fingerprint("ab", "c") != fingerprint("a", "bc")


def test_words_keep_numbers_whole_and_split_chinese_into_characters() -> None:
    assert words("It's 1,200.50元 小明!") == ["it", "'", "s", "1,200.50", "元", "小", "明", "!"]
    assert [language_of(text, None) for text in ("小明有3个苹果", "Tom has 3", "use 小 here please", "123")] == [
        "zh", "en", "en", "en",
    ]  # fmt: skip
    assert language_of("Tom", "zh_CN") == "zh"


def test_exact_duplicates_keep_the_first_in_order() -> None:
    assert [(it.dropped, it.kept) for it in exact_duplicates([2, 0, 1], [b"x", b"y", b"x"])] == [(0, 2)]


def _texts(seed: int, size: int) -> list[str]:
    random = Random(seed)
    vocabulary = [a + b for a in "abcdefgh" for b in "abcdefgh"]
    originals = [random.choices(vocabulary, k=random.randrange(1, 60)) for _ in range(size // 2)]
    edited = []
    for _ in range(size - len(originals)):
        copy = list(random.choice(originals))
        for _ in range(random.randrange(3)):
            copy[random.randrange(len(copy))] = random.choice(vocabulary)
        edited.append(copy)
    return [" ".join(text) for text in originals + edited]


def _true_jaccard(left: str, right: str, n: int) -> float:
    sets = []
    for text in (left, right):
        tokens = text.split()
        sets.append({tuple(tokens[i : i + n]) for i in range(len(tokens) - n + 1)} or {tuple(tokens)})
    return len(sets[0] & sets[1]) / len(sets[0] | sets[1])


@pytest.mark.parametrize("threshold", [0.5, 0.7, 0.9])
def test_near_duplicates_agree_with_exact_jaccard(threshold: float) -> None:
    texts = _texts(3, 300)
    order = list(range(300))
    Random(1).shuffle(order)
    shingles = shingles_of(Corpus.of((text, "") for text in texts), 5)
    found = {it.dropped: it for it in near_duplicates(order, shingles, threshold)}
    for it in found.values():
        assert it.similarity == pytest.approx(_true_jaccard(texts[it.dropped], texts[it.kept], 5))
        assert it.similarity >= threshold
        assert it.kept not in found
    kept = [index for index in order if index not in found]
    missed = sum(
        any(_true_jaccard(texts[index], texts[other], 5) >= threshold for other in kept[:place])
        for place, index in enumerate(kept)
    )
    assert missed <= 0.03 * len(found)


def test_twins_that_differ_only_in_numbers_stay_apart() -> None:
    text = (
        "Tom buys {} apples for {} dollars each and sells {} of them to his {} friends. How much is left after {} days?"
    )
    pairs = [(text.format(3, 4, 5, 6, 7), "Tom has 3*4=12 then 12-5=7"), (text.format(8, 9, 2, 3, 4), "Tom has 8*9=72")]
    assert not list(near_duplicates([0, 1], shingles_of(Corpus.of(pairs), 5), 0.7))


def _naive_losses(model: list[list[int]], texts: list[list[int]], base: int) -> list[float]:
    tokens = [token for text in model for token in text]
    grams = [Counter(), Counter()]
    for text in model:
        padded = [base - 1, base - 1, *text]
        for i in range(2, len(padded)):
            grams[0][tuple(padded[i - 1 : i + 1])] += 1
            grams[1][tuple(padded[i - 2 : i + 1])] += 1
    words_seen = Counter(tokens)

    def probability(history: list[int], word: int) -> float:
        kinds = len(words_seen)
        p = (words_seen[word] + (kinds + 1) / base) / (len(tokens) + kinds + 1)
        for counts, context in ((grams[0], tuple(history[1:])), (grams[1], tuple(history))):
            following = {gram: count for gram, count in counts.items() if gram[:-1] == context}
            total, types = sum(following.values()), len(following)
            if total:
                p = (counts[(*context, word)] + types * p) / (total + types)
        return p

    losses = []
    for text in texts:
        padded = [base - 1, base - 1, *text]
        logs = [-math.log(probability(padded[i - 2 : i], padded[i])) for i in range(2, len(padded))]
        losses.append(sum(logs) / len(logs) if logs else math.nan)
    return losses


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 6), max_size=9), max_size=8),
    st.lists(st.lists(st.integers(0, 6), max_size=9), min_size=1, max_size=6),
)
def test_trigram_losses_agree_with_a_dictionary_model(model: list[list[int]], texts: list[list[int]]) -> None:
    ragged = [Ragged.of([np.array(row, dtype=np.int64) for row in rows]) for rows in (model, texts)]
    losses = TrigramModel(ragged[0], 7).losses(ragged[1])
    np.testing.assert_allclose(losses, _naive_losses(model, texts, 8), rtol=1e-9)


def test_no_text_is_scored_by_a_model_that_saw_it() -> None:
    corpus = Corpus.of([("q", f"text number {'x' * i} alone") for i in range(1, 9)])
    texts, vocabulary = fluency_texts(corpus)
    folds = np.array([0, 1] * 4)
    losses = cross_fitted_losses(texts, vocabulary, folds, np.arange(8))
    without_own = cross_fitted_losses(texts, vocabulary, folds, np.array([1, 3, 5, 7]))
    np.testing.assert_array_equal(losses[folds == 0], without_own[folds == 0])


def candidate(
    number: int, instruction: str, response: str, match: float | None, language: str | None = None
) -> Candidate:
    return Candidate(
        id=f"{number:06d}", content="c", domain="math", difficulty="easy", instruction=instruction, response=response,
        language=language, parent=None, source_ref="", versions={}, answer_match=match, parts={},
        space=None, vector=None,
    )  # fmt: skip


def _pool(chinese: bool) -> tuple[list[Candidate], set[int]]:
    """Return worked problems, and which of them carry the answer of another one, or shuffled words."""
    random = Random(5)
    things = (
        list("鱼鸟猫狗树花书笔桌椅灯碗")
        if chinese
        else ["fish", "birds", "cats", "dogs", "trees", "books", "pens", "desks", "lamps", "bowls"]
    )
    names = ["小明", "小红", "老王", "丽丽"] if chinese else ["Tom", "Mary", "Ann", "Bob"]
    pairs = []
    for _ in range(400):
        name, thing, a, b = random.choice(names), random.choice(things), random.randrange(90), random.randrange(90)
        if chinese:
            pairs.append(
                (f"{name}有{a}只{thing}，又买了{b}只{thing}，一共有多少？", f"{name}一共有{a}+{b}={a + b}只{thing}。")
            )
        else:
            pairs.append(
                (f"{name} has {a} {thing} and buys {b} {thing}. How many?", f"{name} has {a}+{b}={a + b} {thing} now.")
            )
    bad = set(range(0, 400, 5))
    made = []
    for i, (question, answer) in enumerate(pairs):
        asked, said, matches = question, answer, 0.6 + 0.3 * random.random()
        if i in bad and i % 2:
            asked, matches = pairs[(i + 7) % 400][0], 0.2 + 0.3 * random.random()
        elif i in bad:
            pieces = list(answer) if chinese else answer.split()
            random.shuffle(pieces)
            said = ("" if chinese else " ").join(pieces)
        made.append(candidate(i, asked, said, None if chinese else matches, "zh" if chinese else None))
    return made, bad


@pytest.mark.parametrize("chinese", [False, True])
def test_match_fluency_finds_mismatched_and_scrambled_answers(chinese: bool) -> None:
    pool, bad = _pool(chinese)
    corpus = Corpus.of((it.instruction, it.response) for it in pool)
    prints = [fingerprint(it.instruction, it.response) for it in pool]
    found = match_fluency(pool, corpus, prints, {}, 0)
    clean = [found.ranks[i] for i in range(400) if i not in bad]
    noise = [found.ranks[i] for i in bad]
    area = np.mean([[a > b for b in noise] for a in clean])
    assert area > 0.9
    said = found.statistics["math/zh" if chinese else "math/en"]
    assert ("lexical" in said) is chinese


def test_a_few_samples_are_not_ranked() -> None:
    pool = [candidate(i, "q", "a", 0.4) for i in range(5)]
    found = match_fluency(pool, Corpus.of([("q", "a")] * 5), [b"x"] * 5, {}, 0)
    assert not found.ranked
    assert found.ranks.tolist() == [0.4] * 5


def _naive_choice(
    order: list[int], strata: list, quotas: dict, vectors: np.ndarray, bound: float
) -> list[tuple[int, float]]:
    left, chosen, waiting = dict(quotas), [], []

    def closest(i: int) -> float:
        products = (int(np.dot(vectors[i].astype(int), vectors[j].astype(int))) for j, _ in chosen)
        return max(0, max(products, default=0))

    for i in order:
        if left.get(strata[i], 0) > 0:
            if closest(i) > bound * LENGTH**2:
                waiting.append(i)
            else:
                chosen.append((i, closest(i)))
                left[strata[i]] -= 1
    while open_ones := [i for i in waiting if left[strata[i]] > 0]:
        best = min(open_ones, key=lambda i: (closest(i), waiting.index(i)))
        chosen.append((best, closest(best)))
        left[strata[best]] -= 1
        waiting.remove(best)
    return chosen


@settings(max_examples=60, deadline=None)
@given(st.integers(0, 400), st.integers(0, 10**6), st.floats(0.05, 1.0), st.integers(0, 80), st.integers(0, 80))
def test_diversity_agrees_with_the_sequential_definition(size: int, seed: int, bound: float, a: int, b: int) -> None:
    random = np.random.default_rng(seed)
    raw = random.standard_normal((size, 3)).astype(np.float16)
    vectors = whole_number_vectors([None if i % 17 == 3 else raw[i] for i in range(size)], 3)
    strata = [("x", "a") if i % 3 else ("x", "b") for i in range(size)]
    quotas = {("x", "a"): min(a, strata.count(("x", "a"))), ("x", "b"): min(b, strata.count(("x", "b")))}
    order = random.permutation(size).tolist()
    found = choose_diverse(order, strata, quotas, vectors, bound)
    assert len(found.picks) == sum(quotas.values())
    assert [(it.index, round(it.similarity * LENGTH**2)) for it in found.picks] == _naive_choice(
        order, strata, quotas, vectors, bound
    )


@settings(max_examples=20, deadline=None)
@given(st.integers(1, 2_000), st.integers(0, 10**6))
def test_products_of_whole_number_vectors_are_exact_in_float32(dimensions: int, seed: int) -> None:
    raw = np.random.default_rng(seed).standard_normal((8, dimensions)).astype(np.float16)
    raw[0] = raw[1]
    vectors = whole_number_vectors([row if row.any() else None for row in raw], dimensions)
    exact = vectors.astype(np.int64) @ vectors.astype(np.int64).T
    np.testing.assert_array_equal((vectors @ vectors.T).astype(np.int64), exact)
    assert exact.max() < 2**24
