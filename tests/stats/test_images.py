import numpy as np
import pytest
from scipy import stats

from nin_bench.stats.images import image_error


def test_one_seed_is_the_paired_error_over_images() -> None:
    a = np.array([[1, 1, 1, 0, 1, 0, 1, 1]], dtype=bool)
    b = np.array([[1, 0, 1, 0, 0, 1, 1, 1]], dtype=bool)
    found = image_error(a, b)
    differences = [0, 1, 0, 0, 1, -1, 0, 0]
    assert (found.difference, found.num_seeds, found.num_images) == (1 / 8, 1, 8)
    assert found.images_error == pytest.approx(stats.sem(differences))
    assert (found.seeds_error, found.both_error) == (None, None)


def test_networks_that_answer_alike_leave_the_images_alone() -> None:
    a = np.tile(np.array([1, 1, 0, 1, 1, 0], dtype=bool), (3, 1))
    b = np.tile(np.array([1, 0, 0, 1, 0, 1], dtype=bool), (3, 1))
    found = image_error(a, b)
    assert found.seeds_error == 0
    assert found.both_error == pytest.approx(found.images_error) == pytest.approx(stats.sem([0, 1, 0, 0, 1, -1]))


def test_errors_are_those_of_repeated_experiments() -> None:
    """Networks and images are drawn anew 300 times; the errors must be what the means really vary by."""
    draw = np.random.default_rng(0)
    means, both, images, seeds = [], [], [], []
    for _ in range(300):
        hard = draw.normal(size=80)  # images
        skill = draw.normal(scale=0.3, size=(2, 6, 1))  # of A's and B's networks
        kind = draw.normal(scale=0.8, size=(2, 1, 80))  # what A or B finds easy
        correct = 1.0 + hard + skill + kind + draw.normal(size=(2, 6, 80)) > 0
        found = image_error(correct[0], correct[1])
        means.append(found.difference)
        both.append(found.both_error)
        images.append(found.images_error)
        seeds.append(found.seeds_error)
    assert np.sqrt(np.mean(np.square(both))) == pytest.approx(np.std(means), rel=0.1)
    assert np.mean(seeds) < 0.9 * np.mean(both)
    assert np.mean(images) < np.mean(both)
    covered = np.abs(means) <= stats.norm.isf(0.025) * np.array(both)
    assert 0.92 <= covered.mean() <= 0.98
