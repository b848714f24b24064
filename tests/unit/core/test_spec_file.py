"""RunSpecs: layers in order, and errors that say where and what to do."""

from __future__ import annotations

from pathlib import Path

import pytest

from limoflow.errors import RunSpecError
from limoflow.spec_file import load_spec

MINIMAL = "name: small\nsources: [{path: 'lake/*.jsonl'}]\n"


def written(folder: Path, text: str, name: str = "run.yaml") -> Path:
    path = folder / name
    path.write_text(text, encoding="utf-8")
    return path


def test_layers_override_each_other_in_order(tmp_path: Path) -> None:
    profile = written(tmp_path, "seed: 1\nselect: {target: 10, reservoir: 7}\n", "profile.yaml")
    path = written(tmp_path, MINIMAL + "select: {target: 20}\n")
    assert load_spec(path, profile=profile).select.target == 20
    spec = load_spec(path, ["select.target=30", "select.window.count=5"], profile=profile)
    assert (spec.seed, spec.select.target, spec.select.reservoir) == (1, 30, 7)
    assert spec.select.window.count == 5  # type: ignore[union-attr]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("selekt: {target: 5}\n", "selekt: unknown key; did you mean 'select'?"),
        ("select: {targte: 5}\n", "select.targte: unknown key; did you mean 'target'?"),
        ("score: {thresholds: {ifd: {lest: 1}}}\n", "score.thresholds.ifd.lest: unknown key; did you mean 'least'?"),
        ("score: {ifd: {modle: x}}\n", "score.ifd.modle: unknown key; did you mean 'model'?"),
    ],
)
def test_an_unknown_key_is_refused_with_the_nearest_known_one(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(RunSpecError) as caught:
        load_spec(written(tmp_path, MINIMAL + text))
    assert expected in str(caught.value)
    assert "run.yaml" in str(caught.value)


def test_an_unknown_key_in_a_list_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunSpecError, match=r"sources\.0\.pathh: unknown key; did you mean 'path'"):
        load_spec(written(tmp_path, "name: a\nsources: [{path: x, pathh: y}]\n"))


@pytest.mark.parametrize("text", ["select: {target: 0}\n", "select: {target: many}\n", "seed: -1\n"])
def test_a_value_out_of_bounds_is_named_with_its_field(tmp_path: Path, text: str) -> None:
    with pytest.raises(RunSpecError, match=r"(select\.target|seed): .*\(value "):
        load_spec(written(tmp_path, MINIMAL + text))


@pytest.mark.parametrize("text", ["", "- a\n- b\n", "{", "name: [", "a: &x [*x]"])
def test_what_is_no_mapping_or_no_yaml_is_refused(tmp_path: Path, text: str) -> None:
    with pytest.raises(RunSpecError):
        load_spec(written(tmp_path, text))


def test_a_missing_file_is_named(tmp_path: Path) -> None:
    with pytest.raises(RunSpecError, match=r"nothing\.yaml: no such file"):
        load_spec(tmp_path / "nothing.yaml")


def test_a_setting_without_value_is_refused(tmp_path: Path) -> None:
    with pytest.raises(RunSpecError, match="write key=value"):
        load_spec(written(tmp_path, MINIMAL), ["select.target"])


def test_switching_a_part_off_survives_the_way_through_the_topic(tmp_path: Path) -> None:
    spec = load_spec(written(tmp_path, MINIMAL + "score: {ifd: null}\nselect: {near_duplicates: null}\n"))
    again = type(spec).model_validate_json(spec.to_bytes())
    assert again.score.ifd is None
    assert again.select.near_duplicates is None
    assert again.sha256() == spec.sha256()


def test_aliases_that_grow_without_bound_are_refused(tmp_path: Path):
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 10)}]" for n in range(1, 9)]
    for text in ("\n".join(lines), "a: &a [*a]"):
        (tmp_path / "run.yaml").write_text(text)
        with pytest.raises(RunSpecError, match=r"run\.yaml"):
            load_spec(tmp_path / "run.yaml")


def test_a_setting_that_is_no_yaml_is_named(tmp_path: Path):
    (tmp_path / "run.yaml").write_text("name: a\nsources: [{path: x}]\n")
    with pytest.raises(RunSpecError, match=r"run\.yaml"):
        load_spec(tmp_path / "run.yaml", ["score.weights={a: 1}b"])


def test_weights_are_replaced_as_a_whole_and_a_setting_changes_one(tmp_path: Path) -> None:
    plain = load_spec(written(tmp_path, MINIMAL)).score.weights
    assert load_spec(written(tmp_path, MINIMAL), ["score.weights.depth=0.7"]).score.weights == plain | {"depth": 0.7}
    stated = written(tmp_path, MINIMAL + "score: {weights: {ifd: 1.0, depth: 1.0}}\n")
    assert load_spec(stated).score.weights == {"ifd": 1.0, "depth": 1.0}
    assert load_spec(stated, ["score.weights.depth=2"]).score.weights == {"ifd": 1.0, "depth": 2.0}
    assert load_spec(stated, ["score.weights={quality: 1}"]).score.weights == {"quality": 1.0}
    assert load_spec(stated, ["score={weights: {quality: 1}}"]).score.weights == {"quality": 1.0}
    profile = written(tmp_path, "score: {weights: {safety: 1.0}}\n", "profile.yaml")
    assert load_spec(stated, profile=profile).score.weights == {"ifd": 1.0, "depth": 1.0}
    with pytest.raises(RunSpecError, match="score"):
        load_spec(written(tmp_path, MINIMAL + "score: null\n"), ["score.weights={a: 1}", "score=7"])


@pytest.mark.parametrize(
    "setting",
    [
        "score.thresholds.ifd.below=.nan",
        "score.thresholds.ifd.least=.inf",
        "train.alpha=.inf",
        "select.window.seconds=.inf",
    ],
)
def test_numbers_that_json_does_not_know_are_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(RunSpecError, match="finite number"):
        load_spec(written(tmp_path, MINIMAL), [setting])


def test_a_threshold_that_nothing_can_pass_is_refused(tmp_path: Path) -> None:
    for bounds in ("{least: 0.8, most: 0.2}", "{least: 0.5, below: 0.5}"):
        with pytest.raises(RunSpecError, match=r"score\.thresholds\.ifd: .*nothing is at least"):
            load_spec(written(tmp_path, MINIMAL), [f"score.thresholds.ifd={bounds}"])


DOUBLED = {
    "merges": "\n".join(
        ["a0: &a0 {k0: 1}", *(f"a{n}: &a{n} {{<<: [*a{n - 1}, *a{n - 1}], k{n}: 1}}" for n in range(1, 30))]
    ),
    "references": "\n".join(["x0: abc", *(f"x{n}: '${{x{n - 1}}}${{x{n - 1}}}'" for n in range(1, 30))]),
    "references below": "\n".join(
        ["x0: abc", *(f"x{n}: {{a: '${{x{n - 1}}}', b: ['${{.a}}', '${{x{n - 1}}}']}}" for n in range(1, 30))]
    ),
    "references through references": "\n".join(
        ["x0: {t: abc}", *(f"y{n}: ${{x{n - 1}}}\nx{n}: {{t: '${{y{n}.t}}${{y{n}[t]}}'}}" for n in range(1, 30))]
    ),
    "a name for the recipe": "\n".join(
        ["recipe: ${x29}", "x0: abc", *(f"x{n}: '${{x{n - 1}}}${{x{n - 1}}}'" for n in range(1, 30))]
    ),
    "itself": "x: {y: '${x}'}",
    "its own text": "x: '${x}'",
}


@pytest.mark.parametrize("text", DOUBLED.values(), ids=DOUBLED)
def test_what_doubles_is_refused_before_it_is_written_out(tmp_path: Path, text: str) -> None:
    # Written out it would have 2^29 values: nobody would wait for it.
    path = written(tmp_path, MINIMAL + text)
    with pytest.raises(RunSpecError, match=r"run\.yaml: .*written out"):
        load_spec(path)
    lines = [line.replace(": ", "=", 1) for line in text.splitlines() if "*a" not in line and "&a" not in line]
    if lines:
        with pytest.raises(RunSpecError):
            load_spec(written(tmp_path, MINIMAL), lines)


def test_references_stand_for_values_and_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("MY_TARGET", "7")
    text = (
        "seed: 3\nselect: {target: '${oc.env:MY_TARGET}', reservoir: '${seed}', quotas: {domain: {'a${seed}': 1.0}}}\n"
    )
    spec = load_spec(written(tmp_path, MINIMAL + text), ["select.curriculum.steps=${select.reservoir}"])
    assert (spec.select.target, spec.select.reservoir) == (7, 3)
    assert spec.select.curriculum is not None
    assert spec.select.curriculum.steps == 3
    for computed in ("${oc.decode:${seed}}", "${select.${seed}}", "${oc.create:{a: 1}}"):
        with pytest.raises(RunSpecError, match="is no reference that a RunSpec may hold"):
            load_spec(written(tmp_path, MINIMAL + f"recipe: '{computed}'\n"))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("seed: 1\nseed: 2\n", "line 4: the key 'seed' is stated again, first in line 3"),
        ("select:\n  target: 1\n  'target': 2\n", "line 5: the key 'target' is stated again, first in line 4"),
        ("select: {quotas: {domain: {1: 0.5, 0x1: 0.5}}}\n", "line 3: the key '1' is stated again"),
        ("seed: 2023-13-45\n", "line 3: a value cannot be read: month"),
        (f"seed: {'1' * 5_000}\n", "line 3: a value cannot be read"),
        (f"seed: 0x{'f' * 5_000}\n", "line 3: a number has more than 256 bits"),
        ("seed: !!timestamp x\n", "line 3: a value cannot be read"),
        ("seed: 2023-01-01\n", "not a supported primitive type"),
    ],
)
def test_what_yaml_cannot_say_is_told_with_its_line(tmp_path: Path, text: str, expected: str) -> None:
    with pytest.raises(RunSpecError) as caught:
        load_spec(written(tmp_path, MINIMAL + text))
    assert "run.yaml: " in str(caught.value)
    assert expected in str(caught.value)


def test_a_key_that_a_merge_brings_may_be_stated_again(tmp_path: Path) -> None:
    text = "select: {quotas: {domain: &d {a: 1.0, b: 1.0}, difficulty: {<<: *d, a: 0.5}}}\n"
    assert load_spec(written(tmp_path, MINIMAL + text)).select.quotas["difficulty"] == {"a": 0.5, "b": 1.0}


@pytest.mark.parametrize(
    "setting",
    ["sources.0.path=x", f"seed={'1' * 5_000}", f"seed=0x{'f' * 5_000}", f"select.target=0x{'f' * 5_000}",
     "select={target: 1, target: 2}", "[=5", "name=${", "seed=!!timestamp x", "=5", "a..b=5"],
)  # fmt: skip
def test_a_setting_that_does_not_fit_is_refused(tmp_path: Path, setting: str) -> None:
    with pytest.raises(RunSpecError):
        load_spec(written(tmp_path, MINIMAL), [setting])
