"""RunSpecs as users write them: layered YAML, checked, with errors that name the place and the nearest key."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from limoflow.errors import RunSpecError
from limoflow.redaction import holds_credentials, is_secret_name, redacted
from schemas.run import RunSpec, Score

MAX_NODES = 10_000
"""Values in a RunSpec file, its aliases written out."""

_VARIABLE = re.compile(r"[A-Z_][A-Z0-9_]*")
RECIPES = Path(__file__).with_name("recipes")


def load_spec(path: Path, overrides: Sequence[str] = (), *, profile: Path | None = None) -> RunSpec:
    """Read a RunSpec: defaults, then its recipe, then the profile, then the file, then `key=value` settings.

    A `recipe` is the name of a file of limoflow/recipes, or the path of one's own, ending in .yaml.

    Raises
    ------
    RunSpecError
        When a file cannot be read, a key is unknown (the nearest known key is named), or a value does not hold.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    for setting in overrides:
        if "=" not in setting:
            raise RunSpecError(f"{setting!r} is no setting; write key=value, such as select.target=500")
    try:
        layers = [OmegaConf.create(_read(layer)) for layer in (profile, path) if layer is not None]
        settings = [OmegaConf.from_dotlist([setting]) for setting in overrides]
        merged = OmegaConf.merge(*layers, *settings)
        recipe = OmegaConf.select(merged, "recipe") if OmegaConf.is_dict(merged) else None
        below = [] if recipe is None else [OmegaConf.create(_read(recipe_file(str(recipe), path.parent)))]
        plain = OmegaConf.to_container(_layered([*below, *layers], overrides), resolve=True)
    except (OmegaConfBaseException, YAMLError, RecursionError) as error:
        raise RunSpecError(f"{path}: the layers of the RunSpec do not fit together: {error}") from error
    if not isinstance(plain, dict):
        raise RunSpecError(f"{path}: a RunSpec is a mapping of keys, not a {type(plain).__name__}")
    return check_spec({str(key): value for key, value in plain.items()}, str(path))


def changed_spec(spec: RunSpec, overrides: Sequence[str], allowed: Sequence[str]) -> RunSpec:
    """Return a spec with other `key=value` settings.

    Parameters
    ----------
    spec : RunSpec
    overrides : sequence of str
    allowed : sequence of str
        The keys, or the beginnings of keys that end with a dot, that may be set.

    Raises
    ------
    RunSpecError
        When a key may not be set or is unknown, or a value does not hold.
    """
    from omegaconf import OmegaConf
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    for setting in overrides:
        key, found, _ = setting.partition("=")
        if not found or not any(key == name or (name.endswith(".") and key.startswith(name)) for name in allowed):
            raise RunSpecError(f"{setting!r} cannot be set here; write key=value with a key of {', '.join(allowed)}")
    try:
        plain = OmegaConf.to_container(_layered([OmegaConf.create(spec.canonical())], overrides), resolve=True)
    except (OmegaConfBaseException, YAMLError, RecursionError) as error:
        raise RunSpecError(f"the settings do not fit the RunSpec: {error}") from error
    if not isinstance(plain, dict):
        raise RunSpecError("the settings do not fit the RunSpec")
    return check_spec({str(key): value for key, value in plain.items()}, "the settings")


def recipe_file(recipe: str, folder: Path) -> Path:
    """Return the file of a recipe.

    Raises
    ------
    RunSpecError
        When limoflow has none of this name.
    """
    if recipe.endswith((".yaml", ".yml")):
        return folder / recipe
    known = {path.stem: path for path in sorted(RECIPES.glob("*.yaml"))}
    if recipe not in known:
        raise RunSpecError(f"recipe: {recipe!r} is none; known: {', '.join(known)}, or the path of a .yaml file")
    return known[recipe]


def _layered(layers: Sequence[Any], overrides: Sequence[str]) -> Any:
    """Lay mappings over each other, then `key=value` settings.

    Weights are one choice, not a sum of two: a layer or a setting that states them replaces those below it. A setting
    of one weight (`score.weights.NAME=value`) changes that one of what stands below, be it the default.
    """
    from omegaconf import OmegaConf

    merged = OmegaConf.create({"score": {"weights": Score().weights}})
    for layer in layers:
        merged = _over(merged, layer, whole=True)
    for setting in overrides:
        whole = setting.partition("=")[0] in ("score", "score.weights")
        merged = _over(merged, OmegaConf.from_dotlist([setting]), whole=whole)
    return merged


def _over(below: Any, above: Any, *, whole: bool) -> Any:
    from omegaconf import OmegaConf

    stated = whole and OmegaConf.is_dict(above) and OmegaConf.select(above, "score.weights") is not None
    if stated and OmegaConf.is_dict(OmegaConf.select(below, "score")):
        below.score.pop("weights", None)
    return OmegaConf.merge(below, above)


def check_spec(plain: dict[str, Any], origin: str) -> RunSpec:
    """Validate a plain RunSpec and refuse unknown keys.

    Raises
    ------
    RunSpecError
        Naming `origin`, the field, the value and the bound.
    """
    try:
        spec = RunSpec.model_validate(plain)
    except ValidationError as error:
        lines = [
            f"{origin}: {'.'.join(str(part) for part in problem['loc']) or 'the spec'}: {problem['msg']}"
            f" (value {_short(problem['input'])})"
            for problem in error.errors(include_url=False)
        ]
        raise RunSpecError("\n".join(lines)) from error
    unknown = list(_unknown_keys(spec, ()))
    unknown += [f"{place}: {what}" for place, what in _secrets_below(plain, ())]
    if unknown:
        raise RunSpecError("\n".join(f"{origin}: {line}" for line in unknown))
    return spec


def _secrets_below(value: Any, place: tuple[str, ...]) -> Iterator[tuple[str, str]]:
    """Yield where a spec holds a secret: it is written to topics and manifests, and everybody may read it there."""
    name = place[-1] if place else ""
    if isinstance(value, dict):
        for key, part in value.items():
            yield from _secrets_below(part, (*place, str(key)))
    elif isinstance(value, list):
        for index, part in enumerate(value):
            yield from _secrets_below(part, (*place, str(index)))
    elif isinstance(value, str):
        if name == "api_key_env" and not _VARIABLE.fullmatch(value):
            yield ".".join(place), "is no name of an environment variable; set the key there, and name it here"
        elif is_secret_name(name) or holds_credentials(value):
            yield ".".join(place), "holds a secret; set it in the environment of the services, and not in a run"


def _read(path: Path) -> dict[str, Any]:
    import yaml

    try:
        loaded = yaml.safe_load(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunSpecError(f"{path}: no such file; give the path of a RunSpec in YAML") from error
    except OSError as error:
        raise RunSpecError(f"{path}: cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError, RecursionError) as error:
        raise RunSpecError(f"{path}: is not YAML: {error}") from error
    if not isinstance(loaded, dict):
        raise RunSpecError(f"{path}: a RunSpec is a mapping of keys, not {_short(loaded)}")
    if _nodes(loaded, {}) > MAX_NODES:
        raise RunSpecError(f"{path}: with its aliases written out it has more than {MAX_NODES} values")
    return loaded


def _nodes(value: Any, known: dict[int, float]) -> float:
    """Count the values with aliases written out; an alias of what it stands in counts without end."""
    parts = [*value.keys(), *value.values()] if isinstance(value, dict) else value
    if not isinstance(parts, list):
        return 1
    if id(value) not in known:
        known[id(value)] = float("inf")
        known[id(value)] = 1 + sum(_nodes(part, known) for part in parts)
    return known[id(value)]


def _unknown_keys(part: BaseModel, place: tuple[str, ...]) -> Iterator[str]:
    known = list(type(part).model_fields)
    # A strategy's own settings are its plug-in's to check, so they may be any.
    if type(part).__name__ != "Strategy":
        for key in part.model_extra or {}:
            nearest = difflib.get_close_matches(key, known, n=1, cutoff=0.0)
            offer = f"; did you mean {nearest[0]!r}?" if nearest else ""
            yield f"{'.'.join((*place, key))}: unknown key{offer} (known here: {', '.join(known)})"
    for name in known:
        yield from _unknown_below(getattr(part, name), (*place, name))


def _unknown_below(value: Any, place: tuple[str, ...]) -> Iterator[str]:
    if isinstance(value, BaseModel):
        yield from _unknown_keys(value, place)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _unknown_below(item, (*place, str(index)))
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _unknown_below(item, (*place, str(name)))


def _short(value: Any) -> str:
    text = f"a mapping of {', '.join(map(str, value))}" if isinstance(value, dict) else redacted(repr(value))
    return text if len(text) <= 80 else text[:77] + "..."
