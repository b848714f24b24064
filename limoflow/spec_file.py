"""RunSpecs as users write them: layered YAML, checked, with errors that name the place and the nearest key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from limoflow.errors import RunSpecError
from schemas.run import RunSpec

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

    for setting in overrides:
        if "=" not in setting:
            raise RunSpecError(f"{setting!r} is no setting; write key=value, such as select.target=500")
    try:
        layers = [OmegaConf.create(_read(layer)) for layer in (profile, path) if layer is not None]
        layers.append(OmegaConf.from_dotlist(list(overrides)))
        merged = OmegaConf.merge(*layers)
        recipe = OmegaConf.select(merged, "recipe") if OmegaConf.is_dict(merged) else None
        if recipe is not None:
            below = OmegaConf.create(_read(recipe_file(str(recipe), path.parent)))
            _keep_whole(below, layers)
            merged = OmegaConf.merge(below, *layers)
        plain = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, RecursionError) as error:
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

    for setting in overrides:
        key, found, _ = setting.partition("=")
        if not found or not any(key == name or (name.endswith(".") and key.startswith(name)) for name in allowed):
            raise RunSpecError(f"{setting!r} cannot be set here; write key=value with a key of {', '.join(allowed)}")
    try:
        merged = OmegaConf.merge(OmegaConf.create(spec.canonical()), OmegaConf.from_dotlist(list(overrides)))
        plain = OmegaConf.to_container(merged, resolve=True)
    except (OmegaConfBaseException, RecursionError) as error:
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


def _keep_whole(below: Any, layers: Sequence[Any]) -> None:
    """Drop a recipe's weights where a layer above states its own: weights are one choice, not a sum of two."""
    from omegaconf import OmegaConf

    for layer in layers:
        if OmegaConf.select(layer, "score.weights") is not None and "score" in below:
            below.score.pop("weights", None)


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
    if unknown:
        raise RunSpecError("\n".join(f"{origin}: {line}" for line in unknown))
    return spec


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
    return loaded


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


def _short(value: Any) -> str:
    text = repr(value)
    return text if len(text) <= 80 else text[:77] + "..."
