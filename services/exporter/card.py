"""The dataset card: what is in a release, where it went on the way, and how it was made."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any

import yaml

from schemas.release import Release
from services.exporter.rows import ReleaseData

UNKNOWN = "not stated"
HUB_TABLE = "huggingface/data/train-00000-of-00001.parquet"
SIZE_LIMITS = ((1_000, "n<1K"), (10_000, "1K<n<10K"), (100_000, "10K<n<100K"), (1_000_000, "100K<n<1M"))


def dataset_card(data: ReleaseData, *, data_files: str | None = None) -> str:
    """Return the card of a release as Markdown with YAML front matter, as the Hugging Face hub reads it.

    Parameters
    ----------
    data : ReleaseData
    data_files : str, optional
        Glob of the Parquet files relative to the card, for `datasets.load_dataset` on its folder.
    """
    release = data.release
    sections = [
        _front_matter(data, data_files),
        f"# {_cell(release.name)}, window {release.window}",
        _summary(data),
        _section("Funnel", _table(("where the samples of the window ended", "samples"), _funnel(release.funnel))),
        _section("Strata", _table(("stratum", "quota", "rows"), _strata(release))),
        _section("Sources and licences", _table(("source", "licence", "rows"), _licences(data))),
        _section("Models and prompts", _table(("part", "version"), _versions(release))),
        _section("How it was made", _made(release)),
        _section("RunSpec", "```yaml\n" + _yaml(release.spec) + "```"),
    ]
    return "\n\n".join(sections) + "\n"


def _front_matter(data: ReleaseData, data_files: str | None) -> str:
    licences = sorted({sample.metadata.licence or UNKNOWN for sample in data.rows})
    stated = len(licences) == 1 and licences != [UNKNOWN]
    fields: dict[str, Any] = {
        "pretty_name": data.release.name,
        "license": licences[0].lower() if stated else "other",
        "language": sorted({sample.metadata.language for sample in data.rows if sample.metadata.language}),
        "tags": ["limoflow", "instruction-tuning"],
        "size_categories": [_size_category(len(data.rows))],
    }
    if not stated:
        fields["license_name"] = "see-the-card"
    if data_files is not None:
        fields["configs"] = [{"config_name": "default", "data_files": [{"split": "train", "path": data_files}]}]
    return f"---\n{_yaml({name: value for name, value in fields.items() if value})}---"


def _summary(data: ReleaseData) -> str:
    release = data.release
    domains = Counter(sample.metadata.domain for sample in data.rows)
    lines = [
        f"- rows: {len(data.rows)} of a target of {release.target}",
        f"- domains: {', '.join(f'{_cell(name)} {count}' for name, count in sorted(domains.items())) or 'none'}",
        f"- release: `{release.release_id}`, run `{_cell(release.run_id)}`, seed {release.seed}",
    ]
    if release.shortfall:
        lines.append(f"- **{release.shortfall} rows fewer than the target survived.**")
    return "\n".join(lines)


def _funnel(funnel: Mapping[str, Any], above: str = "") -> list[tuple[str, object]]:
    lines: list[tuple[str, object]] = []
    for name, value in sorted(funnel.items()):
        label = f"{above}: {name}" if above else name
        lines.extend(_funnel(value, label) if isinstance(value, Mapping) else [(label, value)])
    return lines


def _strata(release: Release) -> list[tuple[str, object, object]]:
    chosen = Counter(row.stratum for row in release.rows)
    names = sorted(chosen.keys() | release.quotas.keys())
    return [(name, release.quotas.get(name, ""), _held(name, chosen)) for name in names]


def _held(quota: str, chosen: Mapping[str, int]) -> int:
    """Return the rows that share a quota; `*` stands for an axis that is not divided."""
    wanted = quota.rpartition("/")[::2]
    return sum(
        count
        for stratum, count in chosen.items()
        if all(part in ("*", own) for part, own in zip(wanted, stratum.rpartition("/")[::2], strict=True))
    )


def _licences(data: ReleaseData) -> list[tuple[str, str, int]]:
    found = Counter((sample.metadata.source or UNKNOWN, sample.metadata.licence or UNKNOWN) for sample in data.rows)
    return [(source, licence, count) for (source, licence), count in sorted(found.items())]


def _versions(release: Release) -> list[tuple[str, str]]:
    models = [(f"model {name}", value) for name, value in sorted(release.models.items())]
    return models + sorted(release.versions.items())


def _made(release: Release) -> str:
    return (
        "limoflow ingested, verified and scored the samples, and chose the rows by the RunSpec below. The manifest is "
        "a function of the scored samples, the RunSpec and the seed: `manifest.json` names every row with its content "
        "hash, rank, score and nearest neighbour, and `export.json` the SHA-256 of every file. "
        f"RunSpec SHA-256: `{release.spec_sha256}`."
    )


def _section(title: str, body: str) -> str:
    return f"## {title}\n\n{body}"


def _table(head: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> str:
    lines = [head, tuple("---" for _ in head), *rows]
    return "\n".join("| " + " | ".join(_cell(str(value)) for value in line) + " |" for line in lines)


def _cell(text: str) -> str:
    return " ".join(text.replace("|", "\\|").split())


def _yaml(value: Any) -> str:
    return yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000)


def _size_category(rows: int) -> str:
    return next((name for limit, name in SIZE_LIMITS if rows < limit), "1M<n<10M")
