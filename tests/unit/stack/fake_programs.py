"""Stand-ins for the programs that Kafka needs."""

from pathlib import Path

FAKE_JAVA = """#!/bin/sh
if [ "$1" = -version ]; then echo 'openjdk version "{version}"' >&2; exit 0; fi
echo "$@" >> {calls}
for last; do :; done
if [ -e {broken} ]; then mkdir -p "$(sed -n s/^log.dirs=//p "$last")"; echo 'cannot format' >&2; exit 1; fi
mkdir -p "$(sed -n s/^log.dirs=//p "$last")"
"""
FAKE_MAVEN = """#!/bin/sh
echo "$@" >> {calls}
if [ -e {broken} ]; then echo 'cannot resolve'; exit 1; fi
for option; do case "$option" in -DoutputDirectory=*) folder="${{option#*=}}";; esac; done
sleep 0.2
mkdir -p "$folder" && touch "$folder/kafka_2.13-fake.jar"
"""


class FakePrograms:
    """Stand-ins for java and mvn that note how they were called; the only programs on the search path besides sh's."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.broken = folder / "broken"

    def calls(self, name: str) -> list[str]:
        notes = self.folder / f"{name}.calls"
        return notes.read_text().splitlines() if notes.exists() else []

    def add(self, name: str, text: str, **values: str) -> None:
        program = self.folder / name
        program.write_text(text.format(calls=self.folder / f"{name}.calls", broken=self.broken, **values))
        program.chmod(0o755)

    def add_java(self, version: str = "17.0.15") -> None:
        self.add("java", FAKE_JAVA, version=version)

    def add_maven(self) -> None:
        self.add("mvn", FAKE_MAVEN)


def find_tool(tool: str) -> Path:
    return next(path for folder in ("/bin", "/usr/bin") if (path := Path(folder) / tool).exists())
