"""Where the files that are not Python code lie: in the checkout, or inside the installed package."""

from __future__ import annotations

from pathlib import Path

from limoflow.errors import UsageError

_PACKAGE = Path(__file__).resolve().parent


def resource(relative: str) -> Path:
    """Path of a file or folder that ships with limoflow.

    Parameters
    ----------
    relative : str
        Path from the root of the repository, such as ``deploy/local/kafka/pom.xml``.

    Returns
    -------
    Path
        The path in the checkout where limoflow runs from one, else inside the installed package.

    Raises
    ------
    UsageError
        If neither place has it.
    """
    checkout = _PACKAGE.parent
    roots = ([checkout] if (checkout / "deploy").is_dir() else []) + [_PACKAGE / "_resources"]
    for root in roots:
        if (root / relative).exists():
            return root / relative
    places = " and ".join(str(root) for root in roots)
    raise UsageError(f"limoflow's own file {relative!r} is missing (looked in {places}): reinstall limoflow")
