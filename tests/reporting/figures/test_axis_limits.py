import pytest

from nin_bench.reporting.figures.axis_limits import accuracy_limits, epochs_shown


def test_one_far_below_the_others_is_out_of_view_unless_it_is_kept():
    # quartiles .82 and .86 (of five values the second and the fourth), so the fence is .82 - 1.5 · .04 = .76;
    # to the highest, .88, it is .12, of which 6 % is room above and three times as much below
    single = [0.1, 0.82, 0.84, 0.86, 0.88]
    assert accuracy_limits(single, []) == pytest.approx((0.76 - 3 * 0.0072, 0.88 + 0.0072))
    low, high = accuracy_limits(single, [0.7, 0.9])
    assert (low, high) == pytest.approx((0.7 - 3 * 0.012, 0.9 + 0.012))


def test_values_near_each_other_are_all_in_view_with_room():
    assert accuracy_limits([0.8, 0.8], []) == pytest.approx((0.785, 0.805))
    assert accuracy_limits([], [0.8]) is None


@pytest.mark.parametrize(
    ("last_steps", "until"),
    [([0.4, 2.0], 2.3), ([10.5], 12), ([0.0], 12), ([], 12)],
    ids=["early", "near the end", "nobody", "nothing known"],
)
def test_curves_are_followed_until_nothing_changes(last_steps, until):
    assert epochs_shown(last_steps, 12) == pytest.approx(until)
