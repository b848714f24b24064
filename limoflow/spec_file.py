"""RunSpecs as users write them: layered YAML, checked, with errors that name the place and the nearest key."""

from __future__ import annotations

import difflib
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ValidationError

from limoflow.errors import RunSpecError
from limoflow.plain_yaml import PlainYamlError, check_yaml, read_yaml
from limoflow.redaction import redacted
from limoflow.references import check_references
from limoflow.spec_secrets import secrets_in
from schemas.run import RunSpec, Score

_PYTHONS = (ValueError, TypeError, LookupError, AttributeError, RecursionError)
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

    for setting in overrides:
        if "=" not in setting:
            raise RunSpecError(f"{setting!r} is no setting; write key=value, such as select.target=500")
    with _fitting(f"{path}: the layers of the RunSpec do not fit together"):
        layers = [_layer(layer) for layer in (profile, path) if layer is not None]
        settings = [_setting(setting) for setting in overrides]
        merged = OmegaConf.merge(*layers, *settings)
        check_references(OmegaConf.to_container(merged, resolve=False), str(path))
        recipe = OmegaConf.select(merged, "recipe") if OmegaConf.is_dict(merged) else None
        below = [] if recipe is None else [_layer(recipe_file(str(recipe), path.parent))]
        plain = _resolved(_layered([*below, *layers], overrides), str(path))
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

    for setting in overrides:
        key, found, _ = setting.partition("=")
        if not found or not any(key == name or (name.endswith(".") and key.startswith(name)) for name in allowed):
            raise RunSpecError(f"{setting!r} cannot be set here; write key=value with a key of {', '.join(allowed)}")
    with _fitting("the settings do not fit the RunSpec"):
        plain = _resolved(_layered([OmegaConf.create(spec.canonical())], overrides), "the settings")
    if not isinstance(plain, dict):
        raise RunSpecError("the settings do not fit the RunSpec")
    return check_spec({str(key): value for key, value in plain.items()}, "the settings")


@contextmanager
def _fitting(said: str) -> Iterator[None]:
    """Tell what the library makes of layers that do not fit: it has many errors, Python's own among them."""
    from omegaconf.errors import OmegaConfBaseException
    from yaml import YAMLError

    try:
        yield
    except (OmegaConfBaseException, YAMLError, *_PYTHONS) as error:
        raise RunSpecError(f"{said}: {error}") from error


def _setting(setting: str) -> Any:
    from omegaconf import OmegaConf

    check_yaml(setting.partition("=")[2])
    return OmegaConf.from_dotlist([setting])


def _resolved(layers: Any, origin: str) -> Any:
    """Return plain values, with what `${...}` stands for, which is counted before."""
    from omegaconf import OmegaConf

    check_references(OmegaConf.to_container(layers, resolve=False), origin)
    return OmegaConf.to_container(layers, resolve=True)


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
        merged = _over(merged, _setting(setting), whole=whole)
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
    unknown += [f"{place}: {what}" for place, what in secrets_in(plain)]
    if unknown:
        raise RunSpecError("\n".join(f"{origin}: {line}" for line in unknown))
    return spec


def _layer(path: Path) -> Any:
    from omegaconf import OmegaConf

    plain = _read(path)
    check_references(plain, str(path))
    return OmegaConf.create(plain)


def _read(path: Path) -> dict[str, Any]:
    try:
        loaded = read_yaml(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise RunSpecError(f"{path}: no such file; give the path of a RunSpec in YAML") from error
    except OSError as error:
        raise RunSpecError(f"{path}: cannot be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        raise RunSpecError(f"{path}: is not YAML: {error}") from error
    except PlainYamlError as error:
        raise RunSpecError(f"{path}: {error}") from error
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
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _unknown_below(item, (*place, str(name)))


def _short(value: Any) -> str:
    if isinstance(value, dict):
        text = redacted(f"a mapping of {', '.join(map(str, value))}")
    else:
        try:
            text = redacted(repr(value))
        except ValueError:
            text = "a number of thousands of digits"
    return text if len(text) <= 80 else text[:77] + "..."
