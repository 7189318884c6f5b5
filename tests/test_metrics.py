import math

import pytest

from nin_bench.metrics import has_learned

CHANCE = math.log(10)


@pytest.mark.parametrize(
    ("escaped", "train_loss", "validation_loss", "learned"),
    [
        (True, 0.4, 0.5, True),
        (True, 2.303, 2.303, False),  # it fell back
        (True, 2.25, 2.25, False),  # above ln 10 − 0.1 = 2.2026
        (True, 2.25, 2.15, True),  # it escaped in the middle of the epoch
        (True, 0.1, 3.5, True),  # it learned by heart
        (True, 2.2, None, True),
        (True, None, None, False),
        (False, 2.303, 2.303, False),
        (None, 0.4, 0.5, None),
    ],
)
def test_who_is_back_at_chance_level_at_the_end_has_not_learned(escaped, train_loss, validation_loss, learned):
    epoch = {"train_loss": train_loss, "validation_loss": validation_loss}
    assert has_learned(escaped, epoch, CHANCE) is learned
