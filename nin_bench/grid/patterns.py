"""Patterns: a variant matches when every field that the pattern names is equal, or in the list it gives."""

from collections.abc import Sequence
from functools import cached_property

from nin_bench.cell import Cell, DataSpec, Recipe, Spec
from nin_bench.errors import SpecError, shown, some_of, unknown_name
from nin_bench.grid.validation import Point, check_value
from nin_bench.grid.variants import SIZES, Catalog, Variant, model_name
from nin_bench.yaml_source import Node

_SECTIONS: dict[str, type[Spec]] = {"recipe": Recipe, "data": DataSpec}


class PatternIndex:
    """Which variants have which values, so that a pattern need not be held against every one of them."""

    def __init__(self, variants: Sequence[Variant], catalog: Catalog) -> None:
        self.variants = variants
        self.catalog = catalog
        self._by_field: dict[str, dict[tuple[bool, object], set[int]]] = {}

    @cached_property
    def arguments(self) -> frozenset[str]:
        """The names of all arguments that some variant's model has."""
        return frozenset(key for variant in self.variants for key in variant.model.arguments)

    def matching(self, pattern: Point) -> set[int]:
        """The positions of the variants that match."""
        found = [self._having(key, node) for key, node in pattern.items()]
        return set.intersection(*sorted(found, key=len)) if found else set(range(len(self.variants)))

    def _having(self, field: str, node: Node) -> set[int]:
        if field not in self._by_field:
            values: dict[tuple[bool, object], set[int]] = {}
            for position, variant in enumerate(self.variants):
                values.setdefault(_comparable(variant.comparable.get(field)), set()).add(position)
            self._by_field[field] = values
        return set().union(*(self._by_field[field].get(_comparable(one.value), ()) for one in _choices(node)))


def _comparable(value: object) -> tuple[bool, object]:
    """As a pattern compares it: 1 is 1.0, and true is no number."""
    return isinstance(value, bool), value


def read_pattern(node: Node, index: PatternIndex, *, seeds: bool = False) -> Point:
    """Read a pattern, its recipe and data fields as `recipe.lr`.

    Args:
        node: the pattern.
        index: knows the fields of a pattern that names no model, and by its catalog those of one that does, which
            need not be among the variants.
        seeds: whether the pattern may name seeds.

    Raises:
        InputError: a field that nothing has, a model that is not registered, or a value that it refuses.
    """
    outer: dict[str, Node] = {}
    flat: dict[str, Node] = {}
    for key, value in node.mapping("a pattern").items():
        if key in _SECTIONS:
            for field, one in value.mapping("a section", _SECTIONS[key].model_fields).items():
                flat[f"{key}.{field}"] = one
                for choice in _choices(one):
                    check_value(_SECTIONS[key], field, choice)
        else:
            outer[key] = value
    others = {"name", "match", "seed"} if seeds else {"name", "match"}
    arguments = {key: value for key, value in outer.items() if key not in others}
    for choice in _choices(outer["match"]) if "match" in outer else ():
        if choice.value not in (*SIZES, None):
            raise choice.error(f"{shown(choice.value)} is none of {', '.join(SIZES)}, null")
    for choice in _choices(outer["seed"]) if seeds and "seed" in outer else ():
        if type(choice.value) is not int:
            raise choice.error(f"{shown(choice.value)} is not a seed; use a whole number, 0 or more")
    if "name" in outer:
        for name in _choices(outer["name"]):
            _check_arguments(name, arguments, index.catalog)
    else:
        for key, value in arguments.items():
            if key not in index.arguments:
                raise value.key_error(unknown_name("field", key, index.arguments | others | set(_SECTIONS)))
            for choice in _choices(value):
                if isinstance(choice.value, list | dict):
                    raise choice.error(f"{shown(choice.value)} cannot stand here; give one value")
    return flat | outer


def _check_arguments(name: Node, arguments: Point, catalog: Catalog) -> None:
    try:
        catalog.resolve_model(model_name(name), {})
    except SpecError as error:
        raise name.error(error.message) from error
    for key, node in arguments.items():
        for choice in _choices(node):
            try:
                catalog.resolve_model(name.value, {key: choice.plain()})
            except SpecError as error:
                raise choice.error(error.message) from error


def _choices(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else [node]


def the_one(node: Node, index: PatternIndex) -> Variant:
    """The variant that a pattern matches; it must be exactly one."""
    found = sorted(index.matching(read_pattern(node, index)))
    if len(found) == 1:
        return index.variants[found[0]]
    names = some_of([index.variants[position].label for position in found or range(len(index.variants))])
    raise node.error(f"matches {len(found)} variants, must match exactly one of: {names}")


def without_excluded(
    exclude: Sequence[Node], index: PatternIndex, seeds: Sequence[int]
) -> tuple[tuple[Cell, ...], tuple[str, ...]]:
    """Every variant with every seed, less what some pattern of `exclude` matches.

    Returns:
        The cells, variant by variant, and a note for each pattern that matches none of them.

    Raises:
        InputError: a pattern is wrong.
    """
    excluded: dict[int | None, set[int]] = {None: set()}
    """Positions of the variants that are out, with one seed or with all."""
    notes = []
    for node in exclude:
        pattern = dict(read_pattern(node, index, seeds=True))
        wanted = pattern.pop("seed", None)
        among: list[int | None] = [None] if wanted is None else [one.value for one in _choices(wanted)]
        found = index.matching(pattern)
        for seed in among:
            excluded.setdefault(seed, set()).update(found)
        if not found or not {None, *seeds} & set(among):
            notes.append(str(node.error("matches no cell; mend it, or leave it out")))
    cells = tuple(
        variant.cell(seed)
        for position, variant in enumerate(index.variants)
        if position not in excluded[None]
        for seed in seeds
        if position not in excluded.get(seed, ())
    )
    return cells, tuple(notes)
