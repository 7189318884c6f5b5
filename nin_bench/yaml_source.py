"""YAML text to plain values that remember their line and column. Imports nothing of ours but the errors.

Read with PyYAML's pure-Python parser, event by event: it has no recursion to exhaust, its C twin can crash on
deep nesting, and nothing is expanded. Scalars follow YAML 1.2's core schema, so that `1e-3` is a number, and
keep 1.1's `on`, `off`, `yes` and `no` as booleans.
"""

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from typing import Any

import yaml

from nin_bench.errors import InputError, unknown_name

MAX_BYTES = 64 * 1024
"""A larger file is no grid written by a person, and the pure parser takes 10 s a megabyte."""
MAX_DEPTH = 16
"""Deeper nesting than any grid has."""

_BOOLEANS = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?[0-9](_?[0-9])*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN)")


@dataclass(frozen=True)
class Node:
    """A YAML value and where it stands: a scalar, or a dict or list of further nodes."""

    value: Any
    source: str
    """The file's name, or the option that the text came from."""
    line: int
    column: int
    path: str = ""
    """From the document's top, as in `models[0].pointwise`."""

    def error(self, message: str) -> InputError:
        """What is wrong here, as one line that opens with file, line, column and field."""
        field = f"{self.path}: " if self.path else ""
        # An option is one value on one line: its text says where, its field is named in it.
        place = self.source if self.source.startswith("--") else f"{self.source}:{self.line}:{self.column}"
        return InputError(f"{place}: {'' if place == self.source else field}{message}")

    def plain(self) -> Any:
        """The value alone, nodes taken off all the way down."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def mapping(self, what: str, known: Iterable[str] | None = None) -> dict[str, "Node"]:
        """The value as a mapping, its keys all known.

        Raises:
            InputError: it is no mapping, or has a field that is not `known`.
        """
        if not isinstance(self.value, dict):
            raise self.error(f"{shown(self.value)} is not {what}; write a mapping of fields")
        names = list(known) if known is not None else None
        for key, node in self.value.items():
            if names is not None and key not in names:
                raise node.error(unknown_name("field", key, names))
        return self.value

    def sequence(self, what: str) -> list["Node"]:
        """The value as a list; anything else is refused."""
        if not isinstance(self.value, list):
            raise self.error(f"{shown(self.value)} is not {what}; write a list")
        return self.value

    def merged(self, over: "Node") -> "Node":
        """This mapping with another laid over it: mappings key by key, lists and scalars replaced whole."""
        if not (isinstance(self.value, dict) and isinstance(over.value, dict)):
            return over
        children = dict(self.value)
        for key, node in over.value.items():
            children[key] = children[key].merged(node) if key in children else node
        return replace(self, value=children)


def shown(value: Any) -> str:
    """A value as an error names it: short, on one line."""
    if isinstance(value, dict):
        return "a mapping"
    if isinstance(value, list):
        return "a list"
    text = json.dumps(value) if value is None or isinstance(value, bool) else repr(value)
    return text if len(text) <= 60 else f"{text[:57]}..."


def parse_yaml(text: str, source: str) -> Node:
    """Parse one YAML document.

    Args:
        text: the document.
        source: how errors name it.

    Raises:
        InputError: not YAML; longer than 64 KiB; nested deeper than 16; with an alias, anchor, tag, duplicate
            key, a key that is no plain text, or a second document. The line says which, and where.
    """
    size = len(text.encode())
    if size > MAX_BYTES:
        raise InputError(f"{source}: {size} bytes is too long for a grid; at most {MAX_BYTES} are read")
    try:
        return _build(yaml.parse(text, Loader=yaml.SafeLoader), source)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        where = f":{mark.line + 1}:{mark.column + 1}" if mark else ""
        context = f"{error.context}, " if error.context else ""
        raise InputError(f"{source}{where}: not YAML: {context}{error.problem}") from error
    except yaml.YAMLError as error:
        raise InputError(f"{source}: not YAML: {' '.join(str(error).split())}") from error


@dataclass
class _Open:
    """A mapping or list whose end has not been read yet."""

    node: Node
    key: str | None = None

    @property
    def child_path(self) -> str:
        if isinstance(self.node.value, list):
            return f"{self.node.path}[{len(self.node.value)}]"
        return f"{self.node.path}.{self.key}" if self.node.path else str(self.key)


def _build(events: Iterator[yaml.Event], source: str) -> Node:
    root: Node | None = None
    stack: list[_Open] = []
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            continue
        if not isinstance(event, yaml.NodeEvent):
            if isinstance(event, yaml.DocumentStartEvent) and root is not None:
                raise _place(event, source).error("a second document; a grid is one document")
            continue
        place = _place(event, source, stack[-1].child_path if stack and not _expects_key(stack[-1]) else "")
        _refuse_what_no_grid_needs(event, place)
        if stack and _expects_key(stack[-1]):
            stack[-1].key = _key(event, stack[-1], place)
            continue
        node = replace(place, value=_value(event))
        if not stack:
            root = node
        elif isinstance(stack[-1].node.value, list):
            stack[-1].node.value.append(node)
        else:
            stack[-1].node.value[stack[-1].key] = node
            stack[-1].key = None
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(node))
            if len(stack) > MAX_DEPTH:
                raise node.error(f"nested more than {MAX_DEPTH} deep; no grid needs that")
    return root if root is not None else Node({}, source, 1, 1)


def _place(event: yaml.Event, source: str, path: str = "") -> Node:
    mark = event.start_mark
    assert mark is not None, "the parser marks every event"
    return Node(None, source, mark.line + 1, mark.column + 1, path)


def _expects_key(parent: _Open) -> bool:
    return isinstance(parent.node.value, dict) and parent.key is None


def _refuse_what_no_grid_needs(event: yaml.NodeEvent, place: Node) -> None:
    if isinstance(event, yaml.AliasEvent):
        raise place.error(f"alias *{event.anchor}: aliases are not expanded; write the value out")
    if event.anchor is not None:
        raise place.error(f"anchor &{event.anchor}: anchors and aliases are not used in grids; leave it out")
    if (tag := getattr(event, "tag", None)) is not None:
        raise place.error(f"tag {tag!r}: tags are not used in grids; leave it out")


def _key(event: yaml.NodeEvent, parent: _Open, place: Node) -> str:
    if not isinstance(event, yaml.ScalarEvent):
        raise place.error("a field's name must be plain text")
    if event.value in parent.node.value:
        first = parent.node.value[event.value]
        raise place.error(f"duplicate field {event.value!r}, given on line {first.line} already; keep one")
    return str(event.value)


def _value(event: yaml.NodeEvent) -> Any:
    if isinstance(event, yaml.MappingStartEvent):
        return {}
    if isinstance(event, yaml.SequenceStartEvent):
        return []
    assert isinstance(event, yaml.ScalarEvent)
    return _scalar(event.value) if event.style is None else event.value


def _scalar(text: str) -> bool | int | float | str | None:
    if text in _NULLS:
        return None
    if text.lower() in _BOOLEANS:
        return _BOOLEANS[text.lower()]
    if _INTEGER.fullmatch(text) and len(text) <= 40:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.replace(".inf", "inf").replace(".nan", "nan"))
    return text
