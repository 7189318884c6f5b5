"""Patterns: a variant matches when every field that the pattern names is equal, or in the list it gives."""

from collections.abc import Sequence
from functools import cached_property

from nin_bench.cell import Scalar
from nin_bench.errors import some_of, unknown_name
from nin_bench.grid.entries import CellPattern, Pattern, listed, misplaced
from nin_bench.grid.refusals import Refusals
from nin_bench.grid.variants import Variant
from nin_bench.grid.yaml_source import Node


class PatternIndex:
    """Which variants have which values, so that a pattern need not be held against every one of them."""

    def __init__(self, variants: Sequence[Variant]) -> None:
        self.variants = variants
        self._by_field: dict[str, dict[tuple[bool, object], set[int]]] = {}

    @cached_property
    def _arguments(self) -> frozenset[str]:
        """The names of all arguments that some variant's model has."""
        return frozenset(key for variant in self.variants for key in variant.model.arguments)

    def check(self, pattern: Pattern, node: Node) -> None:
        """Refuse a pattern that names no model, and an argument that no variant's model has.

        Raises:
            InputError: at the argument's name.
        """
        if "name" not in pattern.model_fields_set:
            for key in pattern.arguments:
                if key not in self._arguments:
                    known = self._arguments | type(pattern).model_fields.keys()
                    raise node.at(key).key_error(misplaced(key) or unknown_name("field", key, known))

    def matching(self, pattern: Pattern) -> list[int]:
        """The positions of the variants that a pattern matches; a seed that it names is left aside."""
        wanted = {key: values for key, values in pattern.wanted().items() if key != "seed"}
        found = sorted((self._having(key, values) for key, values in wanted.items()), key=len)
        return sorted(set.intersection(*found) if found else range(len(self.variants)))

    def _having(self, field: str, values: Sequence[Scalar]) -> set[int]:
        if field not in self._by_field:
            index: dict[tuple[bool, object], set[int]] = {}
            for position, variant in enumerate(self.variants):
                value = variant.label if field == "label" else variant.values.get(field)
                index.setdefault(comparable(value), set()).add(position)
            self._by_field[field] = index
        return set().union(*(self._by_field[field].get(comparable(value), ()) for value in values))

    def the_one(self, pattern: Pattern, node: Node) -> Variant:
        """The variant that a pattern matches; InputError if it matches none, or several."""
        self.check(pattern, node)
        return the_only([self.variants[position] for position in self.matching(pattern)], node, self.variants)


def the_only(found: Sequence[Variant], node: Node, variants: Sequence[Variant], where: str = "") -> Variant:
    """The one variant that was found; InputError at the pattern's node if there are none or several."""
    if len(found) == 1:
        return found[0]
    names = some_of([variant.label for variant in found or variants])
    raise node.error(f"matches {len(found)} variants{where}, must match exactly one of: {names or 'none'}")


def comparable(value: object) -> tuple[bool, object]:
    """A value as patterns compare it: 1 is 1.0, and true is no number."""
    return isinstance(value, bool), value


class Exclusion:
    """Which cells the patterns of `exclude` leave out."""

    def __init__(self, patterns: Sequence[CellPattern], node: Node, seeds: Sequence[int]) -> None:
        self._patterns = patterns
        self._node = node
        self._seeds = seeds
        self._used = [False] * len(patterns)
        self._checked = False

    def seeds_left(self, variants: Sequence[Variant]) -> list[Sequence[int]]:
        """The seeds with which every variant is left in.

        Raises:
            InputError: the first time, a pattern names an argument that no variant's model has.
        """
        index = PatternIndex(variants)
        out: dict[int | None, set[int]] = {}
        refusals = Refusals()
        for number, pattern in enumerate(self._patterns):
            with refusals.gather():
                if not self._checked:
                    index.check(pattern, self._node.at(number))
                found = index.matching(pattern)
                seeds = listed(pattern.seed) if "seed" in pattern.model_fields_set else [None]
                for seed in seeds:
                    out.setdefault(seed, set()).update(found)
                self._used[number] |= bool(found) and bool({None, *self._seeds} & set(seeds))
        refusals.raise_any()
        self._checked = True
        wholly = out.get(None, set())
        by_seed = {seed: out[seed] for seed in self._seeds if seed in out}
        return [
            ()
            if position in wholly
            else [seed for seed in self._seeds if position not in by_seed.get(seed, ())]
            if by_seed
            else self._seeds
            for position in range(len(variants))
        ]

    def notes(self) -> tuple[str, ...]:
        """A line for every pattern that matched no cell."""
        return tuple(
            str(self._node.at(number).error("matches no cell; mend it, or leave it out"))
            for number, used in enumerate(self._used)
            if not used
        )
