"""A run: what to build. A RunSpec is written by a user; a Run is its event on the compacted topic `runs`."""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator
from typing import Annotated, Any, Literal, Self

from pydantic import AfterValidator, ConfigDict, Field, field_validator, model_validator

from schemas.base import Contract, canonical_json, digest

Share = Annotated[float, Field(ge=0.0)]
PositiveInt = Annotated[int, Field(gt=0)]
Name = Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]

LARGEST_INTEGER = 2**63 - 1
LARGEST_NUMBER = 1e12
SMALLEST_NUMBER = 1e-12


# Bounds against overflow and endless work are code and no part of the JSON Schema: there they would break version 1.
def _at_most(bound: int) -> AfterValidator:
    return AfterValidator(_within(lambda value: value <= bound, f"must be at most {bound}"))


def _at_least(bound: float) -> AfterValidator:
    return AfterValidator(_within(lambda value: value >= bound, f"must be at least {bound:g}"))


def _within(holds: Callable[[float], bool], said: str) -> Callable[[float], float]:
    def check(value: float) -> float:
        if not holds(value):
            raise ValueError(said)
        return value

    return check


class SpecPart(Contract):
    """A part of a spec: every number in it is finite, since NaN would pass every bound, and JSON has neither.

    No number is so large, or so near to 0, that arithmetic on it could overflow, be it of a field, of a plug-in's own
    settings or of a field that this version does not know.
    """

    model_config = ConfigDict(allow_inf_nan=False)

    @model_validator(mode="after")
    def _numbers_that_can_be_reckoned_with(self) -> Self:
        for place, number in _numbers_below({**self.__dict__, **(self.model_extra or {})}, ""):
            if isinstance(number, int) and abs(number) > LARGEST_INTEGER:
                raise ValueError(f"{place}: a whole number must be from -{LARGEST_INTEGER} to {LARGEST_INTEGER}")
            if isinstance(number, float) and number and not SMALLEST_NUMBER <= abs(number) <= LARGEST_NUMBER:
                raise ValueError(f"{place}: {number:g} must be 0, or from {SMALLEST_NUMBER:g} to {LARGEST_NUMBER:g}")
        return self


def _numbers_below(value: Any, place: str) -> Iterator[tuple[str, int | float]]:
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _numbers_below(part, f"{place}.{name}" if place else str(name))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _numbers_below(part, f"{place}.{index}")
    elif isinstance(value, int | float):
        yield place, value


class Source(SpecPart):
    """Where rows come from.

    Attributes
    ----------
    path : str
        Local path, glob or fsspec address of JSONL, CSV or Parquet files.
    fields : dict
        Sample field to column: `instruction`, `input` (goes below the instruction), `response`, `id`, `messages`,
        `domain`, `difficulty`, `language`, `reference.answer`, `reference.tests`, `reference.entry_point`,
        `reference.schema`, ... A dotted column reaches into nested JSON.
    follow : bool
        Keep looking for new files; each is read once.
    settle_seconds : float
        A file is read when its size has not changed for this long.
    """

    kind: str = "files"
    path: str
    fields: dict[str, str] = Field(default_factory=dict)
    domain: str | None = None
    language: str | None = None
    licence: str | None = None
    follow: bool = False
    settle_seconds: Annotated[float, Field(ge=0.0)] = 1.0


class Strategy(SpecPart):
    """A generation strategy and its settings; `per_sample` children are tried for each original."""

    kind: str
    per_sample: Annotated[int, Field(ge=0), _at_most(10_000)] = 1
    share: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0


# What the process signs in with or depends on; LIMOFLOW_CHAT_... is there for endpoints.
_OWN_VARIABLE = re.compile(
    r"LIMOFLOW_(?!CHAT_)|PYTHON"
    r"|(AWS|GOOGLE(?!_API_KEY$)|GCP|GCS|CLOUDSDK|AZURE(?!_OPENAI_API_KEY$)|KUBERNETES|KAFKA|CONFLUENT|OTEL|S3|FSSPEC"
    r"|HF|HUGGINGFACE|HUGGING_FACE|TRITON|LD|SSL|SSH|GPG|PG|MYSQL|REDIS|DATABASE|DOCKER|GITHUB|GITLAB|CI|VAULT|NPM|PIP|UV)(_|$)"
    r"|(PATH|HOME|USER|HOSTNAME|PWD|SHELL)$|.*(PASSW(OR)?D|PASSPHRASE|_PASS|CREDENTIALS?|PROXY|_proxy|DSN|SESSION_TOKEN"
    r"|CONNECTION_STRING|(PRIVATE|ACCESS|ACCOUNT|SECRET)_KEY(_ID)?)$"
)


def own_variable_fault(name: str) -> str | None:
    """Return why a run may not have the value of an environment variable sent to its endpoint; None where it may."""
    if _OWN_VARIABLE.match(name) is None:
        return None
    return (
        f"api_key_env: {name[:80]!r} may be a secret of the services themselves, which no run may have sent to its "
        "endpoint; put the endpoint's key into a variable of its own, such as LIMOFLOW_CHAT_API_KEY"
    )


def _no_own_variable(name: str) -> str:
    fault = own_variable_fault(name)
    if fault is not None:
        raise ValueError(fault)
    return name


class Chat(SpecPart):
    """An OpenAI-compatible endpoint. The key is read from the environment variable named here, never written."""

    base_url: str
    model: str
    api_key_env: Annotated[str, AfterValidator(_no_own_variable)] = "LIMOFLOW_CHAT_API_KEY"
    temperature: Annotated[float, Field(ge=0.0)] = 0.7
    max_tokens: Annotated[PositiveInt, _at_most(10_000_000)] = 1024
    timeout_seconds: Annotated[float, Field(gt=0.0), _at_most(86_400)] = 60.0
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    concurrency: Annotated[PositiveInt, _at_most(10_000)] = 16


class Generate(SpecPart):
    """What the generator makes of each original."""

    keep_originals: bool = True
    strategies: list[Strategy] = Field(default_factory=list)
    chat: Chat | None = None


class Neighbours(SpecPart):
    """Benchmark questions near a sample's instruction, by the embedder.

    Attributes
    ----------
    least_cosine : float
        The sample is contaminated from here on.
    judge : bool
        Ask the endpoint of `verify.chat` of the nearest `most`: only a rephrased question is contamination then.
    """

    least_cosine: Annotated[float, Field(gt=0.0, le=1.0)] = 0.85
    judge: bool = False
    most: Annotated[PositiveInt, _at_most(1_000)] = 3


class Decontaminate(SpecPart):
    """Benchmarks whose items must not be in the data.

    Attributes
    ----------
    benchmarks : list of str
        Paths or globs of JSON, JSONL, CSV or text files, gzipped or zipped too; relative to the run's folder.
    minimum_grams : int
        Matching runs of 13 words (20 CJK characters) that make a sample contaminated.
    neighbours : Neighbours, optional
        Look for rephrased questions too; off by default.
    """

    benchmarks: Annotated[list[str], Field(min_length=1)]
    minimum_grams: PositiveInt = 1
    neighbours: Neighbours | None = None


Action = Annotated[str, Field(pattern=r"^(keep|reject|mark|ask:[A-Za-z0-9_.-]+)$")]


class Verify(SpecPart):
    """Which checks run, and what their verdicts lead to.

    Attributes
    ----------
    checks : dict
        `{NAME: {...}}` names settings; `false` as settings turns a check off.
    stop_at_first_failure : bool
        Run no further check once the verdict is settled; false runs all.
    reconcile : {"all", "any", "majority", "weighted"}
        How several checks of one sample make one verdict.
    weights : dict
        Votes of a check under `weighted`; 1 where it is not named.
    verdicts : dict
        `{CHECK or "default": {verdict: action}}` with the actions `keep`, `mark` (keep, not verified), `reject`,
        `ask:OTHER_CHECK`. Without it fail rejects, unknown and timeout mark.
    chat : Chat, optional
        The endpoint of checks that ask a model.
    decontaminate : Decontaminate, optional
    """

    checks: dict[str, dict[str, Any] | bool] = Field(default_factory=dict)
    stop_at_first_failure: bool = True
    reconcile: Literal["all", "any", "majority", "weighted"] = "all"
    weights: dict[str, Share] = Field(default_factory=dict)
    verdicts: dict[str, dict[Literal["pass", "fail", "unknown", "timeout"], Action]] = Field(default_factory=dict)
    chat: Chat | None = None
    decontaminate: Decontaminate | None = None


class IfdScore(SpecPart):
    """Instruction-following difficulty.

    Attributes
    ----------
    model : str
        `embedded`, a local path or a hub name of a causal language model.
    definition : {"loss_ratio", "perplexity_ratio"}
        Of Cherry LLM or of Superfiltering.
    template : {"alpaca", "wizard", "vicuna", "plain", "chat"}
        What stands around the instruction; `chat` is the template of the model's tokenizer.
    parity : {"none", "cherry", "superfiltering"}
        The published code's rules of boundary, truncation and skipping; `none` scores the same answer tokens with and
        without the instruction.
    """

    model: str = "embedded"
    definition: Literal["loss_ratio", "perplexity_ratio"] = "loss_ratio"
    template: Literal["alpaca", "wizard", "vicuna", "plain", "chat"] = "alpaca"
    parity: Literal["none", "cherry", "superfiltering"] = "none"

    @model_validator(mode="after")
    def _template_of_the_rule(self) -> IfdScore:
        known = {"cherry": ("alpaca", "wizard", "vicuna"), "superfiltering": ("plain",)}
        allowed = known.get(self.parity, (self.template,))
        if self.template not in allowed:
            raise ValueError(f"parity {self.parity} needs the template {' or '.join(allowed)}, not {self.template}")
        return self


class Deita(SpecPart):
    """DEITA's scorers: causal language models trained to write a label from 1 to 6 after a prompt.

    Attributes
    ----------
    complexity, quality : str, optional
        Local path or hub name of the scorer of instructions and of answers.
    chat : bool
        Where no model is named, ask the endpoint of `score.chat`, which must give log-probabilities; where neither
        is, documented rules stand in.
    """

    complexity: str | None = None
    quality: str | None = None
    chat: bool = False


class PassRate(SpecPart):
    """Difficulty by attempts of the model of `score.chat` on samples with a reference answer (LIMO).

    Attributes
    ----------
    attempts : int
        Answers asked for; LIMO: 32.
    least, most : int
        The band of successes that is neither too hard nor too easy; LIMO: 1 to 3.
    """

    attempts: Annotated[PositiveInt, _at_most(10_000)] = 32
    least: Annotated[int, Field(ge=0)] = 1
    most: Annotated[int, Field(ge=0)] = 3

    @model_validator(mode="after")
    def _band(self) -> PassRate:
        if not self.least <= self.most <= self.attempts:
            raise ValueError(f"a band from {self.least} to {self.most} does not fit {self.attempts} attempts")
        return self


class Learning(SpecPart):
    """The rewards of a training, which the learning potential is computed from (LIMR).

    Attributes
    ----------
    rewards : str, optional
        The `rewards.jsonl` that a trainer wrote beside an adapter. Where none is named, `base` is trained on the run's
        own data when the run is submitted.
    base : str
        `embedded`, a local path or a hub name of the causal language model of that training.
    checkpoints : int
        Its epochs; rewards are recorded at the end of each.
    """

    rewards: str | None = None
    base: str = "embedded"
    checkpoints: Annotated[int, Field(ge=2), _at_most(10_000)] = 6


class Bounds(SpecPart):
    """A hard threshold: `least` <= score <= `most`, and score < `below`; a score that is missing does not pass."""

    least: float | None = None
    most: float | None = None
    below: float | None = None

    @model_validator(mode="after")
    def _something_passes(self) -> Bounds:
        least = -math.inf if self.least is None else self.least
        if (self.most is not None and least > self.most) or (self.below is not None and least >= self.below):
            raise ValueError(f"nothing is at least {least} and at most {self.most} or below {self.below}")
        return self


class Score(SpecPart):
    """Which scores are computed, and how they become one.

    Attributes
    ----------
    judges : list
        Scores that ask the endpoint of `chat`: `ultrafeedback`, `alpagasus`, `instag`.
    learning : Learning, optional
        Where the learning potential comes from; without it samples may bring their own.
    pass_rate : PassRate, optional
        Ask it to solve samples that have a reference answer.
    weights : dict
        Of the scores in the final one; they need not add up to 1.
    combine : {"mean", "rank", "minimum_rank", "pareto", "product"}
        How the weighted scores become one (services/selector/ranking.py).
    thresholds : dict
        Score to bounds; a sample outside of them is refused.
    """

    ifd: IfdScore | None = Field(default_factory=IfdScore)
    embedding: bool = True
    deita: Deita | None = None
    chat: Chat | None = None
    judges: list[Literal["ultrafeedback", "alpagasus", "instag"]] = Field(default_factory=list)
    pass_rate: PassRate | None = None
    learning: Learning | None = None
    weights: dict[str, Share] = Field(
        default_factory=lambda: {
            "answer_match": 0.4,
            "ifd": 0.15,
            "complexity": 0.15,
            "quality": 0.2,
            "depth": 0.1,
        }
    )
    combine: Literal["mean", "rank", "minimum_rank", "pareto", "product"] = "mean"
    thresholds: dict[str, Bounds] = Field(default_factory=dict)

    @model_validator(mode="after")
    def _endpoint_where_asked(self) -> Score:
        asks = [*self.judges, *(["pass_rate"] if self.pass_rate else [])]
        asks += ["deita.chat"] if self.deita is not None and self.deita.chat else []
        if asks and self.chat is None:
            raise ValueError(f"{', '.join(asks)} need a chat endpoint; set score.chat.base_url and score.chat.model")
        return self

    def names(self) -> dict[str, float]:
        """Return the weight of every score that the selection reads, 0 for those with only a threshold."""
        return dict.fromkeys(self.thresholds, 0.0) | self.weights


class CountWindow(SpecPart):
    """A window of `count` rows, in the order in which the ingestor admits them."""

    count: PositiveInt


class TimeWindow(SpecPart):
    """A window of `seconds` by the ingestor's clock; the stamp is written down before the row is sent."""

    seconds: Annotated[float, Field(gt=0.0), _at_least(0.001)]


class NearDuplicates(SpecPart):
    """MinHash near-duplicates: of those whose estimated Jaccard reaches the threshold only the best stays."""

    threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    shingle: Annotated[PositiveInt, _at_most(100)] = 5


class Diversity(SpecPart):
    """How samples that differ are chosen.

    Attributes
    ----------
    max_cosine : float
        For the default strategy: a sample whose cosine to a chosen one exceeds the bound waits until nothing else is
        left.
    strategy : str
        `greedy` (the default, after DEITA's filter), or the name of a selection strategy: `facility_location`,
        `k_center`, `mmr`, `dpp`, `representation_filter`, `semdedup`, `dendis`, `density`, `cluster_pick`,
        `top_score`, `random`.
    parameters : dict
        The parameters of that strategy.
    """

    max_cosine: Annotated[float, Field(gt=0.0, le=1.0)] = 0.9
    strategy: str = "greedy"
    parameters: dict[str, Any] = Field(default_factory=dict)


class Novelty(SpecPart):
    """Refuse what repeats an earlier release.

    Attributes
    ----------
    index : str
        Folder of the novelty index (`limoflow release index`).
    version : str, optional
        Which of its versions; the newest when the run is submitted, where none is named.
    max_cosine : float
        A sample is refused when the cosine of its embedding to that of a released one exceeds this.
    max_jaccard : float
        Or when the estimated Jaccard similarity of their texts reaches this.
    """

    index: str
    version: str | None = None
    max_cosine: Annotated[float, Field(gt=0.0, le=1.0)] = 0.95
    max_jaccard: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7


class Mixing(SpecPart):
    """Domain shares from a file, read when the run is submitted; they become `select.quotas.domain`.

    Attributes
    ----------
    kind : {"doremi", "feedback", "scores"}
        `doremi`: JSON lines, of each step of a proxy model's training the excess loss of each domain, nats per token.
        `feedback`: the evaluator's Feedback event. `scores`: a JSON object, what was measured in each domain, 0 to 1;
        the weak get more.
    strength : float
        DoReMi's step size, or how far the shares move with the scores.
    """

    kind: Literal["doremi", "feedback", "scores"]
    file: str
    strength: Annotated[float, Field(gt=0.0)] = 1.0


class Curriculum(SpecPart):
    """In which order a release is to be learnt; each row gets its place.

    Attributes
    ----------
    order : {"easy_first", "hard_first", "baby_steps"}
        `baby_steps`: stretches of the training, each adding what is harder, mixed within.
    by : str
        The weighted score that says how hard a sample is, or `score`; the labels easy, medium and hard go before it.
    steps, start, power :
        Of `baby_steps`: how many stretches, the share that the first holds at least, and the shape of the pace.
    """

    order: Literal["easy_first", "hard_first", "baby_steps"] = "easy_first"
    by: str = "complexity"
    steps: Annotated[PositiveInt, _at_most(10_000)] = 5
    start: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    power: Annotated[float, Field(gt=0.0)] = 2.0


class Select(SpecPart):
    """How many samples, and which.

    Attributes
    ----------
    reservoir : int
        Samples kept for each stratum (domain and difficulty) until the window closes; a window whose strata are
        smaller loses nothing.
    quotas : dict
        `{"domain": {name: share}, "difficulty": {name: share}}`; a missing axis follows `allocation`.
    allocation : {"available", "equal", "neyman", "none"}
        An axis without quotas follows what survived; or its names share equally; or, for the difficulties of a domain
        and for the domains, in proportion to what survived times the spread of its scores (Neyman); or it is not
        divided, and the best are taken wherever they lie.
    minimum_match : float
        Samples whose match-fluency percentile is below this are refused as probable noise, 0 to 1.
    """

    target: Annotated[PositiveInt, _at_most(1_000_000_000)] = 500
    window: Literal["all"] | CountWindow | TimeWindow = "all"
    reservoir: Annotated[PositiveInt, _at_most(1_000_000_000)] = 20_000
    quotas: dict[Literal["domain", "difficulty"], dict[str, Share]] = Field(default_factory=dict)
    near_duplicates: NearDuplicates | None = Field(default_factory=NearDuplicates)
    diversity: Diversity = Field(default_factory=Diversity)
    minimum_match: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    allocation: Literal["available", "equal", "neyman", "none"] = "available"
    mixing: Mixing | None = None
    novelty: Novelty | None = None
    curriculum: Curriculum | None = None


class ExportSpec(SpecPart):
    """Which formats the exporter writes."""

    formats: list[str] = Field(default_factory=lambda: ["jsonl", "parquet", "huggingface", "chat", "alpaca"])


class Train(SpecPart):
    """LoRA fine-tuning of `base` (`embedded`, a local path or a hub name) on each release.

    Attributes
    ----------
    rewards : int
        How often, evenly over the training, the reward of every row is recorded for the learning potential; 0: never.
    """

    base: str = "embedded"
    epochs: Annotated[PositiveInt, _at_most(10_000)] = 1
    rank: Annotated[PositiveInt, _at_most(65_536)] = 8
    alpha: Annotated[float, Field(gt=0.0)] = 16.0
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3
    batch_size: Annotated[PositiveInt, _at_most(1_000_000)] = 8
    max_length: Annotated[PositiveInt, _at_most(10_000_000)] = 256
    checkpoint_steps: Annotated[PositiveInt, _at_most(1_000_000_000)] = 20
    rewards: Annotated[int, Field(ge=0), _at_most(10_000)] = 0


class Evaluate(SpecPart):
    """Which benchmarks the evaluator runs."""

    benchmarks: list[str] = Field(default_factory=list)


class RunSpec(SpecPart):
    """What to build, from which data, how checked, scored, chosen, trained and evaluated.

    Attributes
    ----------
    tenant : str, optional
        On whose quota the run goes, where an installation has tenants (docs/operate/tenants.md).
    """

    name: Name
    tenant: Annotated[Name | None, Field(exclude_if=lambda value: value is None)] = None
    seed: Annotated[int, Field(ge=0)] = 0
    recipe: str | None = None
    sources: Annotated[list[Source], Field(min_length=1)]
    generate: Generate = Field(default_factory=Generate)
    verify: Verify = Field(default_factory=Verify)
    score: Score = Field(default_factory=Score)
    select: Select = Field(default_factory=Select)
    export: ExportSpec = Field(default_factory=ExportSpec)
    train: Train | None = None
    evaluate: Evaluate | None = None

    def canonical(self) -> dict[str, Any]:
        """Return the spec as plain JSON values, defaults filled in."""
        return self.model_dump(mode="json")

    def sha256(self) -> str:
        """Return the hash of the canonical spec."""
        return digest(canonical_json(self.canonical()))


RunState = Literal["open", "closing", "stopping"]


class Run(SpecPart):
    """The event that starts a run, and later closes or stops it.

    Attributes
    ----------
    folder : str, optional
        Where relative source paths begin: the folder of the one who submitted the run.
    models : dict
        What names in the spec stand for, fixed at submission: `{"ifd": model name in Triton, "base": path}`.
    state : {"open", "closing", "stopping"}
        `closing` ends a followed source: the ingestor closes the last window. `stopping` ends any run at once: nothing
        more is read, and what has not come to the selector is refused.
    """

    run_id: Annotated[str, Field(min_length=1)]
    spec: RunSpec
    folder: str | None = None
    models: dict[str, str] = Field(default_factory=dict)
    state: RunState = "open"

    @field_validator("run_id")
    @classmethod
    def _no_separator(cls, value: str) -> str:
        if "|" in value:
            raise ValueError(f"run_id {value!r} must not hold '|', which separates the parts of keys")
        return value
