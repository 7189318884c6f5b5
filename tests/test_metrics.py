import math

import pytest

from nin_bench.metrics import METRICS, UNITS, has_failed, has_learned, is_above_chance

CHANCE = math.log(10)


@pytest.mark.parametrize(
    ("escaped", "train_loss", "validation_loss", "learned"),
    [
        (True, 0.4, 0.5, True),
        (True, 2.303, 2.303, False),  # it fell back
        (True, 2.2, 2.2, False),  # above 0.95 ln 10 = 2.1875
        (True, 2.2, 2.15, True),  # it escaped in the middle of the epoch
        (True, 0.1, 3.5, True),  # it learned by heart
        (True, 2.18, None, True),
        (True, None, None, False),
        (False, 2.303, 2.303, False),
        (None, 0.4, 0.5, None),
    ],
)
def test_who_is_back_at_chance_level_at_the_end_has_not_learned(escaped, train_loss, validation_loss, learned):
    epoch = {"train_loss": train_loss, "validation_loss": validation_loss}
    assert has_learned(escaped, epoch, CHANCE) is learned


def test_the_margin_is_relative_so_that_two_classes_of_99_to_1_can_be_learned():
    entropy = -(0.99 * math.log(0.99) + 0.01 * math.log(0.01))
    assert entropy < 0.1
    assert is_above_chance(0.94 * entropy, entropy)
    assert not is_above_chance(0.96 * entropy, entropy)
    assert has_failed(0.95 * entropy, entropy)
    assert not has_failed(0.94 * entropy, entropy)


# The table


def test_each_row_says_where_its_values_are_and_how_they_are_shown():
    for name, metric in METRICS.items():
        assert metric.name == name
        if name != "target_epoch":  # which comes from the history
            assert metric.record or metric.cost
            assert (metric.kind == "measured") is (metric.record is None and metric.kind != "architecture")
        assert metric.unit in UNITS
        assert metric.shown(1234.5)
    assert len({metric.title for metric in METRICS.values()}) == len(METRICS)


@pytest.mark.parametrize(
    ("name", "value", "shown", "heading"),
    [
        ("test_accuracy", 0.9123, "91.2", "test accuracy, %"),
        ("generalisation_gap", -0.012, "−1.2", "generalisation gap, %"),
        ("test_loss", 0.25, "0.250", "test loss, nats"),
        ("num_params", 1_992_166, "1,992,166", "parameters"),
        ("peak_memory_bytes", 500_000_000, "500.0", "peak memory, MB"),
        ("train_seconds", 90.0, "90.0", "training time, s"),
    ],
)
def test_a_value_in_a_table(name, value, shown, heading):
    assert (METRICS[name].shown(value), METRICS[name].heading) == (shown, heading)
