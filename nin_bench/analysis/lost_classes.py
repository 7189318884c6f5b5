"""Classes that a trained network never predicts: which, since when, what it costs, and how often it happens.

A dead class map is the strictest case: silent on every training image. A map that wakes for a handful of images is
not dead, and its class is lost all the same; and a dense head has no class maps, but may lose a class, too.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np

from nin_bench.analysis.predictions import Stored, class_names, never_predicted, num_classes_in
from nin_bench.results import Record


@dataclass(frozen=True)
class LostClasses:
    """A trained network that predicts some class for no test image, or ended with a dead class map."""

    cell_id: str
    label: str
    seed: int
    failed: bool | None
    classes: list[str] | None
    """Of the test images' classes, those never predicted; without predictions, those whose map is dead; None where
    neither tells."""
    dead_maps: list[str] | None
    """Classes whose map is dead; None if that is not known, or if there are no class maps."""
    died_after: dict[str, int] | None
    """The epoch after which each was dead for good, on validation images; None where records do not tell."""
    images_lost: float | None
    """The share of test images that belong to the lost classes: each is classified wrongly."""
    no_prediction: float | None
    """The share of test images on which every map was silent."""
    accuracy: float | None
    accuracy_of_others: float | None
    """On the test images of the other classes."""


@dataclass(frozen=True)
class LosingNetworks:
    """How many networks of a variant lost some class."""

    label: str
    num_lost: int
    num_known: int
    """Trained networks whose predictions are stored, or whose dead maps are known."""


def find_lost_classes(stored: Stored, labels: Collection[str]) -> tuple[list[LostClasses], list[LosingNetworks]]:
    """Every trained network of these variants that lost some class, in the grid's order, and how many did."""
    found, known = [], Counter[str]()
    for record in stored.results.records:
        label = stored.places[record.cell_id].label
        if record.outcome != "trained" or label not in labels:
            continue
        lost, is_known = _look(stored, record)
        known[label] += is_known
        if lost is not None:
            found.append(lost)
    num_lost = Counter(lost.label for lost in found)
    return found, [LosingNetworks(label, num_lost[label], of) for label, of in known.items() if of]


def _look(stored: Stored, record: Record) -> tuple[LostClasses | None, bool]:
    metrics, predictions, place = record.metrics, stored.of(record), stored.places[record.cell_id]
    num_dead = metrics.num_dead_maps
    dead = [] if num_dead == 0 else None if metrics.dead_maps is None else list(metrics.dead_maps)
    lost: list[int] | None = dead
    silent = share = others = None
    num_classes = max(dead or [0]) + 1
    if predictions is not None:
        label, predicted = predictions["label"], predictions["predicted"]
        num_classes = max(num_classes, num_classes_in(predictions))
        unique = predictions["credit"] == 1
        lost = list(never_predicted(predictions))
        silent = float((~unique).mean())
        of_lost = np.isin(label, lost)
        share = float(of_lost.mean())
        right = unique & (predicted == label)
        others = float(right[~of_lost].mean()) if not of_lost.all() else None
    if not lost and not num_dead:
        return None, lost is not None
    if dead is None and num_dead and lost is not None and len(lost) == num_dead:
        dead = lost  # a dead map is never the largest
    names = class_names(stored.results.grid, num_classes)
    return LostClasses(
        cell_id=record.cell_id,
        label=place.label,
        seed=place.seed,
        failed=metrics.failed,
        classes=None if lost is None else [names[number] for number in lost],
        dead_maps=None if dead is None else [names[number] for number in dead],
        died_after=_died_after(record, dead, names),
        images_lost=share,
        no_prediction=silent,
        accuracy=metrics.test_accuracy,
        accuracy_of_others=others,
    ), True


def _died_after(record: Record, dead: Sequence[int] | None, names: Sequence[str]) -> dict[str, int] | None:
    """The first epoch from which each class's map stays dead; none of one that validation images woke."""
    by_epoch = [row.dead_maps for row in record.history if row.dead_maps is not None]
    if not dead or not by_epoch or len(by_epoch) < len(record.history):
        return None
    found = {}
    for number in dead:
        alive = [epoch for epoch, maps in enumerate(by_epoch, start=1) if number not in maps]
        if (last := max(alive, default=0)) < len(by_epoch):
            found[names[number]] = last + 1
    return found
