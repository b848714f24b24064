"""YAML as people write it: what it stands for is counted before it is built, and no key is stated twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import yaml

MAX_NODES = 10_000
"""Values in a file, its aliases and merges written out."""

_MERGE = "tag:yaml.org,2002:merge"
_LARGEST_BITS = 256


class PlainYamlError(ValueError):
    """A text is no YAML, or holds more than it may, or says something twice; the message names the line."""


def read_yaml(text: str) -> Any:
    """Return what a YAML text stands for.

    Raises
    ------
    PlainYamlError
        When it is no YAML, a mapping states a key twice, a value cannot be (a date of no calendar, a number of
        thousands of digits), or it has more than MAX_NODES values with aliases and merges written out.
    """
    with _composed(text) as (loader, node):
        return None if node is None else loader.construct_document(node)


def check_yaml(text: str) -> None:
    """Refuse a text that `read_yaml` refuses, but for its values: another reader builds them.

    Raises
    ------
    PlainYamlError
    """
    with _composed(text):
        pass


@contextmanager
def _composed(text: str) -> Iterator[tuple[_Loader, yaml.Node | None]]:
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is not None and loader.written_out(node) > MAX_NODES:
            raise PlainYamlError(f"with its aliases written out it has more than {MAX_NODES} values")
        yield loader, node
    except (yaml.YAMLError, RecursionError) as error:
        raise PlainYamlError(f"is not YAML: {error}") from error


class _Loader(yaml.SafeLoader):
    def __init__(self, text: str) -> None:
        super().__init__(text)
        self._composed = 0
        self._sizes: dict[int, float] = {}

    def compose_node(self, parent: yaml.Node | None, index: Any) -> yaml.Node | None:
        self._composed += 1
        if self._composed > MAX_NODES:
            raise PlainYamlError(f"it has more than {MAX_NODES} values")
        return super().compose_node(parent, index)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> Any:
        try:
            value = super().construct_object(node, deep)
        except PlainYamlError:
            raise
        except (ValueError, OverflowError, LookupError, AttributeError, TypeError) as error:
            raise PlainYamlError(f"line {_line(node)}: a value cannot be read: {str(error)[:200]}") from error
        if isinstance(value, int) and value.bit_length() > _LARGEST_BITS:
            raise PlainYamlError(f"line {_line(node)}: a number has more than {_LARGEST_BITS} bits")
        return value

    def written_out(self, node: yaml.Node) -> float:
        """Count the values with aliases and merges written out; an alias of what it stands in counts without end."""
        if not isinstance(node, yaml.CollectionNode):
            return 1
        if id(node) not in self._sizes:
            self._sizes[id(node)] = float("inf")
            if isinstance(node, yaml.MappingNode):
                self._refuse_repeats(node)
                parts = [part for pair in node.value for part in pair]
            else:
                parts = node.value
            self._sizes[id(node)] = 1 + sum(map(self.written_out, parts))
        return self._sizes[id(node)]

    def _refuse_repeats(self, mapping: yaml.MappingNode) -> None:
        lines: dict[str, int] = {}
        for key, _ in mapping.value:
            if isinstance(key, yaml.ScalarNode) and key.tag != _MERGE:
                name = str(self.construct_object(key))
                if name in lines:
                    raise PlainYamlError(
                        f"line {_line(key)}: the key {name[:80]!r} is stated again, first in line {lines[name]}; "
                        "keep the one that is meant"
                    )
                lines[name] = _line(key)


def _line(node: yaml.Node) -> int:
    return int(node.start_mark.line) + 1
