"""Settings that every service process shares, and where a machine keeps what limoflow makes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal, TypeVar

from pydantic import Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict, SettingsError

from limoflow.errors import UsageError

Price = Annotated[float, Field(ge=0.0, allow_inf_nan=False)]
Settings = TypeVar("Settings", bound=BaseSettings)


def from_environment(kind: type[Settings]) -> Settings:
    """Read settings from the environment.

    Raises
    ------
    UsageError
        When a variable is missing or wrong; the message names it and not its value, which may be a secret.
    """
    prefix = str(kind.model_config.get("env_prefix", ""))
    try:
        return kind()
    except ValidationError as error:
        told = [
            f"{prefix}{'_'.join(map(str, one['loc']))}".upper() + f": {one['msg']}" if one["loc"] else one["msg"]
            for one in error.errors(include_url=False, include_input=False, include_context=False)
        ]
        raise UsageError("; ".join(told)) from None
    except SettingsError as error:
        raise UsageError(f"{prefix}*: {error}; write JSON") from None


class ServiceSettings(BaseSettings):
    """Settings of one service process, from `LIMOFLOW_*`.

    Attributes
    ----------
    instance : str
        The worker's stable name; transactions of an earlier process with the same name are fenced off.
    http_host, http_port
        Where /healthz, /readyz and /metrics answer; port 0 takes a free one.
    triton_url : str
        host:port of Triton's gRPC endpoint.
    models_device : {"cpu", "cuda"}
        Where the models on Triton compute: who installs a model into its repository writes this down there, and a run
        says so, because the two differ in the last digits. All processes of an installation are told the same.
    in_flight : int
        Samples that a stream service handles at the same time.
    chat_prices : mapping
        Dollars for a million prompt tokens and a million completion tokens, by model, such as
        ``{"judge": [0.5, 1.5]}``; a model that is not named costs nothing. For metrics and alerts only.
    chat_budget : float
        Dollars that chat requests may cost in 24 hours before an alert; 0 for no bound.
    tenants : Path, optional
        YAML file of the tenants and their quotas, which the ingestor and the command line read at their start.
    """

    model_config = SettingsConfigDict(env_prefix="LIMOFLOW_", extra="ignore")

    instance: str = "0"
    http_host: str = "127.0.0.1"
    http_port: Annotated[int, Field(ge=0, le=65535)] = 0
    log_level: str = "INFO"
    triton_url: str = "127.0.0.1:8001"
    models_device: Literal["cpu", "cuda"] = "cpu"
    in_flight: Annotated[int, Field(gt=0, le=4096)] = 64
    home: Path = Path(".limoflow")
    chat_prices: dict[str, tuple[Price, Price]] = Field(default_factory=dict)
    chat_budget: Price = 0.0
    tenants: Path | None = None

    def chat_cost(self, model: str, prompt_tokens: int, completion_tokens: int) -> float:
        """Return the dollars that one answered chat request cost."""
        price_in, price_out = self.chat_prices.get(model, (0.0, 0.0))
        return (prompt_tokens * price_in + completion_tokens * price_out) / 1e6


class Home:
    """The folder of one installation: state of the local stack, models, releases, adapters."""

    def __init__(self, root: Path) -> None:
        self.root = root.absolute()

    @property
    def stack(self) -> Path:
        """State, logs and data of the local stack."""
        return self.root / "stack"

    @property
    def models(self) -> Path:
        """Causal LMs that were built here, one folder each, named by their content."""
        return self.root / "models"

    @property
    def rewards(self) -> Path:
        """Records of trainings, for the learning potential, named by their content."""
        return self.root / "rewards"

    @property
    def triton_repository(self) -> Path:
        """The model repository that the local Triton serves."""
        return self.root / "triton"

    @property
    def releases(self) -> Path:
        """Exported releases."""
        return self.root / "releases"

    @property
    def adapters(self) -> Path:
        """Trained adapters."""
        return self.root / "adapters"
