"""The entries of `models`, and those that `ablate` stands for: the baseline, and one for each change to it."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import combinations

from nin_bench.grid.entries import AblateEntry, ModelEntry
from nin_bench.grid.file import GridFile
from nin_bench.grid.refusals import Refusals
from nin_bench.grid.search import refuse_repeated
from nin_bench.grid.variants import text_of
from nin_bench.grid.yaml_source import Node

_SECTIONS = ("recipe", "data")


@dataclass(frozen=True)
class _Change:
    """Another value for one field of the baseline."""

    section: str
    """Where the field stands; empty for an argument of the model."""
    key: str
    node: Node

    @property
    def field(self) -> tuple[str, str]:
        return self.section, self.key

    @property
    def name(self) -> str:
        """The field as labels name it."""
        return "data" if self.field == ("data", "name") else self.key

    def laid_over(self, entry: Node) -> Node:
        """The entry with this value."""
        over = replace(self.node, value={self.key: self.node})
        return entry.merged(replace(over, value={self.section: over}) if self.section else over)


def model_entries(file: GridFile, root: Node, most: int) -> Iterator[tuple[ModelEntry, Node]]:
    """The entries that `ablate` stands for, then those of `models`, each with its node.

    Raises:
        InputError: there are neither; what is wrong with `ablate`; it has more than `most` pairs.
    """
    if not file.models and not file.ablate:
        raise root.error("lacks 'models'; add it, or ablate")
    if file.ablate:
        yield from _ablated(file.ablate, root.at("ablate"), root, most)
    if file.models:
        yield from zip(file.models, root.at("models").value, strict=True)


def _ablated(ablate: AblateEntry, node: Node, grid: Node, most: int) -> Iterator[tuple[ModelEntry, Node]]:
    """Entries of `models`: the baseline, every change to it, then every two if the grid wants pairs.

    Each stands where its last change is written, and its label tells what it changes.
    """
    for part in ("of", "change"):
        if part not in node.value:
            raise node.error(f"lacks {part!r}; add it")
    assert ablate.of is not None
    of = node.at("of")
    changes = _changes(node.at("change"))
    chosen: list[tuple[_Change, ...]] = [(change,) for change in changes]
    if ablate.pairs:
        alike = Counter(change.field for change in changes).values()
        count = (len(changes) ** 2 - sum(number**2 for number in alike)) // 2
        if count > most:
            raise node.at("pairs").error(f"{count:,} pairs, over {most:,}; shorten a list of change")
        chosen += (pair for pair in combinations(changes, 2) if pair[0].field != pair[1].field)
    yield ablate.of, of
    for several in chosen:
        entry = of
        for change in several:
            entry = change.laid_over(entry)
        place = several[-1].node
        label = _label(ablate.of.label or ablate.of.name, several, entry, grid)
        entry = replace(place, value={**entry.value, "label": replace(place, value=label)})
        yield ablate.of.model_copy(update={"label": label}), entry


def _changes(node: Node) -> list[_Change]:
    """Every value of every field, in the file's order."""
    refusals = Refusals()
    found = []
    for name, given in node.value.items():
        fields = given.value if name in _SECTIONS else {name: given}
        for key, values in fields.items():
            if isinstance(values.value, list):
                with refusals.gather():
                    refuse_repeated(values)
            listed = values.value if isinstance(values.value, list) else [values]
            found += [_Change(name if name in _SECTIONS else "", key, one) for one in listed]
    refusals.raise_any()
    if not found:
        raise node.error("empty; give at least one field, and the values to change it to")
    return found


def _label(opening: str, changes: Sequence[_Change], entry: Node, grid: Node) -> str:
    """A template: the baseline's, then what differs, then what tells points of the grid's axes apart."""
    told = [f"{one.name}={text_of(one.node.value)}".replace("{", "{{").replace("}", "}}") for one in changes]
    for section in _SECTIONS:
        own = entry.section(section).value
        for key, axis in grid.section(section).value.items():
            if isinstance(axis.value, list) and key not in own:
                name = "data" if (section, key) == ("data", "name") else key
                told.append(f"{name}={{{section}.{key}}}")
    return " ".join([opening, *told])
