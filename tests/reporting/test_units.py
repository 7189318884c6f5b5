import doctest

import pytest

from nin_bench.reporting import units
from nin_bench.reporting.units import Quantity, as_cells


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(units).failed == 0


@pytest.mark.parametrize(
    ("unit", "effect", "interval", "margins", "shown"),
    [
        ("share", -0.01, (-0.089, 0.068), (0.01,), ("−1.0 points", "−8.9 to +6.8 points")),
        # 0.489 of a point is less than half a point
        ("share", 0.0012, (-0.3005, 0.00489), (0.005,), ("+0.12 points", "−30.05 to +0.49 points")),
        ("share", 0.00012, (-0.0024, 0.00496), (0.005,), ("+0.012 points", "−0.240 to +0.496 points")),
        ("share", 0.00001, (-0.0016, 0.0016), (0.005,), ("0.00 points", "−0.16 to +0.16 points")),
        ("epochs", 0.00133, (-0.183, 0.186), (0.0,), ("0.00 epochs", "−0.18 to +0.19 epochs")),
        ("images/s", 130.0, (12.8, 247.0), (0.0,), ("+130 images/s", "+13 to +247 images/s")),
        ("bytes", -16_668_976, None, (0.0,), ("−16.7 MB", None)),
        ("count", 0, None, (), ("0", None)),
        (None, 2.0, (1.41, 2.83), (2.0, 0.5), ("×2.0", "×1.4 to ×2.8")),
        (None, 0.25, None, (), ("×0.25", None)),
    ],
)
def test_effect_and_interval_share_unit_and_place(unit, effect, interval, margins, shown) -> None:
    assert as_cells(unit, effect, interval, margins) == shown


def test_what_cannot_be_told_from_nothing_at_this_place_is_zero() -> None:
    quantity = Quantity.of("share", 0.00004, (-0.0016, 0.0016))
    assert quantity.is_zero(0.00004)
    assert not quantity.is_zero(0.0001)
