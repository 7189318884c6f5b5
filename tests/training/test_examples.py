import random
from functools import partial
from statistics import fmean, pvariance

import pytest
import torch
from torch import nn
from torch.nn.functional import cross_entropy, one_hot
from torchvision.transforms import v2

from nin_bench.cell import Recipe
from nin_bench.data.batches import ImageBatches
from nin_bench.training.evaluation import Images
from nin_bench.training.examples import Targets, draw_blend, examples
from nin_bench.training.progress import Step
from nin_bench.training.trainer import Trainer, seed_for

EVERYTHING = {"augmentation": "crop_flip", "rand_augment": 2, "random_erasing": 0.5, "mixup": 0.4, "cutmix": 1.0}


@pytest.fixture(scope="module")
def batches() -> ImageBatches:
    generator = torch.Generator().manual_seed(0)
    pixels = torch.randint(256, (60, 3, 16, 16), dtype=torch.uint8, generator=generator)
    return ImageBatches(pixels, torch.arange(60) % 10, 20)


def made(batches: ImageBatches, recipe: Recipe, seed: int = 0, step: int = 0, size: int = 12):
    return list(examples(batches, torch.arange(size), recipe, lambda purpose: seed_for(seed, purpose, step)))


def soft_labels(targets: Targets) -> torch.Tensor:
    return targets.blend(lambda labels: one_hot(labels, 10).float())


@pytest.mark.parametrize("way", ["mixup", "cutmix"])
def test_blended_images_and_labels_are_torchvisions(batches, way):
    recipe = Recipe(**{way: 0.7})
    [(images, targets)] = made(batches, recipe)
    plain, labels = batches.take(torch.arange(12))
    weights, share = draw_blend(recipe, random.Random(seed_for(0, "mix", 0)), 20, 20)
    assert 0 < share < 1
    if way == "mixup":
        theirs, params = v2.MixUp(num_classes=10), {"lam": share}
    else:
        rows, columns = (weights == 0).nonzero().unbind(1)
        box = (columns.min(), rows.min(), columns.max() + 1, rows.max() + 1)
        theirs, params = v2.CutMix(num_classes=10), {"box": box, "lam_adjusted": share}
        assert share == pytest.approx(weights.mean().item())
    params |= {"labels": labels, "batch_size": 12, "num_classes": 10}
    torch.testing.assert_close(images, theirs.transform(plain, params))
    torch.testing.assert_close(soft_labels(targets), theirs.transform(labels, params))


@pytest.mark.parametrize("alpha", [0.2, 1.0])
def test_shares_have_the_variance_of_their_beta_distribution(alpha):
    shares = [
        draw_blend(Recipe(mixup=alpha), random.Random(seed_for(0, "mix", step)), 4, 4)[1] for step in range(4000)
    ]
    assert fmean(shares) == pytest.approx(0.5, abs=0.02)
    assert pvariance(shares) == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.05)


def test_with_both_each_has_half_of_the_steps():
    recipe = Recipe(mixup=1.0, cutmix=1.0)
    blends = [draw_blend(recipe, random.Random(seed_for(0, "mix", step)), 16, 16)[0] for step in range(1000)]
    whole = sum(0 < weights.min().item() == weights.max().item() < 1 for weights in blends)
    assert whole == pytest.approx(500, abs=50)


@pytest.mark.parametrize(
    "fields", [{"augmentation": "crop_flip"}, EVERYTHING, {**EVERYTHING, "mixup": 0, "cutmix": 0}]
)
def test_a_batch_is_the_same_however_it_is_cut(batches, fields):
    fields = {key: float(value) if key in ("mixup", "cutmix") else value for key, value in fields.items()}
    [(images, targets)] = made(batches, Recipe(**fields))
    parts = made(batches, Recipe(**fields, micro_batch=5))
    assert [len(part) for part, _ in parts] == [5, 5, 2]
    assert torch.equal(torch.cat([part for part, _ in parts]), images)
    assert torch.equal(torch.cat([soft_labels(own) for _, own in parts]), soft_labels(targets))


@pytest.mark.parametrize("field", list(EVERYTHING))
def test_every_change_is_a_function_of_seed_and_step(batches, field):
    recipe = Recipe(**{field: EVERYTHING[field]})

    def images(**which: int) -> torch.Tensor:
        torch.rand(1)  # what else draws is no part of it
        [(found, _)] = made(batches, recipe, **which)
        return found

    assert torch.equal(images(), images())
    assert not torch.equal(images(), images(step=1))
    assert not torch.equal(images(), images(seed=1))
    [(plain, _)] = made(batches, Recipe())
    assert not torch.equal(images(), plain)


class Guess(nn.Module):
    """Looks at no image."""

    def __init__(self) -> None:
        super().__init__()
        self.scores = nn.Parameter(torch.arange(10.0))

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        return self.scores.expand(len(images), 10)


def test_a_guess_has_the_same_loss_with_blended_images_so_that_escape_means_the_same(batches):
    indices = torch.arange(40)
    for fields in ({}, {"mixup": 0.4}, {"cutmix": 1.0}, {"mixup": 0.4, "label_smoothing": 0.1}):
        subject = Trainer(Guess(), Recipe(lr=1e-12, **fields), Images(batches, indices), seed=0, chance_loss=0.0)
        step = Step(*subject.step(indices).tolist())
        plain = cross_entropy(torch.arange(10.0).expand(40, 10), indices % 10, reduction="sum")
        assert step.loss == pytest.approx(plain.item(), rel=1e-5)


def test_the_loss_of_blended_images_is_that_of_their_soft_labels(batches):
    indices = torch.arange(12)
    recipe = Recipe(lr=1e-12, mixup=0.4, label_smoothing=0.1)
    model = nn.Sequential(nn.Flatten(), nn.Linear(3 * 20 * 20, 10))
    subject = Trainer(model, recipe, Images(batches, indices), seed=0, chance_loss=0.0)
    [(images, targets)] = made(batches, recipe)
    with torch.no_grad():
        logits = model(images)
    soft = soft_labels(targets)
    step = Step(*subject.step(indices).tolist())
    measure = partial(cross_entropy, logits, soft, reduction="sum")
    assert step.loss == pytest.approx(measure().item(), rel=1e-5)
    assert step.smoothed_loss == pytest.approx(measure(label_smoothing=0.1).item(), rel=1e-5)
    predicted = logits.argmax(1, keepdim=True)
    assert step.num_right == pytest.approx(soft.gather(1, predicted).sum().item(), rel=1e-5)


@pytest.mark.parametrize("recipe", [{}, {"augmentation": "crop_flip"}, {"rand_augment": 2}, EVERYTHING])
def test_rows_of_a_batch_are_those_of_the_whole(batches, recipe):
    [(images, targets)] = made(batches, Recipe(**recipe), size=60)
    rows = slice(25, 55)
    [(own, their)] = examples(
        batches, torch.arange(60), Recipe(**recipe), lambda purpose: seed_for(0, purpose, 0), rows
    )
    torch.testing.assert_close(own, images[rows], rtol=0, atol=1e-6)
    torch.testing.assert_close(soft_labels(their), soft_labels(targets)[rows])
