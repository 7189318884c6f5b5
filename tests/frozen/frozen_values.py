"""Frozen values: documents as path → value, stored, and compared through the table in `paths.yaml`.

A path joins keys by `/`. Where a list holds mappings that have an id, the id is the key, so that order does not
matter. A variant's label is replaced by its id: labels are for people.
"""

import json
import math
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FOLDER = Path(__file__).parent
VALUES = FOLDER / "values"
MOST_SHOWN = 25
"""Differences that one failure shows."""

_IDS = (
    ("cell_id",), ("variant_id", "epoch"), ("variant_id",), ("id",), ("label", "seed"), ("label",), ("number",),
    ("fingerprint",), ("epoch",), ("rate",), ("time",), ("precision",), ("batch_size",), ("num_seeds",),
    ("name",), ("field", "value"), ("seed",),
)  # fmt: skip
"""What names a mapping among others in a list: the first that all have, and that is unique."""


@dataclass(frozen=True)
class Row:
    """A row of the table: where an old path's value is now, and why its value differs, if it does."""

    kind: str
    old: str
    new: str
    reason: str

    def place(self, kind: str, path: str) -> str | None:
        """The new path of an old one; None if the row is not about it."""
        if not re.fullmatch(_expression(self.kind), kind):
            return None
        found = re.fullmatch(_expression(self.old), path)
        if found is None:
            return None
        parts = iter(found.groups())
        return re.sub(r"\*\*|\*", lambda _: next(parts), self.new)


@dataclass(frozen=True)
class Table:
    """What is free to change, what moved or changed by definition, and by how much numbers may differ."""

    free: Sequence[str]
    rows: Sequence[Row]
    words: Mapping[str, str]

    @classmethod
    def read(cls) -> "Table":
        content = yaml.safe_load((FOLDER / "paths.yaml").read_text(encoding="utf-8"))
        rows = [Row(**{"kind": "*", "reason": "", **row}) for row in content["rows"]]
        for row in rows:
            assert row.reason or row.new not in ("gone", "changed"), f"{row.old}: give the reason"
        return cls(content["free"], rows, content["words"])

    def is_free(self, path: str) -> bool:
        """Whether a path holds words for people, or what depends on the machine."""
        return any(re.fullmatch(_expression(pattern), path) for pattern in self.free)

    def place(self, kind: str, path: str) -> str:
        """Where an old path's value is now; `gone`, or `changed` for a value of another definition.

        Rows are applied one after another, so that one may move what another has moved.
        """
        for row in self.rows:
            found = row.place(kind, path)
            if found in ("gone", "changed"):
                return found
            path = path if found is None else found
        return path

    def value(self, value: Any) -> Any:
        """An old value with its words as they are now."""
        return self.words.get(value, value) if isinstance(value, str) else value


@cache
def _expression(pattern: str) -> str:
    """`*` is one key, or a part of one, `**` any number of keys."""
    parts = re.split(r"(\*\*|\*)", pattern)
    return "".join({"**": "(.*)", "*": "([^/]*)"}.get(part) or re.escape(part) for part in parts)


def keyed(value: Any, labels: Mapping[str, str]) -> Any:
    """A document with its lists of mappings keyed by their ids, and with variants' ids in place of labels."""
    if isinstance(value, str):
        return labels.get(value, value)
    if isinstance(value, Mapping):
        return {labels.get(key, str(key)): keyed(item, labels) for key, item in value.items()}
    if isinstance(value, list | tuple) and any(isinstance(item, Mapping) for item in value):
        return {key: keyed(item, labels) for key, item in zip(_keys(value), value, strict=True)}
    return [keyed(item, labels) for item in value] if isinstance(value, list | tuple) else value


def _keys(items: Sequence[Any]) -> list[str]:
    if all(isinstance(item, Mapping) for item in items):
        for names in _IDS:
            found = [tuple(_inner(item, name) for name in names) for item in items]
            if len(set(found)) == len(found) and not any(None in one for one in found):
                return ["|".join(map(str, one)) for one in found]
    return [str(number) for number in range(len(items))]


def _inner(item: Mapping[str, Any], name: str) -> Any:
    """A field; a machine's fingerprint stands one level deeper."""
    return item.get("machine", {}).get(name) if name == "fingerprint" else item.get(name)


def labels_of(document: Any) -> dict[str, str]:
    """Every label in a document whose variant's id stands beside it, with that id."""
    found: dict[str, str] = {}
    if isinstance(document, Mapping):
        if isinstance(document.get("label"), str) and isinstance(document.get("variant_id"), str):
            found[document["label"]] = document["variant_id"]
        document = list(document.values())
    if isinstance(document, list):
        for item in document:
            found |= labels_of(item)
    return found


def leaves(document: Any, path: str = "") -> Iterator[tuple[str, Any]]:
    """Every path of a keyed document with its value; a list of plain values is one value."""
    if isinstance(document, Mapping):
        for key, item in document.items():
            yield from leaves(item, f"{path}/{key}" if path else key)
    else:
        yield path, document


def flat(document: Any, table: Table, labels: Mapping[str, str] | None = None) -> dict[str, Any]:
    """Path → value of all that is not free to change."""
    found = labels_of(document) | dict(labels or {})
    return {path: value for path, value in leaves(keyed(document, found)) if not table.is_free(path)}


def differences(kind: str, frozen: Mapping[str, Any], today: Mapping[str, Any], table: Table) -> list[str]:
    """A line for every frozen value that is not found where the table says, or is another."""
    lines = []
    for path, value in frozen.items():
        place = table.place(kind, path)
        if place in ("gone", "changed"):
            continue
        where = path if place == path else f"{path} (now {place})"
        if place not in today:
            lines.append(f"{where}: was {shown(value)}, and is not there")
        elif not equal(table.value(value), today[place]):
            lines.append(f"{where}: was {shown(value)}, is {shown(today[place])}")
    return lines


def equal(old: Any, new: Any) -> bool:
    """Equal; numbers to 9 digits, since another version of NumPy may round the last ones differently."""
    if isinstance(old, list) and isinstance(new, list):
        return len(old) == len(new) and all(map(equal, old, new))
    if isinstance(old, float) and isinstance(new, int | float) and not isinstance(new, bool):
        return math.isclose(old, new, rel_tol=1e-9, abs_tol=1e-12)
    return type(old) is type(new) and bool(old == new)


def shown(value: Any) -> str:
    text = json.dumps(value, ensure_ascii=False)
    return text if len(text) <= 100 else f"{text[:97]}..."


def stored(name: str) -> dict[str, Any]:
    """A file of frozen values, path → value."""
    return dict(leaves(json.loads((VALUES / f"{name}.json").read_text(encoding="utf-8"))))


def store(name: str, values: Mapping[str, Any]) -> None:
    """Write path → value as a tree, sorted, with the values of one place on one line."""
    tree: dict[str, Any] = {}
    for path, value in values.items():
        *folders, last = path.split("/")
        place = tree
        for folder in folders:
            place = place.setdefault(folder, {})
        place[last] = value
    VALUES.mkdir(exist_ok=True)
    (VALUES / f"{name}.json").write_text(_lines(tree, 0) + "\n", encoding="utf-8")


def _lines(tree: Any, depth: int) -> str:
    whole = json.dumps(tree, ensure_ascii=False, sort_keys=True)
    if not isinstance(tree, dict) or (len(whole) < 160 and depth):
        return whole
    indent = " " * (depth + 1)
    rows = (
        f"{indent}{json.dumps(key, ensure_ascii=False)}: {_lines(tree[key], depth + 1)}" for key in sorted(tree)
    )
    return "{\n" + ",\n".join(rows) + "\n" + " " * depth + "}"


def message(name: str, lines: Sequence[str]) -> str:
    """What a failed comparison says."""
    more = [f"and {len(lines) - MOST_SHOWN} more"] if len(lines) > MOST_SHOWN else []
    head = (
        f"{len(lines)} frozen values of {name} differ; where that is meant, tests/frozen/README.md says what to do"
    )
    return "\n  ".join([head, *lines[:MOST_SHOWN], *more])
