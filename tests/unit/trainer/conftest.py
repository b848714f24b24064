from __future__ import annotations

from pathlib import Path

import pytest

from tests.unit.trainer.tiny import build_base


@pytest.fixture(scope="session")
def base(tmp_path_factory) -> Path:
    return build_base(tmp_path_factory.mktemp("models") / "tiny")
