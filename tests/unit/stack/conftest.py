from pathlib import Path

import pytest

from tests.unit.stack.fake_programs import FakePrograms, find_tool


@pytest.fixture
def programs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> FakePrograms:
    folder = tmp_path / "programs"
    folder.mkdir()
    for tool in ("sh", "sed", "mkdir", "touch", "sleep"):
        (folder / tool).symlink_to(find_tool(tool))
    monkeypatch.setenv("PATH", str(folder))
    monkeypatch.delenv("JAVA_HOME", raising=False)
    return FakePrograms(folder)
