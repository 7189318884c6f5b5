"""What trained networks answered to a grid's probes: moved test images, other sizes, class maps."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from nin_bench.analysis.predictions import class_names
from nin_bench.analysis.tables import MissingSeeds, Spread
from nin_bench.results import Record, Results
from nin_bench.results.probes import ProbedAccuracy, ProbeFile
from nin_bench.results.schema import ResolvedVariant
from nin_bench.stats.claims import ALPHA, Interval
from nin_bench.stats.paired_test import TestName, is_heavy_tailed, paired_test

Kind = Literal["shift", "resolution"]


@dataclass(frozen=True)
class ProbePoint:
    """A variant's networks on test images that were changed by so much."""

    at: int
    """Pixels that they were moved by, or their size in pixels."""
    accuracy: Spread
    change: float | None
    """Typical difference to the same network's accuracy on the test images as they are; None without a network."""
    interval: Interval | None
    """The interval of the change, at the level of all; None if so few networks bound nothing."""
    test: TestName | None
    not_possible: str | None
    """Why its networks cannot take such images."""


@dataclass(frozen=True)
class ProbedVariant:
    """What a variant's networks answered."""

    variant_id: str
    label: str
    own_resolution: int | None
    """The size of the images that they were trained on, in pixels."""
    shift: list[ProbePoint]
    resolution: list[ProbePoint]


@dataclass(frozen=True)
class MappedImage:
    """A test image, and what each class's map shows on it."""

    label: str
    """The class of the image."""
    thumbnail: str
    """The image as in `ImageMaps.thumbnail`."""
    maps: list[list[list[float]]]
    """The maps of the first classes, (classes, height, width)."""


@dataclass(frozen=True)
class MappedNetwork:
    """The class maps of one network of a variant: the first seed that did not fail, if there is one."""

    variant_id: str
    label: str
    cell_id: str
    seed: int
    classes: list[str]
    """Whose maps are given."""
    images: list[MappedImage]


@dataclass(frozen=True)
class ProbeAnswers:
    """What came of a grid's probes."""

    level: float
    """5 % divided by the number of changes (Bonferroni): their intervals hold together."""
    variants: list[ProbedVariant]
    """The variants of which a network answered, in the grid's order."""
    networks: list[MappedNetwork]
    without_maps: list[str]
    """Labels of variants whose class scores are not the means of class maps, where maps were asked for."""
    lacking: list[MissingSeeds]
    """Networks that were trained and did not answer."""


def find_probes(results: Results) -> ProbeAnswers | None:
    """What came of the probes; None if the grid asks for none."""
    asked = results.grid.probes
    if asked is None:
        return None
    planned = {cell.cell_id: cell for cell in results.grid.cells}
    answered: dict[str, list[tuple[Record, ProbeFile]]] = {}
    lacking: dict[str, list[int]] = {}
    for record in results.records:
        cell = planned[record.cell_id]
        found = results.probes.get(record.cell_id)
        if found is not None and found.asked.covers(asked):
            answered.setdefault(cell.variant_id, []).append((record, found))
        elif record.outcome == "trained":
            lacking.setdefault(cell.label, []).append(cell.seed)
    variants = [one for one in results.grid.variants if one.variant_id in answered]
    num_changes = len(variants) * (sum(pixels > 0 for pixels in asked.shift) + len(asked.resolution))
    level = ALPHA / max(num_changes, 1)

    def points(variant: ResolvedVariant, kind: Kind) -> list[ProbePoint]:
        return [_point(answered[variant.variant_id], kind, at, level) for at in getattr(asked, kind)]

    mapped = {one.label: _network(results, one, answered[one.variant_id]) for one in variants}
    return ProbeAnswers(
        level=level,
        variants=[
            ProbedVariant(
                variant_id=one.variant_id,
                label=one.label,
                own_resolution=one.data.resolution,
                shift=points(one, "shift"),
                resolution=points(one, "resolution"),
            )
            for one in variants
        ],
        networks=[network for network in mapped.values() if network],
        without_maps=[label for label, network in mapped.items() if network is None] if asked.class_maps else [],
        lacking=[MissingSeeds(label, seeds) for label, seeds in lacking.items()],
    )


def _point(answered: Sequence[tuple[Record, ProbeFile]], kind: Kind, at: int, level: float) -> ProbePoint:
    answers = [(record, _answer(found, kind, at)) for record, found in answered]
    known = [(record, one.accuracy) for record, one in answers if one.accuracy is not None]
    accuracies = [accuracy for _, accuracy in known]
    before = [record.metrics.test_accuracy or 0.0 for record, _ in known]
    test = None
    if known:
        failed = [bool(record.metrics.failed or record.metrics.num_lost_classes) for record, _ in known]
        changes = [after - own for after, own in zip(accuracies, before, strict=True)]
        test = paired_test(changes, heavy_tailed=is_heavy_tailed([accuracies, before], failed))
    return ProbePoint(
        at=at,
        accuracy=Spread.of(accuracies),
        change=test.estimate if test else None,
        interval=test.bounded(level) if test else None,
        test=test.test if test else None,
        not_possible=next((one.not_possible for _, one in answers if one.not_possible), None),
    )


def _answer(found: ProbeFile, kind: Kind, at: int) -> ProbedAccuracy:
    answers: Sequence[ProbedAccuracy] = getattr(found, kind)
    return next(one for one in answers if one.at == at)


def _network(
    results: Results, variant: ResolvedVariant, answered: Sequence[tuple[Record, ProbeFile]]
) -> MappedNetwork | None:
    """The network whose maps are shown; None if the variant's networks have none."""
    with_maps = [(record, found) for record, found in answered if found.class_maps]
    if not with_maps:
        return None
    record, found = min(with_maps, key=lambda one: (one[0].metrics.failed is not False, one[0].cell.seed))
    most = max(len(found.class_maps[0].maps), *(one.label + 1 for one in found.class_maps))
    names = class_names(results.grid, most)
    return MappedNetwork(
        variant_id=variant.variant_id,
        label=variant.label,
        cell_id=record.cell_id,
        seed=record.cell.seed,
        classes=list(names[: len(found.class_maps[0].maps)]),
        images=[
            MappedImage(names[one.label], one.thumbnail, [[list(row) for row in rows] for rows in one.maps])
            for one in found.class_maps
        ],
    )
