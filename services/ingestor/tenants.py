"""Tenants: who may submit runs, how large, how many at once, and who goes first (docs/operate/tenants.md)."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from limoflow.errors import UsageError
from limoflow.plain_yaml import PlainYamlError, read_yaml
from schemas.run import Chat, Name, PositiveInt, RunSpec


class Quota(BaseModel):
    """What the runs of one tenant may do; what is not set is not bounded.

    Attributes
    ----------
    max_running : int, optional
        Runs at once, from admission to the last release; others wait.
    max_rows : int, optional
        Rows read of one run, refused ones counted in; the run ends there.
    max_target : int, optional
        Largest `select.target`.
    chat : bool
        Whether a run may name chat endpoints, which cost money.
    priority : int
        Of runs that wait for a place in the installation, the higher starts first.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_running: PositiveInt | None = None
    max_rows: PositiveInt | None = None
    max_target: PositiveInt | None = None
    chat: bool = True
    priority: Annotated[int, Field(ge=-1000, le=1000)] = 0


class Tenants(BaseModel):
    """The tenants of an installation.

    Attributes
    ----------
    max_running : int, optional
        Runs of all tenants at once.
    unnamed : Quota or false
        What runs that name no tenant may do; false refuses them.
    tenants : dict of str to Quota
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    max_running: PositiveInt | None = None
    unnamed: Quota | Literal[False] = Quota()
    tenants: dict[Name, Quota] = Field(default_factory=dict)

    @property
    def let_wait(self) -> bool:
        """Whether any run may have to wait for another's last release."""
        quotas = [*self.tenants.values(), *([self.unnamed] if self.unnamed else [])]
        return self.max_running is not None or any(quota.max_running is not None for quota in quotas)

    def quota(self, tenant: str | None) -> Quota | None:
        """Return the quota of a tenant (None: of runs that name none), or None where it may not submit.

        Where no tenants are listed, a name is only a name.
        """
        return (self.unnamed or None) if tenant is None or not self.tenants else self.tenants.get(tenant)


def named(tenant: str | None) -> str:
    """Return how messages call a tenant."""
    return "those without a tenant" if tenant is None else f"tenant {tenant!r}"


def read_tenants(path: Path | None) -> Tenants:
    """Read the file of tenants; without one, everybody may do everything.

    Raises
    ------
    UsageError
        When the file cannot be read or does not hold; the message names the file, the field and the value.
    """
    if path is None:
        return Tenants()
    try:
        plain: Any = read_yaml(path.read_text(encoding="utf-8"))
        return Tenants.model_validate({} if plain is None else plain)
    except OSError as error:
        raise UsageError(
            f"LIMOFLOW_TENANTS: {path} cannot be read: {error.strerror}; see docs/operate/tenants.md"
        ) from error
    except UnicodeDecodeError as error:
        raise UsageError(f"LIMOFLOW_TENANTS: {path} is not YAML: {error}") from error
    except PlainYamlError as error:
        raise UsageError(f"LIMOFLOW_TENANTS: {path}: {error}") from error
    except ValidationError as error:
        told = "; ".join(
            f"{'.'.join(map(str, one['loc'])) or 'the file'}: {one['msg']} (value {str(one['input'])[:60]!r})"
            for one in error.errors(include_url=False)
        )
        raise UsageError(f"LIMOFLOW_TENANTS: {path}: {told}") from error


def over_quota(spec: RunSpec, tenants: Tenants) -> str | None:
    """Return why a run is refused whatever else runs, or None: the tenant, the value, the bound, what to do."""
    quota = tenants.quota(spec.tenant)
    if quota is None and spec.tenant is None:
        return "tenant: the run names none, and this installation asks for one; " + _known(tenants)
    if quota is None:
        return f"tenant: {spec.tenant!r} is not known to this installation; " + _known(tenants)
    if quota.max_target is not None and spec.select.target > quota.max_target:
        return (
            f"select.target: {spec.select.target} is more than the {quota.max_target} of {named(spec.tenant)} "
            "(max_target); ask for fewer rows, or for a larger quota"
        )
    chats = list(_endpoints(spec)) if not quota.chat else []
    if chats:
        return (
            f"{', '.join(chats)}: {named(spec.tenant)} may not ask chat endpoints (chat: false); "
            "leave them out, or ask for the right"
        )
    return None


def _known(tenants: Tenants) -> str:
    names = ", ".join(sorted(tenants.tenants)) or "none"
    return f"set tenant=NAME with one of: {names}; the platform team adds others to the file LIMOFLOW_TENANTS"


def _endpoints(spec: RunSpec) -> Iterator[str]:
    """Yield the sections of a spec that name a chat endpoint."""
    for section in ("generate", "verify", "score"):
        chat: Chat | None = getattr(spec, section).chat
        if chat is not None:
            yield f"{section}.chat"
