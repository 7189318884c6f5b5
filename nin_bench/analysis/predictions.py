"""What stored predictions tell: the test images' own uncertainty, and which classes are taken for which."""

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt
from scipy.sparse import csr_array

from nin_bench.analysis.tables import VariantRow
from nin_bench.analysis.verdicts import Verdict
from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError
from nin_bench.results import Record, Results, ResultsFolder
from nin_bench.results.predictions import Predictions, check_predictions
from nin_bench.results.schema import PlannedId, ResolvedGrid
from nin_bench.stats.images import ImageError, image_error

MOST_VARIANTS = 24
"""Whose predictions are read beside those of the hypotheses, in the grid's order: each takes some milliseconds."""
MOST_SEEDS = 20
"""Networks of a variant, of those that did not fail, that are read for them."""
MOST_CLASSES = 20
"""With more classes, only the largest entries of a confusion matrix are kept."""
NUM_PAIRS = 3


@dataclass(frozen=True)
class Confusion:
    """Which classes a variant's networks take for which: of those that did not fail and lost the same classes.

    Networks that lost different classes have nothing in common that a mean could show. The largest such group is
    taken, of equally large ones that which lost fewest classes.
    """

    variant_id: str
    label: str
    num_cells: int
    """Networks of the group."""
    num_known: int
    """Networks that did not fail and whose predictions are stored."""
    lost: list[str]
    """Classes that all networks of the group never predict."""
    classes: list[str]
    matrix: list[list[float]] | None
    """Shares of each class's images (rows) by what was predicted (columns; the last one: nothing), the mean over
    the group; None with many classes."""
    pairs: list[tuple[str, str, float]]
    """The most frequent: true class, predicted class, share of the true class's images."""


@dataclass(frozen=True)
class Stored:
    """Predictions of a results folder, read when they are asked for."""

    results: Results
    left_out: list[str] = field(default_factory=list)
    """A sentence for each file that was not used."""

    @cached_property
    def places(self) -> dict[str, PlannedId]:
        """Label, seed and variant of each planned cell, by its id."""
        return {cell.cell_id: cell for cell in self.results.grid.cells}

    def of(self, record: Record) -> "Predictions | None":
        """What a record's network said of the test images; None where nothing whole is stored."""
        cell_id = record.cell_id
        try:
            found = ResultsFolder(self.results.folder).read_predictions(cell_id)
            if found is not None:
                check_predictions(found, record)
                if found["label"].min() < 0:
                    raise DamagedFileError("names a class below 0")
        except (DamagedFileError, ResultsError) as damage:
            why = "the system refused to read it" if isinstance(damage, ResultsError) else f"it {damage}"
            sentence = f"predictions/{cell_id}.npz was left out: {why}."
            if sentence not in self.left_out:
                self.left_out.append(sentence)
            return None
        return found


def image_errors(stored: Stored, verdicts: Sequence[Verdict]) -> dict[str, ImageError]:
    """What the test images leave open, by hypothesis on test accuracy, over pairs in which no network failed."""
    records = {
        (place.label, place.seed): record
        for record in stored.results.records
        for place in [stored.places[record.cell_id]]
    }
    found: dict[str, ImageError] = {}
    for verdict in verdicts:
        if verdict.metric != "test_accuracy" or verdict.verdict == "not testable":
            continue
        error = _image_error(stored, [
            [records[label, seed] for label in verdict.compare] for seed in verdict.pairs
        ])  # fmt: skip
        if error is not None:
            found[verdict.id] = error
    return found


def _image_error(stored: Stored, pairs: Sequence[Sequence[Record]]) -> ImageError | None:
    correct: list[list[npt.NDArray[np.bool_]]] = []
    labels: npt.NDArray[Any] | None = None
    for pair in pairs:
        if not all(record.metrics.failed is False for record in pair):
            continue
        predicted = [stored.of(record) for record in pair]
        known = [one for one in predicted if one is not None]
        if len(known) < 2:
            continue
        if labels is None:
            labels = known[0]["label"]
        if not all(np.array_equal(one["label"], labels) for one in known):
            continue  # of another test set
        correct.append([(one["predicted"] == one["label"]) & (one["credit"] == 1) for one in known])
    if not correct or labels is None or len(labels) < 2:
        return None
    a, b = (np.array([pair[side] for pair in correct]) for side in (0, 1))
    return image_error(a, b)


def count_confusions(stored: Stored, rows: Sequence[VariantRow]) -> list[Confusion]:
    """Confusions by variant; one is left out if no predictions of a network that did not fail are stored."""
    learned: dict[str, list[Record]] = {}
    for record in stored.results.records:
        if record.outcome == "trained" and record.metrics.failed is False:
            learned.setdefault(stored.places[record.cell_id].variant_id, []).append(record)
    found = []
    for row in rows[:MOST_VARIANTS]:
        predictions = [stored.of(record) for record in learned.get(row.variant_id, [])[:MOST_SEEDS]]
        known = [one for one in predictions if one is not None]
        sizes = {num_classes_in(one) for one in known}
        if len(sizes) != 1:
            continue
        names = class_names(stored.results.grid, sizes.pop())
        groups: dict[tuple[int, ...], list[csr_array]] = {}
        for one in known:
            groups.setdefault(never_predicted(one), []).append(_matrix(one, len(names)))
        lost, group = max(groups.items(), key=lambda item: (len(item[1]), -len(item[0])))
        matrix = csr_array(sum(group[1:], group[0]))
        matrix.data = matrix.data / len(group)  # SciPy would multiply by the reciprocal
        found.append(
            Confusion(
                variant_id=row.variant_id,
                label=row.label,
                num_cells=len(group),
                num_known=len(known),
                lost=[names[number] for number in lost],
                classes=list(names),
                matrix=np.asarray(matrix.toarray(), float).tolist() if len(names) <= MOST_CLASSES else None,
                pairs=_largest(matrix, names),
            )
        )
    return found


def never_predicted(predictions: Predictions) -> tuple[int, ...]:
    """The test images' classes that are never predicted."""
    unique = predictions["credit"] == 1
    return tuple(sorted(set(predictions["label"].tolist()) - set(predictions["predicted"][unique].tolist())))


def _matrix(predictions: Predictions, num_classes: int) -> csr_array:
    """Shares by true and predicted class; sparse, since there may be thousands of classes, and few confusions."""
    label = predictions["label"].astype(np.int64)
    nothing = (predictions["credit"] < 1) | (predictions["predicted"] < 0)
    columns = np.where(nothing, num_classes, predictions["predicted"])
    places, counts = np.unique(label * (num_classes + 1) + columns, return_counts=True)
    rows = places // (num_classes + 1)
    shares = counts / np.bincount(label, minlength=num_classes)[rows]
    return csr_array((shares, (rows, places % (num_classes + 1))), shape=(num_classes, num_classes + 1))


def _largest(matrix: csr_array, names: Sequence[str]) -> list[tuple[str, str, float]]:
    columns = [*names, "nothing"]
    entries = matrix.tocoo()
    wrong = [
        (-float(share), int(row), int(column))
        for row, column, share in zip(entries.row, entries.col, entries.data, strict=True)
        if row != column and share
    ]
    return [(names[row], columns[column], -share) for share, row, column in sorted(wrong)[:NUM_PAIRS]]


def num_classes_in(predictions: Predictions) -> int:
    """How many classes the test images and what was said of them name."""
    return int(max(predictions["label"].max(), predictions["predicted"].max())) + 1


def class_names(grid: ResolvedGrid, num_classes: int) -> Sequence[str]:
    """The names of the dataset's classes; numbers, if the grid's variants see several datasets or more classes."""
    names = grid.class_names or ()
    return names if len(names) >= num_classes else [str(number) for number in range(num_classes)]
