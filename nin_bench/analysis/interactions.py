"""Two axes of one model in every combination: does what one choice does depend on the other?"""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from itertools import combinations

import pandas as pd

from nin_bench.analysis.cells import has_learned, numbers
from nin_bench.analysis.hypothesis_tests import Evidence
from nin_bench.analysis.names import Names
from nin_bench.analysis.pairs import Contrast, Pairs
from nin_bench.analysis.tables import Spread
from nin_bench.metrics import METRICS
from nin_bench.results import Results
from nin_bench.stats.claims import ALPHA, Interval
from nin_bench.stats.paired_test import TestName

LEAST_LEVELS = 2
_ACCURACY = METRICS["test_accuracy"]


@dataclass(frozen=True)
class Interaction:
    """How much more one choice changes beside another choice."""

    first: tuple[str, str]
    """The step on the first axis: from, to."""
    second: tuple[str, str]
    """The step on the second axis: from, to."""
    effect: float | None
    """What `first` changes test accuracy by at the second's end, less what it does at its start; None where no
    seed has all four networks."""
    interval: Interval | None
    """At `level`; None where so few seeds bound nothing."""
    level: float
    """5 % divided by the number of contrasts of the product (Bonferroni): their intervals hold together."""
    n: int
    """Seeds at which all four networks were trained or diverged."""
    test: TestName | None


@dataclass(frozen=True)
class ProductCell:
    """A variant of a product, and the test accuracy of its networks that did not fail."""

    levels: tuple[str, str]
    label: str
    mean: float | None
    sd: float | None
    n: int
    """Networks that did not fail."""
    num_trained: int


@dataclass(frozen=True)
class Product:
    """A full product of two axes of one model."""

    model: str
    axes: tuple[str, str]
    levels: tuple[list[str], list[str]]
    held: dict[str, str]
    """The model's other axes, at the value that they have here."""
    left_out: list[str]
    """Levels that were not combined with every level of the other axis."""
    cells: list["ProductCell"]
    """One for each pair of levels."""
    contrasts: list[Interaction]


def find_interactions(results: Results, names: Names) -> list[Product]:
    """The products in a grid's variants, by model and pair of axes, in the grid's order."""
    found: list[Product] = []
    models: dict[str, dict[str, Mapping[str, str]]] = {}
    for label, model in names.models.items():
        models.setdefault(model, {})[label] = names.fields[label]
    baseline = results.grid.baseline or ""
    evidence = Evidence.of(results)
    for model, variants in models.items():
        axes = names.axes[model]
        start = variants.get(baseline) or next(iter(variants.values()))
        for pair in combinations(axes, 2):
            held = {axis: start[axis] for axis in axes if axis not in pair}
            product = _product(results, evidence, model, pair, held, variants, start)
            if product is not None:
                found.append(product)
    return found


def _product(
    results: Results,
    evidence: Evidence,
    model: str,
    axes: tuple[str, str],
    held: dict[str, str],
    variants: Mapping[str, Mapping[str, str]],
    start: Mapping[str, str],
) -> Product | None:
    labels = {
        (fields[axes[0]], fields[axes[1]]): label
        for label, fields in variants.items()
        if all(fields[axis] == value for axis, value in held.items())
    }
    levels = _full(labels)
    if levels is None:
        return None
    accuracies = {key: _by_seed(results, labels[key]) for key in labels}
    seen = [list(dict.fromkeys(key[side] for key in labels)) for side in (0, 1)]
    return Product(
        model=model,
        axes=axes,
        levels=levels,
        held=held,
        left_out=[f"{axes[side]}={level}" for side in (0, 1) for level in seen[side] if level not in levels[side]],
        cells=[
            ProductCell(
                levels=(a, b),
                label=labels[a, b],
                **asdict(Spread.of(accuracies[a, b].dropna().tolist())),
                num_trained=len(accuracies[a, b]),
            )
            for a in levels[0]
            for b in levels[1]
        ],
        contrasts=_contrasts(levels, labels, evidence, results.grid.seeds, start, axes),
    )


def _full(labels: Mapping[tuple[str, str], str]) -> tuple[list[str], list[str]] | None:
    """The levels of the largest full product that keeps one axis whole; None below two by two."""
    first, second = (list(dict.fromkeys(key[side] for key in labels)) for side in (0, 1))
    choices = [
        ([a for a in first if all((a, b) in labels for b in second)], second),
        (first, [b for b in second if all((a, b) in labels for a in first)]),
    ]
    best = max(choices, key=lambda choice: len(choice[0]) * len(choice[1]))
    return best if min(len(best[0]), len(best[1])) >= LEAST_LEVELS else None


def _by_seed(results: Results, label: str) -> pd.Series:
    """Test accuracy by seed, NaN if the network failed or is not known not to have."""
    cells = results.cells[results.cells["label"] == label]
    cells = cells[cells["outcome"] != "missing"]
    return numbers(cells, "test_accuracy").where(has_learned(cells)).set_axis(cells["seed"].tolist())


def _contrasts(
    levels: tuple[list[str], list[str]],
    labels: Mapping[tuple[str, str], str],
    evidence: Evidence,
    seeds: Sequence[int],
    start: Mapping[str, str],
    axes: tuple[str, str],
) -> list[Interaction]:
    """Every other level of each axis against the baseline's, or the first."""
    a0, b0 = (start[axis] if start.get(axis) in own else own[0] for axis, own in zip(axes, levels, strict=True))
    corners = [(a, b) for a in levels[0] if a != a0 for b in levels[1] if b != b0]
    level = ALPHA / max(len(corners), 1)
    found = []
    for a, b in corners:
        contrast = Contrast.interaction((labels[a, b], labels[a0, b]), (labels[a, b0], labels[a0, b0]))
        found_test = Pairs.read(contrast, _ACCURACY, seeds, evidence.cells).test(_ACCURACY, ratio=False)
        test = None if isinstance(found_test, str) else found_test
        found.append(
            Interaction(
                first=(a0, a),
                second=(b0, b),
                effect=test.estimate if test else None,
                interval=test.bounded(level) if test else None,
                level=level,
                n=test.n if test else 0,
                test=test.test if test else None,
            )
        )
    return found
