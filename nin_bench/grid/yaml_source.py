"""YAML text to plain values that remember their line and column. Imports nothing of ours but the errors.

Read with PyYAML's pure-Python parser, event by event: it has no recursion to exhaust, its C twin can crash on
deep nesting, and nothing is expanded. Decimal numbers are read as in YAML 1.2's core schema, so that `1e-3` is
one; 1.1's `on`, `off`, `yes` and `no` stay booleans.
"""

import re
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from typing import Any

import yaml
from yaml.reader import ReaderError

from nin_bench.errors import InputError, shown

MAX_BYTES = 64 * 1024
"""A larger file is no grid written by a person, and the pure parser takes 10 s a megabyte."""
MAX_DEPTH = 16
"""Deeper nesting than any grid has."""
MAX_VALUES = 10_000
"""More values than any grid has; each takes some 50 µs to read and to check."""
MAX_DIGITS = 18
"""A whole number of more characters may not fit in 64 bits; it is read as a float, and refused where it counts."""

_REMEDY = (
    "indent with spaces, put a space after each colon, close quotes and brackets, quote text that holds a colon"
)
_MISTAKES = (
    (r"found character '\\t'", "a tab", "indent with spaces"),
    (r"found character '(.)'", "text cannot begin with {0}", "put it in quotes"),
    (r"expected (?:alpha|chomp|a comment)", "text cannot begin with a mark of YAML's own", "put it in quotes"),
    (
        r"found unknown escape character",
        "an escape that YAML does not know",
        "use single quotes, or write \\\\ for \\",
    ),
    (
        r"found unexpected end of stream",
        "a quote that is not closed",
        "close it; in '…' an apostrophe is written ''",
    ),
    (r"could not find expected ':'", "a line without a field", "write a name, a colon and a space: name: value"),
    (
        r"expected ',' or '(.)', but got ':'",
        "a second colon in the bracket of line {line}",
        "add {0}, or a comma before its field, or quote text that holds a colon",
    ),
    (
        r"expected ',' or '(.)', but got",
        "the bracket of line {line} is not closed",
        "add {0}, or a comma before this",
    ),
    (r"expected .*, but found '[]}]'", "a bracket that was not opened", "take it out, or put the text in quotes"),
)
"""What the parser says of common mistakes, what that means, and what to do about it."""
_DIRECTIVE = re.compile("found (incompatible|duplicate) YAML|duplicate tag handle")
_MISPLACED = re.compile("expected (<block end>|'<document start>')|mapping values are not allowed")
_BOOLEANS = {"true": True, "on": True, "yes": True, "false": False, "off": False, "no": False}
_NULLS = {"", "~", "null", "Null", "NULL"}
_INTEGER = re.compile(r"[-+]?[0-9](_?[0-9])*")
_FLOAT = re.compile(r"[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN)")


class PlacedError(InputError):
    """Wrong input, and where it stands; an option stands before the file, on line 0."""

    def __init__(self, message: str, line: int, column: int) -> None:
        super().__init__(message, line, column)
        self.line = line
        self.column = column

    def __str__(self) -> str:
        return str(self.args[0])


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
    key: "Node | None" = field(default=None, repr=False)
    """The name of the field whose value this is, where it stands."""

    def error(self, message: str) -> PlacedError:
        """An error at this value: one line that opens with file, line, column and field."""
        if self.source.startswith("--"):  # an option names its field, and is one line
            return PlacedError(f"{self.source}: {message}", 0, 0)
        path = f"{self.path}: " if self.path else ""
        return PlacedError(f"{self.source}:{self.line}:{self.column}: {path}{message}", self.line, self.column)

    def key_error(self, message: str) -> PlacedError:
        """An error at the name of the field whose value this is."""
        return (self.key or self).error(message)

    def plain(self) -> Any:
        """The value alone, nodes taken off all the way down."""
        if isinstance(self.value, dict):
            return {key: node.plain() for key, node in self.value.items()}
        if isinstance(self.value, list):
            return [node.plain() for node in self.value]
        return self.value

    def at(self, *loc: str | int) -> "Node":
        """The value at a place below this one, or the nearest above it that the text holds."""
        node = self
        for part in loc:
            if isinstance(node.value, dict):
                node = node.value.get(part, node)
            elif isinstance(node.value, list) and isinstance(part, int):
                node = node.value[part]
        return node

    def section(self, name: str) -> "Node":
        """The mapping under a name; an empty one, at this place, if there is none."""
        node = self.value.get(name) if isinstance(self.value, dict) else None
        return node or replace(self, value={}, path=name)

    def merged(self, over: "Node") -> "Node":
        """This mapping with another laid over it: mappings key by key, lists and scalars replaced whole."""
        if not (isinstance(self.value, dict) and isinstance(over.value, dict)):
            return over
        children = dict(self.value)
        for key, node in over.value.items():
            children[key] = children[key].merged(node) if key in children else node
        return replace(self, value=children)


def parse_yaml(text: str, source: str) -> Node:
    """Parse one YAML document; errors name its source.

    Raises:
        InputError: not YAML; longer than 64 KiB; nested deeper than 16; of more than 10,000 values; with an alias,
            anchor, tag, duplicate key, a key that is no plain text, or a second document. The line says which,
            and where.
    """
    if len(text.encode(errors="surrogatepass")) > MAX_BYTES:
        raise InputError(f"{source}: longer than {MAX_BYTES // 1024} KiB, which is too long for a grid")
    try:
        return _build(_events(text), source)
    except yaml.MarkedYAMLError as error:
        raise _explained(error, source) from error
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        column = error.position - text.rfind("\n", 0, error.position)
        code = ord(text[error.position])
        raise InputError(f"{source}:{line}:{column}: not YAML: character U+{code:04X}; leave it out") from error


def _explained(error: yaml.MarkedYAMLError, source: str) -> InputError:
    """A syntax error in the user's words, at the place that has to be mended."""
    problem, mark, opened = str(error.problem), error.problem_mark or error.context_mark, error.context_mark
    assert mark is not None, "the parser marks every error"
    if opened is not None and problem in ("found unexpected end of stream", "could not find expected ':'"):
        mark = opened  # the parser noticed only later
    what, remedy = f"{f'{error.context}, ' if error.context else ''}{problem}", error.note or _REMEDY
    if error.context == "while scanning a directive" or _DIRECTIVE.match(problem):
        what, remedy = "a line that begins with % speaks to the parser", "leave it out; a grid needs none"
    if _MISPLACED.match(problem):
        assert mark.buffer is not None, "what is parsed is text"
        what, remedy = _misplaced(mark.buffer[mark.pointer - mark.column : mark.pointer])
    for pattern, meaning, advice in _MISTAKES:
        if found := re.match(pattern, problem):
            line = (opened or mark).line + 1
            what, remedy = meaning.format(*found.groups(), line=line), advice.format(*found.groups())
            break
    return InputError(f"{source}:{mark.line + 1}:{mark.column + 1}: not YAML: {what}; {remedy}")


def _misplaced(before: str) -> tuple[str, str]:
    """What is wrong where no value can stand, and the remedy, by what stands before it on its line."""
    if ": " in before or before.rstrip().endswith(("'", '"', "]", "}")):
        return "text goes on behind a value, or holds a colon", "put the whole text in quotes"
    return (
        "a line that does not go with those before it",
        "begin the fields of a section in one column, put a space after each colon and after a list's dashes",
    )


def _events(text: str) -> Iterator[yaml.Event]:
    loader = yaml.SafeLoader(text)
    try:
        while loader.check_event():
            yield loader.get_event()  # type: ignore[no-untyped-call]
    except (ValueError, OverflowError) as error:  # of a character beyond Unicode, written as "\UFFFFFFFF"
        raise yaml.MarkedYAMLError(
            problem="a number out of range", problem_mark=loader.get_mark(), note="use a smaller one"
        ) from error


@dataclass
class _Open:
    """A mapping or list whose end has not been read yet."""

    node: Node
    key: Node | None = None
    """In a mapping, the field's name that has been read and waits for its value."""

    @property
    def expects_key(self) -> bool:
        return isinstance(self.node.value, dict) and self.key is None

    @property
    def child_path(self) -> str:
        """The path of what is read next, as far as it is known."""
        if isinstance(self.node.value, list):
            return f"{self.node.path}[{len(self.node.value)}]"
        return self.key.path if self.key else self.node.path

    def add(self, node: Node) -> None:
        if isinstance(self.node.value, list):
            self.node.value.append(node)
        else:
            assert self.key is not None
            self.node.value[self.key.value] = node
            self.key = None


def _build(events: Iterator[yaml.Event], source: str) -> Node:
    root: Node | None = None
    stack: list[_Open] = []
    num_values = 0
    for event in events:
        if isinstance(event, yaml.CollectionEndEvent):
            stack.pop()
            continue
        assert event.start_mark is not None, "the parser marks every event"
        place = Node(None, source, event.start_mark.line + 1, event.start_mark.column + 1)
        if isinstance(event, yaml.DocumentStartEvent) and root is not None:
            raise place.error("a second document; a grid is one document")
        if not isinstance(event, yaml.NodeEvent):
            continue
        parent = stack[-1] if stack else None
        if parent is not None:
            place = replace(place, path=parent.child_path, key=parent.key)
        _refuse_what_no_grid_needs(event, place)
        if parent is not None and parent.expects_key:
            parent.key = _key(event, parent.node, place)
            continue
        num_values += 1
        if num_values > MAX_VALUES:
            raise place.error(f"{MAX_VALUES:,} values stand before this; no grid needs that")
        node = replace(place, value=_value(event))
        if parent is None:
            root = node
        else:
            parent.add(node)
        if isinstance(event, yaml.CollectionStartEvent):
            stack.append(_Open(node))
            if len(stack) > MAX_DEPTH:
                raise node.error(f"nested more than {MAX_DEPTH} deep; no grid needs that")
    return root or Node(None, source, 1, 1)


def _refuse_what_no_grid_needs(event: yaml.NodeEvent, place: Node) -> None:
    if isinstance(event, yaml.AliasEvent):
        raise place.error(f"alias *{event.anchor}: aliases are not expanded; write the value out")
    if event.anchor is not None:
        raise place.error(f"anchor &{event.anchor}: anchors and aliases are not used in grids; leave it out")
    if (tag := getattr(event, "tag", None)) is not None:
        raise place.error(f"tag {tag!r}: tags are not used in grids; leave it out")
    if isinstance(event, yaml.ScalarEvent) and any("\ud800" <= character <= "\udfff" for character in event.value):
        raise place.error(f"{shown(event.value)} holds half a character; write the whole character itself")


def _key(event: yaml.NodeEvent, mapping: Node, place: Node) -> Node:
    if not isinstance(event, yaml.ScalarEvent) or not event.value.isprintable():
        raise place.error("a field's name must be plain text")
    name = event.value
    key = replace(place, value=name, path=f"{mapping.path}.{name}" if mapping.path else name)
    if name in mapping.value:
        raise key.error(f"given twice, on line {mapping.value[name].key.line} already; keep one")
    return key


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
    if _INTEGER.fullmatch(text) and len(text) <= MAX_DIGITS:
        return int(text)
    if _FLOAT.fullmatch(text):
        return float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    return text
