"""A run: what to build. A RunSpec is written by a user; a Run is its event on the compacted topic `runs`."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import Field, field_validator

from schemas.base import Contract, canonical_json, digest

Share = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
PositiveInt = Annotated[int, Field(gt=0)]


class Source(Contract):
    """Where rows come from.

    Attributes
    ----------
    path : str
        Local path, glob or fsspec address of JSONL, CSV or Parquet files.
    fields : dict
        Sample field to column: `instruction`, `response`, `id`, `messages`, `domain`, `difficulty`, `language`,
        `reference.answer`, `reference.tests`, `reference.entry_point`, `reference.schema`, ... A dotted column
        reaches into nested JSON.
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


class Strategy(Contract):
    """A generation strategy and its settings; `per_sample` children are tried for each original."""

    kind: str
    per_sample: Annotated[int, Field(ge=0)] = 1
    share: Annotated[float, Field(ge=0.0, le=1.0)] = 1.0


class Chat(Contract):
    """An OpenAI-compatible endpoint. The key is read from the environment variable named here, never written."""

    base_url: str
    model: str
    api_key_env: str = "LIMOFLOW_CHAT_API_KEY"
    temperature: Annotated[float, Field(ge=0.0)] = 0.7
    max_tokens: PositiveInt = 1024
    timeout_seconds: Annotated[float, Field(gt=0.0)] = 60.0
    requests_per_minute: PositiveInt | None = None
    tokens_per_minute: PositiveInt | None = None
    concurrency: PositiveInt = 16


class Generate(Contract):
    """What the generator makes of each original."""

    keep_originals: bool = True
    strategies: list[Strategy] = Field(default_factory=list)
    chat: Chat | None = None


class Decontaminate(Contract):
    """Benchmarks whose items must not be in the data.

    Attributes
    ----------
    benchmarks : list of str
        Paths or globs of JSON, JSONL, CSV or text files, gzipped or zipped too; relative to the run's folder.
    minimum_grams : int
        Matching runs of 13 words (20 CJK characters) that make a sample contaminated.
    """

    benchmarks: Annotated[list[str], Field(min_length=1)]
    minimum_grams: PositiveInt = 1


class Verify(Contract):
    """Which checks run. `checks: {NAME: {...}}` names settings; `false` as settings turns a check off.

    Attributes
    ----------
    decontaminate : Decontaminate, optional
        Refuse what the named benchmarks hold.
    chat : Chat, optional
        The endpoint that judges, where `checks.judge` is set.
    """

    checks: dict[str, dict[str, Any] | bool] = Field(default_factory=dict)
    decontaminate: Decontaminate | None = None
    chat: Chat | None = None
    stop_at_first_failure: bool = True


class IfdScore(Contract):
    """Instruction-following difficulty. `model`: `embedded`, a local path or a hub name of a causal LM."""

    model: str = "embedded"
    definition: Literal["loss_ratio", "perplexity_ratio"] = "loss_ratio"


class Score(Contract):
    """Which scores are computed, and their weights in the final score (they need not add up to 1)."""

    ifd: IfdScore | None = Field(default_factory=IfdScore)
    embedding: bool = True
    weights: dict[str, Share] = Field(
        default_factory=lambda: {
            "answer_match": 0.4,
            "ifd": 0.15,
            "complexity": 0.15,
            "quality": 0.2,
            "depth": 0.1,
        }
    )


class CountWindow(Contract):
    """A window of `count` rows, in the order in which the ingestor admits them."""

    count: PositiveInt


class TimeWindow(Contract):
    """A window of `seconds` by the ingestor's clock; the stamp is written down before the row is sent."""

    seconds: Annotated[float, Field(gt=0.0)]


class NearDuplicates(Contract):
    """MinHash near-duplicates: of those whose estimated Jaccard reaches the threshold only the best stays."""

    threshold: Annotated[float, Field(gt=0.0, le=1.0)] = 0.7
    shingle: PositiveInt = 5


class Diversity(Contract):
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


class Novelty(Contract):
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


class Mixing(Contract):
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
    strength: Annotated[float, Field(gt=0.0, allow_inf_nan=False)] = 1.0


class Curriculum(Contract):
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
    steps: PositiveInt = 5
    start: Annotated[float, Field(gt=0.0, le=1.0)] = 0.2
    power: Annotated[float, Field(gt=0.0)] = 2.0


class Select(Contract):
    """How many samples, and which.

    Attributes
    ----------
    reservoir : int
        Samples kept for each stratum (domain and difficulty) until the window closes; a window whose strata are
        smaller loses nothing.
    quotas : dict
        `{"domain": {name: share}, "difficulty": {name: share}}`; a missing axis follows `allocation`.
    allocation : {"available", "equal", "neyman"}
        An axis without quotas follows what survived; or its names share equally; or, for the difficulties of a domain
        and for the domains, in proportion to what survived times the spread of its scores (Neyman).
    minimum_match : float
        Samples whose match-fluency percentile is below this are refused as probable noise, 0 to 1.
    """

    target: PositiveInt = 500
    window: Literal["all"] | CountWindow | TimeWindow = "all"
    reservoir: PositiveInt = 20_000
    quotas: dict[Literal["domain", "difficulty"], dict[str, Share]] = Field(default_factory=dict)
    near_duplicates: NearDuplicates | None = Field(default_factory=NearDuplicates)
    diversity: Diversity = Field(default_factory=Diversity)
    minimum_match: Annotated[float, Field(ge=0.0, le=1.0)] = 0.25
    allocation: Literal["available", "equal", "neyman"] = "available"
    mixing: Mixing | None = None
    novelty: Novelty | None = None
    curriculum: Curriculum | None = None


class ExportSpec(Contract):
    """Which formats the exporter writes."""

    formats: list[str] = Field(default_factory=lambda: ["jsonl", "parquet", "huggingface", "chat", "alpaca"])


class Train(Contract):
    """LoRA fine-tuning of `base` (`embedded`, a local path or a hub name) on each release."""

    base: str = "embedded"
    epochs: PositiveInt = 1
    rank: PositiveInt = 8
    alpha: Annotated[float, Field(gt=0.0)] = 16.0
    learning_rate: Annotated[float, Field(gt=0.0)] = 1e-3
    batch_size: PositiveInt = 8
    max_length: PositiveInt = 256
    checkpoint_steps: PositiveInt = 20


class Evaluate(Contract):
    """Which benchmarks the evaluator runs."""

    benchmarks: list[str] = Field(default_factory=list)


class RunSpec(Contract):
    """What to build, from which data, how checked, scored, chosen, trained and evaluated."""

    name: Annotated[str, Field(pattern=r"^[a-z0-9][a-z0-9._-]{0,63}$")]
    seed: Annotated[int, Field(ge=0)] = 0
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


class Run(Contract):
    """The event that starts, and later closes, a run.

    Attributes
    ----------
    folder : str, optional
        Where relative source paths begin: the folder of the one who submitted the run.
    models : dict
        What names in the spec stand for, fixed at submission: `{"ifd": model name in Triton, "base": path}`.
    state : {"open", "closing"}
        `closing` ends a followed source: the ingestor closes the last window.
    """

    run_id: Annotated[str, Field(min_length=1)]
    spec: RunSpec
    folder: str | None = None
    models: dict[str, str] = Field(default_factory=dict)
    state: Literal["open", "closing"] = "open"

    @field_validator("run_id")
    @classmethod
    def _no_separator(cls, value: str) -> str:
        if "|" in value:
            raise ValueError(f"run_id {value!r} must not hold '|', which separates the parts of keys")
        return value
