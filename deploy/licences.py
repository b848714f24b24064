"""`python -m deploy.licences`: the licence of every distribution that limoflow installs, as docs/operate/licences.md.

Apache-2.0 software may use what is listed: permissive licences; MPL-2.0, whose terms stay with its own files; and the
libraries of NVIDIA that the CUDA build of PyTorch brings, which are proprietary and stand apart.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator, Mapping
from email.message import Message
from importlib.metadata import distributions
from pathlib import Path
from typing import cast

ROOT = Path(__file__).resolve().parents[1]
PAGE = ROOT / "docs" / "operate" / "licences.md"
ENVIRONMENTS = {"app": ROOT / ".venv", "triton": ROOT / ".venv-triton"}
PERMISSIVE = ("MIT", "BSD", "Apache", "ISC", "PSF", "Python Software Foundation", "Repoze", "ZPL", "Zope", "Unlicense")
WEAK = ("MPL-2.0", "Mozilla Public License 2.0")
NVIDIA = ("nvidia-", "cuda-toolkit", "cuda-bindings", "cuda-pathfinder", "cuda-core")
# Those whose metadata do not name a licence, with what their files say.
READ = {
    "httpx-aiohttp": "BSD-3-Clause",
    "cuda-toolkit": "LicenseRef-NVIDIA-Proprietary",
}


def licence(metadata: Message) -> str:
    """Return the licence that metadata name: an expression, classifiers, or the first line of a text."""
    name = _normal(metadata["Name"])
    if name in READ:
        return READ[name]
    if expression := metadata.get("License-Expression"):
        return str(expression)
    classifiers = [str(one) for one in metadata.get_all("Classifier") or [] if str(one).startswith("License ::")]
    named = sorted({one.rpartition("::")[2].strip() for one in classifiers} - {"OSI Approved", "DFSG approved"})
    return "; ".join(named) or (str(metadata.get("License") or "").splitlines() or ["unknown"])[0][:60] or "unknown"


def installed(environment: Path) -> dict[str, str]:
    """Return name to licence of what an environment holds, limoflow itself left out."""
    (packages,) = environment.glob("lib/python*/site-packages")
    found = {}
    for distribution in distributions(path=[str(packages)]):
        metadata = cast(Message, distribution.metadata)
        found[_normal(metadata["Name"])] = licence(metadata)
    found.pop("limoflow", None)
    return dict(sorted(found.items()))


def locked(name: str) -> set[str]:
    """Return the names in a lock."""
    text = (ROOT / "requirements" / f"{name}.lock").read_text(encoding="utf-8")
    return {_normal(one) for one in re.findall(r"(?m)^([A-Za-z0-9][\w.-]*)==", text)}


def problems(found: Mapping[str, str]) -> Iterator[str]:
    """Yield the distributions that Apache-2.0 software may not simply use."""
    for name, said in found.items():
        if not (name.startswith(NVIDIA) or any(word in said for word in (*PERMISSIVE, *WEAK))):
            yield f"{name}: {said}"
        if re.search(r"\b(A?GPL|SSPL|BUSL)|Affero", said) and " OR " not in said:
            yield f"{name}: {said}"


def page(found: Mapping[str, str]) -> str:
    """Return the table of licences, with the images in which each distribution is."""
    locks = sorted(path.stem for path in (ROOT / "requirements").glob("*.lock") if path.stem not in _NO_IMAGE)
    inside = {lock: locked(lock) for lock in locks}
    lines = [_HEAD]
    for name, said in found.items():
        images = ", ".join(lock for lock, names in inside.items() if name in names) or "none (tests and tools)"
        lines.append(f"| {name} | {said} | {images} |")
    return "\n".join(lines) + "\n"


_NO_IMAGE = ("app", "build", "fuzz", "supply", "triton")
_HEAD = """# Licences of what limoflow installs

Written by `python -m deploy.licences` from the installed distributions' own metadata; a test fails when it is stale, or
when one has a licence that Apache-2.0 software may not simply use. limoflow itself is Apache-2.0.

- MPL-2.0 (certifi and others) stays with the files of that package; they are used unchanged.
- `nvidia-*` and `cuda-*` come with PyTorch's CUDA build: proprietary, redistributable under NVIDIA's terms. Whoever
  passes on the trainer's or Triton's image passes them on too; the other images hold none of them.

| distribution | licence | images |
|---|---|---|"""


def everything() -> dict[str, str]:
    """Return what both environments hold."""
    found: dict[str, str] = {}
    for environment in ENVIRONMENTS.values():
        found |= installed(environment)
    return dict(sorted(found.items()))


def main() -> int:
    """Write the page; say what does not fit."""
    found = everything()
    PAGE.write_text(page(found), encoding="utf-8")
    told = list(problems(found))
    sys.stdout.write("".join(f"{line}\n" for line in told) + f"{len(found)} distributions, {PAGE.name} written\n")
    return 1 if told else 0


def _normal(name: str) -> str:
    return re.sub(r"[-_.]+", "-", name).lower()


if __name__ == "__main__":
    sys.exit(main())
