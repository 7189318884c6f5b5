"""Numbers of a shipped report, computed again from its records by code that shares nothing with the package."""

import json
from functools import cache
from itertools import combinations_with_replacement, product
from math import exp, log
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from scipy import stats
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.proportion import proportion_confint

ROOT = Path(__file__).parents[2]
RESULTS = ROOT / "results" / "reference" / "onexone" / "cpu"
NIN, THREE, DENSE = "nin pointwise=2 head=gap", "nin pointwise=3 head=gap", "nin pointwise=2 head=fc"
ALEXNET = "alexnet"
SEEDS = range(8)
FAMILY = 5
"""Primary claims with a test."""


@cache
def report() -> dict[str, Any]:
    return json.loads((ROOT / "reports/reference/onexone/cpu/report.json").read_text())


@cache
def records() -> list[dict[str, Any]]:
    return [json.loads(path.read_text()) for path in sorted((RESULTS / "cells").glob("*.json"))]


def column(label: str, metric: str) -> np.ndarray:
    """A metric by seed, of the variant whose label begins so."""
    found = {
        record["cell"]["seed"]: record["metrics"][metric]
        for record in records()
        if record["label"].startswith(label)
    }
    return np.array([found[seed] for seed in SEEDS], dtype=float)


def claim(name: str) -> dict[str, Any]:
    (found,) = (one for one in report()["hypotheses"] if one["id"] == name)
    return found


def walsh(differences: np.ndarray) -> np.ndarray:
    return np.sort([(x + y) / 2 for x, y in combinations_with_replacement(differences, 2)])


def signed_rank_interval(differences: np.ndarray, level: float) -> tuple[float, float]:
    """By enumerating all signs of the ranks: as many Walsh averages are cut off as the level allows."""
    n, averages = len(differences), walsh(differences)
    sums = np.sort(
        [sum(rank for rank, sign in enumerate(signs, 1) if sign) for signs in product((0, 1), repeat=n)]
    )
    cut = max(k for k in range(len(averages) // 2) if (sums < k).mean() <= level / 2)
    return averages[cut - 1], averages[-cut]


def sign_interval(differences: np.ndarray, level: float) -> tuple[float, float]:
    cut = int(stats.binom.ppf(level / 2, len(differences), 0.5))
    ordered = np.sort(differences)
    return ordered[cut - 1], ordered[-cut]


def loses_classes(label: str) -> bool:
    return bool((column(label, "num_lost_classes") > 0).any())


def test_the_gap_of_pooling_and_of_the_dense_head() -> None:
    """1, 2: effect and interval of a primary claim whose networks lost classes, so that signs judge."""
    gaps = [column(label, "train_accuracy") - column(label, "test_accuracy") for label in (NIN, DENSE)]
    differences, found = gaps[0] - gaps[1], claim("pooling-overfits-less")
    assert loses_classes(NIN)
    assert (found["test"], found["n"], found["level"]) == ("sign", 8, 0.05 / FAMILY)
    assert found["effect"] == pytest.approx(np.median(differences))
    assert found["interval"] == pytest.approx(sign_interval(differences, 0.05 / FAMILY))


def test_two_layers_against_three() -> None:
    """3, 4: effect and verdict, and the exact p-value."""
    differences, found = column(NIN, "test_accuracy") - column(THREE, "test_accuracy"), claim("two-beat-three")
    assert found["effect"] == pytest.approx(np.median(differences))
    num_beyond = int((differences > 0.01).sum())
    p = stats.binomtest(num_beyond, 8, alternative="greater").pvalue
    assert found["p_support"] == pytest.approx(p)
    assert (found["verdict"] == "supported") == (p <= 0.05 / FAMILY / 2)


def test_networks_that_lost_a_class() -> None:
    """5, 6: counts with Wilson's interval, and McNemar's test."""
    a, b = (column(label, "num_lost_classes") > 0 for label in (NIN, THREE))
    found = claim("two-beat-three")["lost_classes"]
    assert found["counts"] == [a.sum(), b.sum()]
    assert found["intervals"][1] == pytest.approx(proportion_confint(b.sum(), 8, method="wilson"))
    table = [[(a & b).sum(), (a & ~b).sum()], [(~a & b).sum(), (~a & ~b).sum()]]
    assert found["mcnemar_p"] == pytest.approx(mcnemar(table, exact=True).pvalue)


def test_a_secondary_claim_has_a_level_of_its_own() -> None:
    """7: the interval against AlexNet."""
    differences, found = (
        column(NIN, "test_accuracy") - column(ALEXNET, "test_accuracy"),
        claim("no-better-than-alexnet"),
    )
    assert (found["level"], found["family_size"], found["test"]) == (0.05, 1, "sign")
    assert found["interval"] == pytest.approx(sign_interval(differences, 0.05))


def test_speed_is_of_ratios_and_differences_within_rounds() -> None:
    """8, 9: a measured claim, and a ratio of the table of costs."""
    ids = {record["label"]: record["variant_id"] for record in records()}
    entries = [
        json.loads((RESULTS / "costs" / f"{ids[label]}.json").read_text())["entries"][0]
        for label in (next(one for one in ids if one.startswith(start)) for start in (NIN, ALEXNET))
    ]
    nin, alexnet = (np.array(entry["train"]["images_per_second"]["samples"]) for entry in entries)
    assert claim("trains-slower-than-alexnet")["effect"] == pytest.approx(np.median(walsh(nin - alexnet)))
    (costs,) = (machine for machine in report()["costs"] if machine["of_grid"])
    (row,) = (row for row in costs["rows"] if row["label"].startswith(ALEXNET))
    ratio = row["relative_to_baseline"]["train_images_per_second"]["estimate"]
    logarithms = [log(a / b) for a, b in zip(alexnet, nin, strict=True)]
    assert ratio == pytest.approx(exp(np.median(walsh(np.array(logarithms)))))


def test_counts_and_the_table_of_accuracies() -> None:
    """10, 11: a factor between counts, and a mean with its deviation."""
    factor = column(NIN, "num_params")[0] / column(ALEXNET, "num_params")[0]
    assert claim("fewer-parameters-than-alexnet")["effect"] == pytest.approx(factor)
    (row,) = (row for row in report()["comparison"] if row["label"].startswith(ALEXNET))
    accuracies = column(ALEXNET, "test_accuracy")
    assert row["test_accuracy"]["mean"] == pytest.approx(accuracies.mean())
    assert row["test_accuracy"]["sd"] == pytest.approx(stats.tstd(accuracies))


def test_an_interaction() -> None:
    """12: a contrast of 1×1 layers and heads, at the level that all contrasts of its table share."""
    product_ = report()["interactions"][0]
    found = product_["contrasts"][0]
    (a0, a), (b0, b) = found["first"], found["second"]
    labels = {tuple(cell["levels"]): cell["label"] for cell in product_["cells"]}
    corner = {place: column(label, "test_accuracy") for place, label in labels.items()}
    differences = (corner[a, b] - corner[a0, b]) - (corner[a, b0] - corner[a0, b0])
    level = 0.05 / len(product_["contrasts"])
    by = {"sign": (np.median, sign_interval), "signed-rank": (lambda d: np.median(walsh(d)), signed_rank_interval)}
    estimate, interval = by[found["test"]]
    assert found["level"] == level
    assert found["effect"] == pytest.approx(estimate(differences))
    assert found["interval"] == pytest.approx(interval(differences, level))
