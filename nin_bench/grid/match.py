"""Matched controls: the width at which a network is as large as another, in parameters or in MACs.

A network is counted, not estimated, at every width that is tried. Its width then is an argument like any other:
the variant's label and id say what is trained.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from functools import cache

from nin_bench.cell import DataSpec, ModelSpec
from nin_bench.errors import InputError, SpecError, some_of
from nin_bench.grid.patterns import PatternIndex, read_pattern
from nin_bench.grid.validation import Point
from nin_bench.grid.variants import SIZES, Catalog, Match, ModelEntry, Size, Variant
from nin_bench.yaml_source import Node

MOST_RESIDUE = 0.05
"""More than this share of the target left over is refused: verdicts on such a network would be read as if its size
were held equal, and it is not."""

_STEP = 10_000
"""Widths are tried to four decimals, at which even 1,000 channels change one by one."""
_WIDEST = 1_000
_BEYOND = 10**30
"""Stands for the count of a network that is too wide to be built."""


def expand(entries: Sequence[ModelEntry], catalog: Catalog) -> list[Variant]:
    """Every variant of every entry, in their order, the widths of those that are matched found.

    Raises:
        InputError: with its place, where a match is wrong or no width comes near enough to it.
    """
    given = {number: list(entry.variants(catalog)) for number, entry in enumerate(entries) if not entry.match}
    to_match = [variant for entry in entries if entry.match for variant in entry.variants(catalog)]
    if not to_match:
        return [variant for variants in given.values() for variant in variants]
    targets = PatternIndex([variant for variants in given.values() for variant in variants], catalog)
    matched = PatternIndex(to_match, catalog)

    # Axes of recipe and data repeat the same networks.
    counts: dict[tuple[str, DataSpec, Size], int] = {}

    def count(model: ModelSpec, data: DataSpec, size: Size) -> int:
        key = (repr(model.identity()), data, size)
        if key not in counts:
            counts[key] = catalog.count(model, data, size)
        return counts[key]

    def found(entry: ModelEntry) -> list[Variant]:
        assert entry.match is not None
        size, node = _read(entry.match)
        pattern = read_pattern(node, targets)

        def find(variant: Variant) -> Match:
            target = _target(node, pattern, variant, targets, matched)
            try:
                return _match(variant, target, size, node, count, catalog)
            except SpecError as error:
                raise variant.refused(error) from error

        return list(entry.variants(catalog, find))

    every = [given[number] if number in given else found(entry) for number, entry in enumerate(entries)]
    return [variant for variants in every for variant in variants]


def _read(match: Node) -> tuple[Size, Node]:
    """What is matched, and the pattern of the variant that it is matched to."""
    fields = match.mapping("a match", SIZES)
    if len(fields) != 1:
        raise match.error(f"names {len(fields)} sizes; give one of {', '.join(SIZES)}, and a pattern")
    return next((size, fields[size]) for size in SIZES if size in fields)


def _target(node: Node, pattern: Point, variant: Variant, targets: PatternIndex, matched: PatternIndex) -> Variant:
    """The variant to match, of the same data; where recipes repeat its network, the one of the same recipe."""
    found = [targets.variants[position] for position in sorted(targets.matching(pattern))]
    if not found and matched.matching(pattern):
        raise node.error("matches only variants that are matched themselves; name one whose width is given")
    alike = [other for other in found if other.data == variant.data]
    if not alike or any(other.model != alike[0].model for other in alike):
        names = some_of([other.label for other in alike or targets.variants])
        raise node.error(f"matches {len(alike)} variants, must match exactly one of: {names or 'none'}")
    return next((other for other in alike if other.recipe == variant.recipe), alike[0])


def _match(
    variant: Variant,
    target: Variant,
    size: Size,
    node: Node,
    count: Callable[[ModelSpec, DataSpec, Size], int],
    catalog: Catalog,
) -> Match:
    model = variant.model
    if "width" not in model.arguments:
        has = ", ".join(model.arguments) or "none"
        raise node.key_error(f"{model.name} has no width to match it by (its arguments: {has}); leave match out")

    def count_at(width: float) -> int:
        return count(catalog.resolve_model(model.name, {**model.arguments, "width": width}), variant.data, size)

    aim = count(target.model, target.data, size)
    count_at(1.0)  # whatever else is wrong with it is said here, of the width that it has without match
    width = nearest_width(count_at, aim)
    match = Match(size, target.label, width, aim, count_at(width))
    if abs(match.residue) > MOST_RESIDUE:
        raise _too_far(node, variant, match)
    return match


def _too_far(node: Node, variant: Variant, match: Match) -> InputError:
    return node.error(
        f"{variant.label} comes no nearer to the {match.target:,} {match.size} of {match.to} than "
        f"{match.reached:,}, at width {match.width:g}; within {MOST_RESIDUE:.0%} is asked for, "
        "so change another argument of either, or match another variant"
    )


def nearest_width(count: Callable[[float], int], target: int) -> float:
    """The width whose count is nearest to the target, written with as few decimals as give that count.

    Args:
        count: never falls as the width grows; it raises SpecError of `width` where there is no such network.
        target: the count to come near to.
    """

    @cache
    def at(step: int) -> int:
        try:
            return count(step / _STEP)
        except SpecError as error:
            if error.field != "width":
                raise
            return 0 if step < _STEP else _BEYOND

    above = bisect_left(range(1, _WIDEST * _STEP), target, key=lambda step: at(step)) + 1
    step = min((above - 1, above), key=lambda step: (abs(at(step) - target) if at(step) else math.inf, step))
    units = (10**digits for digits in (4, 3, 2, 1, 0))
    rounder = (end for unit in units for end in (step - step % unit, step + -step % unit))
    return next((other for other in rounder if other and at(other) == at(step)), step) / _STEP
