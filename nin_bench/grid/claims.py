"""Baseline, hypotheses and references, their patterns resolved; when claims are looked at; probes checked."""

from collections.abc import Sequence
from typing import Any

from nin_bench.errors import shown, unknown_name
from nin_bench.grid.entries import Pattern
from nin_bench.grid.file import GridFile, HypothesisEntry, ReferenceEntry, UntilEntry
from nin_bench.grid.patterns import PatternIndex, comparable, the_only
from nin_bench.grid.refusals import Refusals
from nin_bench.grid.variants import Variant
from nin_bench.grid.yaml_source import Node
from nin_bench.metrics import METRICS
from nin_bench.results.probes import Probes
from nin_bench.results.schema import ClaimPoint, Hypothesis, Reference, UntilDecided
from nin_bench.stats.looks import looks


def resolve_hypothesis(entry: HypothesisEntry, node: Node, index: PatternIndex) -> Hypothesis:
    """A hypothesis with the variants that its patterns match.

    Raises:
        InputError: a pattern matches none, or several; both sides are the same; `over` names no axis.
    """
    given = entry.model_dump(include={"id", "primary", "metric", "over", "expect", "margin", "factor"})
    if entry.of and entry.kinds:
        label = index.the_one(entry.of, node.at("of")).label
        return Hypothesis(
            claim=entry.claim, compare=(label, label), kinds=(entry.kinds[0], entry.kinds[1]), **given
        )
    if entry.over:
        _check_axis(entry.over, node.at("over"), index)
    refusals = Refusals()
    sides: dict[str, list[_Side]] = {}
    for field, patterns in (("compare", entry.compare), ("minus", entry.minus)):
        for number, pattern in enumerate(patterns or ()):
            with refusals.gather():
                side = _side(pattern, node.at(field, number), index, entry.over)
                sides.setdefault(field, []).append(side)
    refusals.raise_any()
    first = sides["compare"][0]
    for field, pair in sides.items():
        for number, side in enumerate(pair):
            for value in [one for one in (*first, *side) if one not in first or one not in side]:
                message = (
                    f"one side has a variant with {entry.over} = {shown(value[1])}, another has none; exclude it"
                )
                raise node.at(field, number).error(message)
        for value in first:
            if pair[0][value] is pair[1][value]:
                raise node.at(field).error(f"both sides are {pair[0][value].label!r}; compare two variants")
    points = [
        ClaimPoint(value=value[1], **{field: (a[value].label, b[value].label) for field, (a, b) in sides.items()})
        for value in first
    ]
    if points[0].minus == points[0].compare:
        raise node.at("minus").error("the same two as in compare; take away another difference")
    return Hypothesis(
        claim=entry.claim,
        compare=points[0].compare,
        minus=points[0].minus,
        points=tuple(points) if entry.over else (),
        **given,
    )


_Side = dict[tuple[bool, Any], Variant]
"""The variants of one side of a claim by their value on its axis, as `comparable` gives it; None without one."""


def _side(pattern: Pattern, node: Node, index: PatternIndex, axis: str | None) -> _Side:
    """The one variant that a pattern matches or, over an axis, the one for each of its values."""
    if axis is None:
        return {comparable(None): index.the_one(pattern, node)}
    if axis in pattern.wanted():
        raise node.error(f"names {axis}, whose values `over` takes in turn; leave it out")
    index.check(pattern, node)
    found: dict[tuple[bool, Any], list[Variant]] = {}
    for position in index.matching(pattern):
        variant = index.variants[position]
        found.setdefault(comparable(variant.values.get(axis)), []).append(variant)
    if len(found) < 2:
        raise node.error(f"matches variants with {len(found)} values of {axis}; match one for each of several")
    return {
        value: the_only(alike, node, index.variants, f" with {axis} = {shown(value[1])}")
        for value, alike in found.items()
    }


def _check_axis(axis: str, node: Node, index: PatternIndex) -> None:
    """Refuse to judge over what is the same in all variants; InputError with what is not."""
    fields = dict.fromkeys(key for variant in index.variants for key in variant.values)
    axes = [key for key in fields if len({comparable(variant.values.get(key)) for variant in index.variants}) > 1]
    if axis not in axes:
        raise node.error(unknown_name("axis", axis, axes))


def resolve_reference(entry: ReferenceEntry, node: Node, index: PatternIndex) -> Reference:
    """A reference with the variant that its pattern matches; InputError where one matches none, or several."""
    variant = index.the_one(entry.model, node.at("model"))
    return Reference(model=variant.label, **entry.model_dump(exclude={"model"}))


def check_probes(probes: Probes | None, node: Node, variants: Sequence[Variant]) -> None:
    """Refuse to move images by so much that nothing of the smallest is left; InputError with its place."""
    smallest = min(variant.data.resolution or 1 for variant in variants)
    for number, pixels in enumerate(probes.shift if probes else ()):
        if pixels >= smallest:
            raise node.at("shift", number).error(
                f"{pixels} leaves nothing of images of {smallest}×{smallest}; use less than {smallest}"
            )


def until_decided(file: GridFile, root: Node) -> UntilDecided:
    """When the claims are looked at; InputError where no claim waits for seeds."""
    assert isinstance(file.seeds, UntilEntry)
    if not any(one.primary and METRICS[one.metric].kind in ("quality", "rate") for one in file.hypotheses):
        raise root.at("seeds").error(
            "until decided, but no primary hypothesis is judged over seeds; add one, or give a number of seeds"
        )
    at_most = file.seeds.at_most
    return UntilDecided(at_most=at_most, looks=tuple(look.n for look in looks(at_most)))


def resolve_baseline(file: GridFile, root: Node, index: PatternIndex) -> str | None:
    """The label of the variant that the grid names or, without a name, of the one that `ablate` starts from."""
    if file.baseline:
        return index.the_one(file.baseline, root.at("baseline")).label
    if file.ablate is None:
        return None
    own = [one.label for one in index.variants if one.entry is root.at("ablate", "of")]
    return own[0] if len(own) == 1 else None
