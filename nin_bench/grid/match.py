"""Matched controls: the width at which a network is as large as another, in parameters or in MACs.

A network is counted, not estimated, at every width that is tried. Its width then is an argument like any other:
the variant's label and id say what is trained.
"""

import math
from bisect import bisect_left
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import cache

from nin_bench.cell import DataSpec, ModelSpec
from nin_bench.errors import SpecError
from nin_bench.grid.entries import Catalog, Pattern, Size
from nin_bench.grid.patterns import PatternIndex, the_only
from nin_bench.grid.refusals import Refusals
from nin_bench.grid.variants import Draft, Variant
from nin_bench.grid.yaml_source import Node
from nin_bench.results.schema import Match

MOST_RESIDUE = 0.05
"""More than this share of the target left over is refused: verdicts on such a network would be read as if its size
were held equal, and it is not."""

MOST_COUNTED = 100
"""Networks that are counted to find equal ones."""

_STEP = 10_000
"""Widths are tried to four decimals, at which even 1,000 channels change one by one."""
_WIDEST = 1_000
_BEYOND = 10**30
"""Stands for the count of a network that is too wide to be built."""


def find_widths(drafts: Sequence[Draft], kept: Sequence[Draft], catalog: Catalog) -> list[Variant]:
    """The variants that are kept, the widths of those that are matched found; targets are looked for among all.

    Raises:
        InputError: with its place, where a match is wrong or no width comes near enough to it.
    """
    every = PatternIndex([draft.variant for draft in drafts])
    given = PatternIndex([draft.variant for draft in drafts if not draft.entry.file.match])
    matched = PatternIndex([draft.variant for draft in drafts if draft.entry.file.match])
    compared = {id(draft.variant) for draft in kept}

    # Axes of recipe and data repeat the same networks.
    counts: dict[tuple[str, DataSpec, Size], int] = {}

    def count(model: ModelSpec, data: DataSpec, size: Size) -> int:
        key = (repr(model.identity()), data, size)
        if key not in counts:
            counts[key] = catalog.count(model, data, size)
        return counts[key]

    def with_width(draft: Draft) -> Variant:
        assert draft.entry.file.match is not None
        size, pattern = draft.entry.file.match.target
        node = draft.entry.node.at("match", size)
        every.check(pattern, node)
        target = _target(pattern, node, draft.variant, given, matched)
        if id(target) not in compared:
            raise draft.entry.node.at("match").error(f"{target.label} is excluded; match one that is compared")
        try:
            match = _match(draft.variant, target, size, node, count, catalog)
        except SpecError as error:
            raise draft.variant.refused(error) from error
        return draft.entry.with_width(draft.variant, match, catalog)

    refusals = Refusals()
    found = []
    for draft in kept:
        with refusals.gather():
            found.append(with_width(draft) if draft.entry.file.match else draft.variant)
    refusals.raise_any()
    return found


def _target(pattern: Pattern, node: Node, variant: Variant, given: PatternIndex, matched: PatternIndex) -> Variant:
    """The variant to match, of the same data; where recipes repeat its network, the one of the same recipe."""
    found = [given.variants[position] for position in given.matching(pattern)]
    if not found and matched.matching(pattern):
        raise node.error("matches only variants that are matched themselves; name one whose width is given")
    alike = [other for other in found if other.data == variant.data]
    if any(other.model != alike[0].model for other in alike[1:]) or not alike:
        return the_only(alike, node, given.variants)
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
    reached = count_at(width)
    residue = (reached - aim) / aim
    match = Match(size=size, to=target.label, width=width, target=aim, reached=reached, residue=residue)
    if abs(match.residue) > MOST_RESIDUE:
        raise node.error(
            f"{variant.label} width={width:g} is the nearest to the {aim:,} {size} of {target.label}, and has "
            f"{match.reached:,}; at most {MOST_RESIDUE:.0%} may differ, so change another argument of either, "
            "or match another variant"
        )
    return match


def same_networks(variants: Sequence[Variant], catalog: Catalog) -> list[str]:
    """A note for each width at which a network is the same as at a smaller one, since both round to its channels.

    The count of parameters never falls as the width grows, so that an equal count is an equal network. Grids with
    more than 100 widths are left aside: counting them would take longer than reading the grid.
    """
    widths: dict[tuple[object, ...], dict[float, Variant]] = {}
    for variant in variants:
        others = {key: value for key, value in variant.model.arguments.items() if key != "width"}
        if len(others) < len(variant.model.arguments):
            alike = widths.setdefault((variant.model.name, repr(others), variant.data), {})
            alike.setdefault(variant.values["width"], variant)
    several = [alike for alike in widths.values() if len(alike) > 1]
    notes = []
    for alike in several if sum(map(len, several)) <= MOST_COUNTED else ():
        counted: dict[int, Variant] = {}
        for _, variant in sorted(alike.items()):
            with suppress(SpecError):  # it cannot be built, which is refused at its place
                first = counted.setdefault(catalog.count(variant.model, variant.data, "num_params"), variant)
                if first is not variant:
                    node = variant.fields.get("width", variant.entry)
                    notes.append(
                        str(
                            node.error(
                                f"{variant.label} is the same network as {first.label}: both widths "
                                "round to the same channels"
                            )
                        )
                    )
    return notes


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
