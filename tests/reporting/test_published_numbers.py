"""Numbers of shipped reports, computed again from records by code that shares nothing with the package."""

import json
from functools import cache
from itertools import combinations_with_replacement
from math import exp, log
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

from nin_bench.analysis.analysis import analyse
from nin_bench.results import load_results

ROOT = Path(__file__).parents[2]
ONEXONE = ROOT / "results" / "reference" / "onexone" / "cpu"
RESOURCES = ROOT / "results" / "reference" / "resources" / "cpu"
FIRST = ROOT / "tests" / "frozen" / "results" / "onexone" / "cpu"
"""An earlier onexone, in which networks lost classes."""
SHARES = {12: 0.10, 18: 0.05, 24: 0.85}
"""The part of a claim's level that a look may spend, by its number of seeds."""
FAMILY = 4
"""Primary claims with a test."""


@cache
def report(results: Path) -> dict[str, Any]:
    if results == FIRST:
        with TemporaryDirectory() as folder:
            analyse(load_results(FIRST)).write(Path(folder) / "report.json")
            return json.loads((Path(folder) / "report.json").read_text())
    return json.loads((ROOT / "reports" / results.relative_to(ROOT / "results") / "report.json").read_text())


@cache
def records(results: Path) -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((results / "cells").glob("*.json"))]


def column(label: str, metric: str, seeds: list[int], results: Path = ONEXONE) -> np.ndarray:
    """A metric by seed, of a variant."""
    found = {
        record["cell"]["seed"]: record["metrics"][metric]
        for record in records(results)
        if record["label"] == label
    }
    return np.array([found[seed] for seed in seeds], dtype=float)


def claim(name: str, results: Path = ONEXONE) -> dict[str, Any]:
    (found,) = (one for one in report(results)["hypotheses"] if one["id"] == name)
    return found


def walsh(differences: np.ndarray) -> np.ndarray:
    return np.sort([(x + y) / 2 for x, y in combinations_with_replacement(differences, 2)])


def signed_rank_interval(differences: np.ndarray, level: float) -> tuple[float, float]:
    """By the sums of ranks under all signs: as many Walsh averages are cut off as the level allows."""
    n, averages = len(differences), walsh(differences)
    chances = np.array([1.0])
    for rank in range(1, n + 1):
        chances = np.convolve(chances, [0.5, *[0.0] * (rank - 1), 0.5])
    below = np.concatenate([[0.0], np.cumsum(chances)])
    cut = max(k for k in range(len(averages) // 2) if below[k] <= level / 2)
    return averages[cut - 1], averages[-cut]


def sign_interval(differences: np.ndarray, level: float) -> tuple[float, float]:
    cut = int(stats.binom.ppf(level / 2, len(differences), 0.5))
    ordered = np.sort(differences)
    return ordered[cut - 1], ordered[-cut]


@pytest.mark.parametrize(
    "name", ["two-beat-one", "two-beat-three", "pooling-replaces-dense", "better-than-alexnet"]
)
def test_a_primary_claim(name: str) -> None:
    """1 to 12: effect, interval at what its look may spend, and exact p-value, where no network lost a class."""
    found = claim(name)
    seeds = found["pairs"]
    a, b = (column(label, "test_accuracy", seeds) for label in found["compare"])
    differences = a - b
    assert seeds == list(range(found["look"]["num_seeds"]))
    assert found["level"] == pytest.approx(0.05 / FAMILY * SHARES[len(seeds)])
    assert found["test"] == "signed-rank"
    assert found["effect"] == pytest.approx(np.median(walsh(differences)))
    assert found["interval"] == pytest.approx(signed_rank_interval(differences, found["level"]))
    if found["expect"] == "greater":
        for side, p in (("greater", found["p_support"]), ("less", found["p_refute"])):
            by_scipy = stats.wilcoxon(differences - found["margin"], alternative=side, method="exact").pvalue
            assert p == pytest.approx(by_scipy, abs=1e-9)


def test_the_gap_of_pooling_and_of_the_dense_head() -> None:
    """13, 14: a secondary claim has a level of its own."""
    found = claim("pooling-overfits-less")
    gaps = [
        column(label, "train_accuracy", found["pairs"]) - column(label, "test_accuracy", found["pairs"])
        for label in found["compare"]
    ]
    differences = gaps[0] - gaps[1]
    assert (found["family_size"], found["level"]) == (1, pytest.approx(0.05 * SHARES[len(found["pairs"])]))
    assert found["effect"] == pytest.approx(np.median(walsh(differences)))
    assert found["interval"] == pytest.approx(signed_rank_interval(differences, found["level"]))


def test_networks_that_lost_a_class() -> None:
    """Where some did, signs judge; counts with Wilson's interval, and McNemar's test."""
    found, seeds = claim("two-beat-three", FIRST), list(range(8))
    accuracies = [column(label, "test_accuracy", seeds, FIRST) for label in found["compare"]]
    differences = accuracies[0] - accuracies[1]
    assert (found["test"], found["effect"]) == ("sign", pytest.approx(np.median(differences)))
    p = stats.binomtest(int((differences > 0.01).sum()), 8, alternative="greater").pvalue
    assert found["p_support"] == pytest.approx(p)
    a, b = (column(label, "num_lost_classes", seeds, FIRST) > 0 for label in found["compare"])
    lost = found["lost_classes"]
    assert lost["counts"] == [a.sum(), b.sum()]
    assert lost["intervals"][1] == pytest.approx(proportion_confint(b.sum(), 8, method="wilson"))
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert lost["mcnemar_p"] == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_speed_is_of_ratios_and_differences_within_rounds() -> None:
    """15, 16: a measured claim, and a ratio of the table of costs."""
    found = claim("trains-slower-than-alexnet", RESOURCES)
    ids = {
        one["label"]: one["variant_id"] for one in json.loads((RESOURCES / "grid.json").read_text())["variants"]
    }
    entries = [
        json.loads((RESOURCES / "costs" / f"{ids[label]}.json").read_text())["entries"][0]
        for label in found["compare"]
    ]
    nin, alexnet = (np.array(entry["train"]["images_per_second"]["samples"]) for entry in entries)
    assert found["effect"] == pytest.approx(np.median(walsh(nin - alexnet)))
    (costs,) = (machine for machine in report(RESOURCES)["costs"] if machine["of_grid"])
    (row,) = (row for row in costs["rows"] if row["label"] == found["compare"][1])
    ratio = row["relative_to_baseline"]["train_images_per_second"]["estimate"]
    logarithms = [log(a / b) for a, b in zip(alexnet, nin, strict=True)]
    assert ratio == pytest.approx(exp(np.median(walsh(np.array(logarithms)))))


def test_counts_and_the_table_of_accuracies() -> None:
    """17, 18: a factor between counts, and a mean with its deviation."""
    factor = column("NiN-2", "num_params", [0])[0] / column("AlexNet", "num_params", [0])[0]
    assert claim("fewer-parameters-than-alexnet")["effect"] == pytest.approx(factor)
    (row,) = (row for row in report(ONEXONE)["comparison"] if row["label"] == "NiN-2 drawn")
    accuracies = column("NiN-2 drawn", "test_accuracy", list(range(row["trained"])))
    assert row["test_accuracy"]["mean"] == pytest.approx(accuracies.mean())
    assert row["test_accuracy"]["sd"] == pytest.approx(stats.tstd(accuracies))


def test_an_interaction() -> None:
    """A contrast of 1×1 layers and heads, at the level that all contrasts of its table share."""
    product = report(FIRST)["interactions"][0]
    found = product["contrasts"][0]
    (a0, a), (b0, b) = found["first"], found["second"]
    labels = {tuple(cell["levels"]): cell["label"] for cell in product["cells"]}
    corner = {place: column(label, "test_accuracy", list(range(8)), FIRST) for place, label in labels.items()}
    differences = (corner[a, b] - corner[a0, b]) - (corner[a, b0] - corner[a0, b0])
    level = 0.05 / len(product["contrasts"])
    by = {"sign": (np.median, sign_interval), "signed-rank": (lambda d: np.median(walsh(d)), signed_rank_interval)}
    estimate, interval = by[found["test"]]
    assert found["level"] == level
    assert found["effect"] == pytest.approx(estimate(differences))
    assert found["interval"] == pytest.approx(interval(differences, level))
