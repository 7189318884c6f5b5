import math
from dataclasses import replace

import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.analysis.curves import chance_level, find_histories, learning_curves
from nin_bench.analysis.setting import FieldValue, describe_setting
from nin_bench.analysis.tables import (
    MissingSeeds,
    Spread,
    Tally,
    compare_variants,
    count_outcomes,
    missing_seeds,
    pareto_front,
    troubles,
)
from nin_bench.reporting.sections.networks import describe_trouble
from nin_bench.reporting.sections.setting import caveats
from nin_bench.results import load_results
from tests.report_fixture import COLLAPSED, DATA, RECIPE, metrics, record, write_results, write_showcase


def epochs(*accuracies: float) -> list[dict[str, float]]:
    return [
        {"epoch": number, "train_loss": 2.3, "validation_accuracy": accuracy}
        for number, accuracy in enumerate(accuracies, start=1)
    ]


@pytest.fixture
def tiny(tmp_path):
    """a: .90, .92, .94, all healthy. b: .80 healthy, .10 collapsed, one cell without a record."""
    return load_results(
        write_results(
            tmp_path / "tiny",
            {
                "a": [
                    record(metrics=metrics(0.90, escape_epoch=0.5), history=epochs(0.5, 0.8)),
                    record(metrics=metrics(0.92, escape_epoch=0.25), history=epochs(0.6, 0.7)),
                    record(metrics=metrics(0.94, escape_epoch=1.5), history=epochs(0.7, 0.9)),
                ],
                "b": [
                    record(metrics=metrics(0.80, num_params=61_706), history=epochs(0.4, 0.6)),
                    record(metrics=metrics(0.10, **COLLAPSED), history=epochs(0.1, 0.1)),
                    None,
                ],
            },
            baseline="a",
        )
    )


def test_cells_that_no_open_claim_needs_are_not_missing(tmp_path):
    trained = record(metrics=metrics(0.9))
    variants = {"a": [trained] * 3 + [None] * 3, "b": [trained] * 2 + [None] * 4}
    until = {"at_most": 6, "looks": [3, 5, 6]}
    results = load_results(write_results(tmp_path / "results", variants, until_decided=until))
    assert count_outcomes(results) == {"trained": 5, "not needed": 6, "missing": 1}
    assert missing_seeds(results) == [MissingSeeds("b", [2])]
    assert [(row.trained, row.planned) for row in compare_variants(results)] == [(3, 3), (2, 3)]


def test_comparison_of_healthy_cells(tiny):
    a, _ = compare_variants(tiny)

    assert (a.label, a.baseline, a.planned, a.trained) == ("a", True, 3, 3)
    assert a.escaped == Tally(count=3, of=3)
    assert a.failed == Tally(count=0, of=3)
    assert (a.num_params, a.num_macs) == (1_992_166, 762_297_352)
    assert a.test_accuracy.mean == pytest.approx(0.92)
    assert a.test_accuracy.sd == pytest.approx(0.02)  # sqrt((.02² + 0 + .02²) / 2)
    assert a.generalisation_gap.mean == pytest.approx(0.02)
    assert a.train_seconds == Spread(mean=90.0, sd=0.0, n=3)


def test_comparison_keeps_collapse_apart(tiny):
    _, b = compare_variants(tiny)

    assert (b.baseline, b.planned, b.trained) == (False, 3, 2)
    assert b.escaped == b.failed == Tally(count=1, of=2)
    assert b.num_params == 61_706
    assert b.test_accuracy.mean == pytest.approx(0.45)
    assert b.test_accuracy.sd == pytest.approx(0.7 / math.sqrt(2))
    assert b.generalisation_gap.n == 1


def test_what_is_not_known_is_neither_healthy_nor_collapsed(tmp_path):
    known, unknown = record(metrics=metrics(0.9)), record(metrics=metrics(0.1, escaped=None, healthy=None))
    results = load_results(write_results(tmp_path / "r", {"a": [known, unknown], "b": [unknown, unknown]}))
    rows = compare_variants(results)

    assert [row.escaped for row in rows] == [Tally(count=1, of=1), Tally(count=0, of=0)]
    assert troubles(results) == []
    told = caveats(analyse(results))
    assert any("too few steps" in caveat for caveat in told)


def test_chance_is_the_median_over_records(tmp_path):
    cells = [record(metrics=metrics(0.9, chance_accuracy=share)) for share in (0.10, 0.11, 0.15)]
    results = load_results(write_results(tmp_path / "r", {"a": [*cells, None]}))

    assert chance_level(results).accuracy == 0.11
    assert chance_level(results).loss == math.log(10)
    assert chance_level(load_results(write_results(tmp_path / "none", {"a": [None]}))).loss is None


@pytest.mark.parametrize(("escape_epoch", "epoch"), [(0.03, 1), (1.0, 1), (1.01, 2)])
def test_a_network_escapes_within_an_epoch_and_not_after_it(tmp_path, escape_epoch, epoch):
    made = record(metrics=metrics(0.6, healthy=False, num_dead_maps=1, escape_epoch=escape_epoch))
    [trouble] = troubles(load_results(write_results(tmp_path / "r", {"a": [made]})))

    assert describe_trouble(trouble) == f"failed; left chance level in epoch {epoch}"


def test_curves_average_healthy_cells_only(tiny):
    curves = learning_curves(tiny, find_histories(tiny)["validation_accuracy"])

    assert [(point.label, point.epoch, point.n) for point in curves] == [
        ("a", 1, 3),
        ("a", 2, 3),
        ("b", 1, 1),
        ("b", 2, 1),
    ]
    assert [point.mean for point in curves] == pytest.approx([0.6, 0.8, 0.4, 0.6])
    assert [point.low for point in curves] == pytest.approx([0.5, 0.7, 0.4, 0.6])
    assert [point.high for point in curves] == pytest.approx([0.7, 0.9, 0.4, 0.6])


def test_pareto_front_drops_what_is_dearer_and_no_better(tiny):
    a, _ = compare_variants(tiny)

    def variant(label: str, num_params: int | None, accuracy: float | None) -> object:
        return replace(a, label=label, num_params=num_params, median_test_accuracy=accuracy)

    rows = [
        variant("dear and best", 300, 0.93),
        variant("dear and worse", 250, 0.90),
        variant("middle", 200, 0.91),
        variant("same price, worse", 100, 0.70),
        variant("cheap", 100, 0.80),
        variant("unknown price", None, 0.99),
        variant("never healthy", 10, None),
    ]

    assert [row.label for row in pareto_front(rows, "num_params")] == ["cheap", "middle", "dear and best"]


def test_troubles_are_told_by_name_and_cause(tmp_path):
    found = troubles(load_results(write_showcase(tmp_path / "showcase")))

    assert [(trouble.label, trouble.seed, trouble.outcome) for trouble in found] == [
        ("nin pointwise=2 head=gap", 1, "trained"),
        ("nin pointwise=3 head=gap", 0, "trained"),
        ("nin pointwise=3 head=gap", 2, "trained"),
        ("nin pointwise=0 head=fc", 2, "trained"),
        ("alexnet", 0, "diverged"),
        ("vgg11 width=0.25", 1, "crashed"),
    ]
    assert describe_trouble(found[0]).startswith("failed; never left chance level (training loss ended at 2.30")
    assert describe_trouble(found[3]) == (
        "failed; left chance level in epoch 6; no prediction for 812 test images"
    )
    assert describe_trouble(found[4]) == "diverged at step 612, after 3 whole epochs: training loss is nan"
    assert describe_trouble(found[5]) == "crashed, after 0 whole epochs: worker ended with signal 9 (SIGKILL)"


def test_outcomes_and_missing_cells_are_counted(tmp_path):
    results = load_results(write_showcase(tmp_path / "showcase"))

    assert count_outcomes(results) == {"trained": 24, "crashed": 1, "diverged": 1, "missing": 1}
    assert missing_seeds(results) == [MissingSeeds("vgg11 width=0.25", [2])]


def test_setting_tells_what_differs(tmp_path):
    slow = {**RECIPE, "lr": 0.01}
    results = load_results(
        write_results(
            tmp_path / "r",
            {"a": [record(metrics=metrics(0.9))], "b": [record(metrics=metrics(0.8))]},
            recipes={"b": slow},
        )
    )

    setting = describe_setting(results)

    assert setting.data == DATA
    assert "lr" not in setting.recipe
    assert setting.recipe["epochs"] == 12
    assert setting.differing == [
        FieldValue("recipe", "lr", 0.1, ["a"]),
        FieldValue("recipe", "lr", 0.01, ["b"]),
    ]
    assert setting.environment["software.torch"] == ["2.14.0"]
    told = caveats(analyse(results))
    assert "Learning rates differ between variants; the records do not tell how they were chosen." in told


def test_records_of_two_machines_are_told(tmp_path):
    here, there = record(metrics=metrics(0.9)), record(metrics=metrics(0.9))
    there["environment"] = {**there["environment"], "processor": "Another CPU"}
    results = load_results(write_results(tmp_path / "r", {"a": [here, there, here]}))

    setting = describe_setting(results)

    assert setting.environment["processor"] == ["Example CPU", "Another CPU"]
    told = caveats(analyse(results))
    assert "The records come from more than one machine or version: processor differ." in told


def test_what_the_grid_s_author_says_opens_the_caveats(tmp_path):
    folder = write_results(tmp_path / "r", {"a": [record(metrics=metrics(0.9))]}, caveats=["Rates were guessed."])
    results = load_results(folder)
    told = caveats(analyse(results))
    assert told[0] == "Rates were guessed."
    assert len(told) > 1
