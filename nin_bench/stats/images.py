"""What the test images themselves leave open of a difference in accuracy, beside what the seeds do."""

import math
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt


@dataclass(frozen=True)
class ImageError:
    """Standard errors of a mean difference in accuracy over seeds and test images."""

    difference: float
    num_seeds: int
    num_images: int
    seeds_error: float | None
    """Were the networks trained again and tested on the same images; None for one seed."""
    images_error: float
    """Were the same networks tested on other images of the kind."""
    both_error: float | None
    """Were other networks tested on other images; None for one seed."""


def image_error(correct_a: npt.NDArray[np.bool_], correct_b: npt.NDArray[np.bool_]) -> ImageError:
    """Estimate the errors, images and seeds being crossed: every network sees every image.

    Args:
        correct_a: whether A's networks classify each image as labelled, shape (seeds, images), two images or more.
        correct_b: whether B's do, at the same seeds and images.

    Source: the variance of the grand mean in a two-way layout of random effects without replication, mean squares
    taken for their expectations (Cornfield and Tukey, 1956, Annals of Mathematical Statistics 27, 907–949).
    """
    assert correct_a.shape == correct_b.shape, (correct_a.shape, correct_b.shape)
    differences = correct_a.astype(float) - correct_b.astype(float)
    num_seeds, num_images = differences.shape
    by_seed, by_image, mean = differences.mean(axis=1), differences.mean(axis=0), float(differences.mean())
    of_images = by_image.var(ddof=1) / num_images
    if num_seeds == 1:
        return ImageError(mean, 1, num_images, None, math.sqrt(of_images), None)
    of_seeds = by_seed.var(ddof=1) / num_seeds
    rest = differences - by_seed[:, None] - by_image + mean
    # what seeds and images have together is counted in both
    of_rest = (rest**2).sum() / ((num_seeds - 1) * (num_images - 1)) / (num_seeds * num_images)
    both = max(of_seeds + of_images - of_rest, of_seeds, of_images)
    return ImageError(mean, num_seeds, num_images, math.sqrt(of_seeds), math.sqrt(of_images), math.sqrt(both))
