"""What a training step learns from: images, changed and blended at random, and the labels that they count for.

Everything is a function of (recipe, seed, step), and the same however the batch is cut into micro-batches.
"""

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from nin_bench.cell import MOST_MAGNITUDE, Recipe
from nin_bench.data.augmentation import ERASING_DRAWS, rand_augment, random_erasing
from nin_bench.data.batches import AUGMENTATIONS, ImageBatches


@dataclass(frozen=True)
class Targets:
    """The classes that images count for: their own and, where two images were blended, another's too."""

    labels: Tensor
    """(n,) int64."""
    others: Tensor | None = None
    """Of the images blended in, (n,) int64; None if there are none."""
    share: float = 1.0
    """How much the image's own label counts."""

    def blend(self, of: Callable[[Tensor], Tensor]) -> Tensor:
        """A value for the images' own labels, or its mean with that for the others, by their shares."""
        own = of(self.labels)
        return own if self.others is None else self.share * own + (1 - self.share) * of(self.others)


def examples(
    batches: ImageBatches,
    indices: Tensor,
    recipe: Recipe,
    seed_for: Callable[[str], int],
    rows: slice = slice(None),
) -> Iterator[tuple[Tensor, Targets]]:
    """The images of a step, one micro-batch after the other.

    Args:
        batches: makes them.
        indices: of the whole batch, (n,) int64.
        recipe: how to change and to blend them, and how many pass at once.
        seed_for: the seed of this step's draws for one purpose.
        rows: those of the batch that are wanted.
    """
    at_once = recipe.fixed_micro_batch or len(indices)
    generator = torch.Generator().manual_seed(seed_for("augment"))
    if not (recipe.rand_augment or recipe.random_erasing or recipe.mixup or recipe.cutmix):
        if rows.start:  # what the rows before them draw
            torch.rand(rows.start, 3, generator=generator)
        for part in torch.split(indices[rows], at_once):
            images, labels = batches.take(part, recipe.augmentation, generator)
            yield images, Targets(labels)
        return
    stored, labels = batches.raw(indices)
    changed = _changed(stored, recipe, generator, seed_for)
    if not (recipe.mixup or recipe.cutmix):
        for part, own, which in zip(
            *(torch.split(one[rows], at_once) for one in (changed, labels, indices)), strict=True
        ):
            yield batches.pixels(part, which), Targets(own)
        return
    # As with torchvision's MixUp and CutMix, an image meets the one before it in the batch.
    columns = (changed, labels, indices, changed.roll(1, 0), labels.roll(1, 0), indices.roll(1, 0))
    for part, own, which, other_part, other, others in zip(
        *(torch.split(one[rows], at_once) for one in columns), strict=True
    ):
        images = batches.pixels(part, which)
        weights, share = draw_blend(recipe, random.Random(seed_for("mix")), *images.shape[-2:])
        weights = weights.to(images.device)
        yield weights * images + (1 - weights) * batches.pixels(other_part, others), Targets(own, other, share)


def _changed(images: Tensor, recipe: Recipe, generator: torch.Generator, seed_for: Callable[[str], int]) -> Tensor:
    """The images of a whole batch, changed one by one."""

    def draws(purpose: str, count: int) -> Tensor:
        return torch.rand(len(images), count, generator=torch.Generator().manual_seed(seed_for(purpose)))

    if (augment := AUGMENTATIONS[recipe.augmentation]) is not None:
        images = augment(images, torch.rand(len(images), 3, generator=generator).to(images.device))
    if recipe.rand_augment:
        strength = recipe.rand_augment_magnitude / MOST_MAGNITUDE
        images = rand_augment(images, draws("rand_augment", 2 * recipe.rand_augment), strength)
    if recipe.random_erasing:
        images = random_erasing(images, draws("random_erasing", ERASING_DRAWS), recipe.random_erasing)
    return images


def draw_blend(recipe: Recipe, draws: random.Random, height: int, width: int) -> tuple[Tensor, float]:
    """How much of each pixel is the image's own, (H, W) float32, and of all pixels together.

    Mixup blends whole images (Zhang et al., 2018), CutMix pastes a rectangle (Yun et al., 2019), both by a share
    from a beta distribution; with both, each has half of the steps.
    """
    alphas = {"mixup": recipe.mixup, "cutmix": recipe.cutmix}
    ways = [way for way, alpha in alphas.items() if alpha]
    way = ways[int(draws.random() * len(ways))]
    share = draws.betavariate(alphas[way], alphas[way])
    if way == "mixup":
        return torch.full((height, width), share), share
    weights = torch.ones(height, width)
    half = 0.5 * (1 - share) ** 0.5
    (top, bottom), (left, right) = (
        (max(middle - int(half * side), 0), min(middle + int(half * side), side))
        for side in (height, width)
        for middle in [int(draws.random() * side)]
    )
    weights[top:bottom, left:right] = 0
    return weights, 1 - (bottom - top) * (right - left) / (height * width)
