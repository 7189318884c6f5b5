"""What stored predictions tell: the test images' own uncertainty, confusions, and what dead class maps cost."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
import numpy.typing as npt

from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError
from nin_bench.report.class_names import class_names
from nin_bench.report.hypotheses import Verdict
from nin_bench.report.tables import VariantRow
from nin_bench.results import Record, Results, ResultsFolder
from nin_bench.results.stored import Predictions, check_predictions
from nin_bench.stats import ImageError, image_error

MOST_VARIANTS = 24
"""Whose confusions are counted, in the grid's order; reading predictions takes some milliseconds a cell."""
MOST_SEEDS = 20
"""Healthy cells of a variant that are read for them."""
MOST_CLASSES = 20
"""Beyond which a confusion matrix is told by its largest entries alone."""
MOST_CLASS_NUMBERS = 1000
"""As many classes as any dataset here could have; a file that names more would take memory without end."""
NUM_PAIRS = 3


@dataclass(frozen=True)
class Confusion:
    """Which classes a variant's healthy networks take for which."""

    variant_id: str
    label: str
    num_cells: int
    classes: list[str]
    matrix: list[list[float]] | None
    """Shares of each class's images (rows) by what was predicted (columns; the last one: nothing), the mean over
    cells; None with many classes."""
    pairs: list[tuple[str, str, float]]
    """The most frequent: true class, predicted class, share of the true class's images."""


@dataclass(frozen=True)
class Autopsy:
    """A cell that ended with dead class maps."""

    label: str
    seed: int
    classes: list[str] | None
    """Whose maps are dead; None where that cannot be told."""
    died_after: dict[str, int] | None
    """The epoch after which each was dead for good, on validation images; None where records do not tell."""
    images_lost: float | None
    """The share of test images that belong to these classes: each is classified wrongly."""
    no_prediction: float | None
    """The share of test images on which every map was silent."""
    accuracy: float
    accuracy_of_others: float | None
    """On the test images of the classes that live."""


@dataclass(frozen=True)
class Stored:
    """Predictions of a results folder, read when they are asked for."""

    results: Results
    left_out: list[str] = field(default_factory=list)
    """A sentence for each file that was not used."""

    @cached_property
    def places(self) -> dict[str, dict[str, Any]]:
        """Label, seed and variant of each planned cell, by its id."""
        return {cell["cell_id"]: cell for cell in self.results.grid["cells"]}

    def of(self, record: Record) -> Predictions | None:
        """What a record's network said of the test images; None where nothing whole is stored."""
        cell_id = record["cell_id"]
        try:
            found = ResultsFolder(self.results.folder).read_predictions(cell_id)
            if found is not None:
                check_predictions(found, record)
                if found["label"].min() < 0 or _num_classes(found) > MOST_CLASS_NUMBERS:
                    raise DamagedFileError(f"names classes beyond 0 to {MOST_CLASS_NUMBERS - 1}")
        except (DamagedFileError, ResultsError) as damage:
            sentence = f"predictions/{cell_id}.npz was left out: it {damage}."
            if sentence not in self.left_out:
                self.left_out.append(sentence)
            return None
        return found


def image_errors(stored: Stored, verdicts: Sequence[Verdict]) -> dict[str, dict[str, Any]]:
    """By hypothesis on test accuracy: what the test images leave open, over the pairs of healthy networks."""
    records = {
        (place["label"], place["seed"]): record
        for record in stored.results.records
        for place in [stored.places[record["cell_id"]]]
    }
    found: dict[str, dict[str, Any]] = {}
    for verdict in verdicts:
        if verdict.metric != "test_accuracy" or verdict.verdict == "not testable":
            continue
        error = _image_error(stored, [
            [records[label, seed] for label in verdict.compare] for seed in verdict.details["seeds"]
        ])  # fmt: skip
        if error is not None:
            found[verdict.id] = asdict(error)
    return found


def _image_error(stored: Stored, pairs: Sequence[Sequence[Record]]) -> ImageError | None:
    correct: list[list[npt.NDArray[np.bool_]]] = []
    labels: npt.NDArray[Any] | None = None
    for pair in pairs:
        if not all(record["metrics"].get("healthy") for record in pair):
            continue
        predicted = [stored.of(record) for record in pair]
        known = [one for one in predicted if one is not None]
        if len(known) < 2:
            continue
        if labels is None:
            labels = known[0]["label"]
        if not all(np.array_equal(one["label"], labels) for one in known):
            continue  # of another test set
        correct.append([one["predicted"] == one["label"] for one in known])
    if not correct or labels is None or len(labels) < 2:
        return None
    a, b = (np.array([pair[side] for pair in correct]) for side in (0, 1))
    return image_error(a, b)


def count_confusions(stored: Stored, rows: Sequence[VariantRow]) -> list[Confusion]:
    """Confusions by variant; those of which no healthy cell's predictions are stored are left out."""
    healthy: dict[str, list[Record]] = {}
    for record in stored.results.records:
        if record["outcome"] == "trained" and record["metrics"].get("healthy"):
            healthy.setdefault(stored.places[record["cell_id"]]["variant_id"], []).append(record)
    found = []
    for row in rows[:MOST_VARIANTS]:
        predictions = [stored.of(record) for record in healthy.get(row.variant_id, [])[:MOST_SEEDS]]
        known = [one for one in predictions if one is not None]
        sizes = {_num_classes(one) for one in known}
        if len(sizes) != 1:
            continue
        names = class_names(_dataset(stored.results, row.variant_id), sizes.pop())
        matrix = np.mean([_matrix(one, len(names)) for one in known], axis=0)
        found.append(
            Confusion(
                variant_id=row.variant_id,
                label=row.label,
                num_cells=len(known),
                classes=names,
                matrix=matrix.tolist() if len(names) <= MOST_CLASSES else None,
                pairs=_largest(matrix, names),
            )
        )
    return found


def _matrix(predictions: Predictions, num_classes: int) -> npt.NDArray[np.float64]:
    label, predicted = predictions["label"], predictions["predicted"]
    counts = np.zeros((num_classes, num_classes + 1))
    np.add.at(counts, (label, np.where(predicted < 0, num_classes, predicted)), 1)
    shares: npt.NDArray[np.float64] = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    return shares


def _largest(matrix: npt.NDArray[np.float64], names: Sequence[str]) -> list[tuple[str, str, float]]:
    wrong = matrix.copy()
    np.fill_diagonal(wrong, 0)
    order = np.argsort(-wrong, axis=None, kind="stable")[:NUM_PAIRS]
    places = [divmod(int(place), wrong.shape[1]) for place in order]
    columns = [*names, "nothing"]
    return [
        (names[row], columns[column], float(wrong[row, column])) for row, column in places if wrong[row, column]
    ]


def autopsies(stored: Stored) -> list[Autopsy]:
    """Every trained cell with dead class maps, in the grid's order."""
    dead = [record for record in stored.results.records if record["metrics"].get("num_dead_maps")]
    return [_autopsy(stored, record) for record in dead if record["outcome"] == "trained"]


def _autopsy(stored: Stored, record: Record) -> Autopsy:
    metrics, predictions, place = record["metrics"], stored.of(record), stored.places[record["cell_id"]]
    named = metrics.get("dead_maps")
    classes: list[int] | None = None if named is None else list(named)
    lost = silent = others = None
    num_classes = max(classes or [0]) + 1
    if predictions is not None:
        label, predicted = predictions["label"], predictions["predicted"]
        num_classes = max(num_classes, _num_classes(predictions))
        never = sorted(set(range(num_classes)) - set(predicted.tolist()))
        if classes is None and len(never) == metrics["num_dead_maps"]:
            classes = never  # a dead map is never the largest
        silent = float((predicted < 0).mean())
        if classes is not None:
            of_dead = np.isin(label, classes)
            lost = float(of_dead.mean())
            others = float((predicted == label)[~of_dead].mean()) if not of_dead.all() else None
    names = class_names(_dataset(stored.results, place["variant_id"]), num_classes)
    return Autopsy(
        label=place["label"],
        seed=place["seed"],
        classes=None if classes is None else [names[number] for number in classes],
        died_after=_died_after(record, classes, names),
        images_lost=lost,
        no_prediction=silent,
        accuracy=metrics["test_accuracy"],
        accuracy_of_others=others,
    )


def _died_after(record: Record, classes: Sequence[int] | None, names: Sequence[str]) -> dict[str, int] | None:
    """The first epoch from which each class's map stays dead; none of one that validation images woke."""
    by_epoch = [row.get("dead_maps") for row in record["history"]]
    if not classes or not by_epoch or any(dead is None for dead in by_epoch):
        return None
    found = {}
    for number in classes:
        alive = [epoch for epoch, dead in enumerate(by_epoch, start=1) if number not in dead]
        if (last := max(alive, default=0)) < len(by_epoch):
            found[names[number]] = last + 1
    return found


def _num_classes(predictions: Predictions) -> int:
    return int(max(predictions["label"].max(), predictions["predicted"].max())) + 1


def _dataset(results: Results, variant_id: str) -> str | None:
    return next(
        (entry["data"].get("name") for entry in results.grid["variants"] if entry["variant_id"] == variant_id),
        None,
    )
