"""What the code of an image imports, wherever in a module it does so, is in the image's lock."""

from __future__ import annotations

import ast
import importlib.metadata
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from limoflow.wiring.stack import SERVICES
from services.verifier.checks import OWN as CHECKS
from tests.deploy.test_images import pins

ROOT = Path(__file__).resolve().parents[2]
OWN = ("limoflow", "schemas", "services", "models")
DISTRIBUTIONS = importlib.metadata.packages_distributions()
# Only a service of stages runs on Faust (limoflow/service.py chooses), and only one image of the command line trains.
FAUST = "limoflow.stream.faust_runner"
FOR_MODELS = {"torch", "transformers", "tokenizers", "huggingface_hub"}


def normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


def path_of(module: str) -> Path | None:
    place = ROOT.joinpath(*module.split("."))
    found = (place / "__init__.py", place.with_suffix(".py"))
    return next((path for path in found if path.exists()), None)


def modules_below(package: str) -> set[str]:
    paths = (path.relative_to(ROOT) for path in (ROOT / package).rglob("*.py"))
    return {".".join(path.with_suffix("").parts).removesuffix(".__init__") for path in paths}


def imported(module: str) -> Iterator[str]:
    """Yield what a module imports, but for what only a type checker reads."""
    path = path_of(module)
    assert path is not None, module
    todo: list[ast.AST] = [ast.parse(path.read_text(encoding="utf-8"))]
    while todo:
        node = todo.pop()
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield str(node.module)
            yield from (f"{node.module}.{alias.name}" for alias in node.names)
        elif not (isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"):
            todo += ast.iter_child_nodes(node)


def reached(starts: set[str], without: set[str]) -> dict[str, set[str]]:
    """Return our modules that some import, at whatever remove, each with all that it imports."""
    todo, found = sorted(starts), dict[str, set[str]]()
    while todo:
        module = todo.pop()
        if module in found or module in without:
            continue
        found[module] = set(imported(module))
        for name in found[module]:
            if name.partition(".")[0] in OWN:
                parts = name.split(".")
                parents = (".".join(parts[: depth + 1]) for depth in range(len(parts)))
                todo += [parent for parent in parents if path_of(parent) is not None]
    return found


def foreign(starts: set[str], without: set[str]) -> dict[str, str]:
    """Return the top-level packages of others that modules need, each with a module that imports it."""
    others = {
        name.partition(".")[0]: module for module, names in reached(starts, without).items() for name in sorted(names)
    }
    return {top: module for top, module in others.items() if top not in OWN and top not in sys.stdlib_module_names}


def lacking(lock: str, needed: dict[str, str]) -> dict[str, str]:
    there = set(pins(lock))
    return {
        top: module
        for top, module in needed.items()
        if not {normal(one) for one in DISTRIBUTIONS.get(top, [top])} & there
    }


@pytest.mark.parametrize("name", SERVICES)
def test_what_a_service_may_import_is_in_its_image(name):
    begins = (ROOT / "services" / name / "__main__.py").read_text(encoding="utf-8")
    without = set() if "serve_stage" in begins else {FAUST}
    assert lacking(name, foreign(modules_below(f"services/{name}"), without)) == {}


@pytest.mark.parametrize(("image", "without"), [("trainer", set()), ("cli", FOR_MODELS)])
def test_what_the_command_line_may_import_is_in_the_images_that_have_it(image, without):
    found = lacking(image, foreign(modules_below("limoflow/cli"), set()))
    assert set(found) == without, found


_PLAN = """
import importlib.metadata, sys
allowed, top_of = set(sys.argv[1].split()), importlib.metadata.packages_distributions()

class Image:
    def find_spec(self, name, path=None, target=None):
        there = {one.lower().replace("_", "-").replace(".", "-") for one in top_of.get(name, ())}
        if there and not there & allowed:
            raise ModuleNotFoundError(f"No module named {name!r}, which is not in the image", name=name)

sys.meta_path.insert(0, Image())
from pathlib import Path
from limoflow.spec_file import load_spec
from limoflow.wiring.plan import preflight
print(preflight(load_spec(Path(sys.argv[2])), Path(sys.argv[3])))
"""


@pytest.mark.parametrize("image", ["trainer", "cli"])
def test_an_image_with_the_command_line_can_check_any_spec(image, tmp_path):
    spec = yaml.safe_load((ROOT / "deploy/k8s/jobs/demo/run.yaml").read_text(encoding="utf-8"))
    spec["verify"] = {"checks": dict.fromkeys(CHECKS, True)}
    (tmp_path / "run.yaml").write_text(yaml.safe_dump(spec), encoding="utf-8")
    command = [sys.executable, "-c", _PLAN, " ".join((*pins(image), "limoflow")), tmp_path / "run.yaml", tmp_path]
    done = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    assert done.returncode == 0, done.stderr
    assert "not in the image" not in done.stdout
