"""What a user should hear before a run is submitted."""

from __future__ import annotations

from pathlib import Path

from limoflow.errors import DependencyUnavailable, UsageError
from limoflow.redaction import redacted
from schemas.run import RunSpec, Source
from services.ingestor.rows import unknown_fields
from services.ingestor.sources import SourceError, anchored, source_kind
from services.ingestor.tenants import over_quota, read_tenants


def check_sources(spec: RunSpec, folder: Path | None = None) -> list[str]:
    """Return what is wrong with the sources of a spec, one line each; empty when all can be read.

    Relative paths begin in `folder`, or where this process works.
    """
    problems: list[str] = []
    for index, source in enumerate(anchored(spec, folder).sources):
        problems += [f"sources[{index}]: {problem}" for problem in _problems(source)]
    return problems


def check_tenant(spec: RunSpec, tenants: Path | None) -> list[str]:
    """Return why the ingestor would refuse a run of this tenant, by the file of tenants; empty when it would not.

    Raises
    ------
    UsageError
        When the file does not hold.
    """
    reason = over_quota(spec, read_tenants(tenants))
    return [] if reason is None else [reason]


def _problems(source: Source) -> list[str]:
    problems = [f"fields: a sample has no field {name!r}" for name in unknown_fields(source)]
    try:
        kind = source_kind(source.kind)
        units = kind.units(source)
    except (UsageError, DependencyUnavailable) as error:
        return [*problems, str(error)]
    except SourceError as error:
        return problems if source.follow else [*problems, str(error)]
    except (ValueError, TypeError, LookupError, AttributeError) as error:
        # What the libraries of the stores make of an address that they cannot take apart.
        return [
            *problems,
            f"path: {redacted(source.path)!r} is no path, glob or address of files: {redacted(str(error))}",
        ]
    for unit in units:
        try:
            next(iter(kind.rows(unit, source, 0, 0)), None)
        except (SourceError, DependencyUnavailable) as error:
            problems.append(str(error))
    return problems
