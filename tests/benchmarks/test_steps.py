"""A training step of each family, and its batches, as one worker computes them."""

import math

import pytest
import torch

from nin_bench.cell import Recipe
from nin_bench.data.batches import ImageBatches
from nin_bench.models import ImageSpec, build_model
from nin_bench.training.evaluation import Images
from nin_bench.training.trainer import Trainer

RESOLUTION = 131
BATCH_SIZE = 32
SMALL = {
    "nin": {"width": 0.25},
    "alexnet": {"width": 0.25, "hidden": 1024},
    "vgg11": {"width": 0.0625, "hidden": 1024},
    "lenet": {},
    "mlp": {},
}


def batches(resolution: int) -> ImageBatches:
    pixels = torch.randint(0, 256, (BATCH_SIZE, 1, 28, 28), dtype=torch.uint8)
    return ImageBatches(pixels, torch.zeros(BATCH_SIZE, dtype=torch.int64), resolution)


@pytest.mark.benchmark(group="training step, 32 images at 131 pixels")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize("name", SMALL)
def test_step(benchmark, name: str, precision: str):
    model = build_model(name, ImageSpec(1, RESOLUTION, 10), **SMALL[name]).to(memory_format=torch.channels_last)
    images = Images(batches(RESOLUTION), torch.arange(BATCH_SIZE))
    trainer = Trainer(model, Recipe(lr=1e-3, precision=precision), images, seed=0, chance_loss=math.log(10))
    benchmark(trainer.step, images.indices)


@pytest.mark.benchmark(group="32 images, made into a batch of 131 pixels")
@pytest.mark.parametrize("augmentation", ["none", "crop_flip"])
def test_batch(benchmark, augmentation: str):
    taken = batches(RESOLUTION)
    benchmark(taken.take, torch.arange(BATCH_SIZE), augmentation, torch.Generator().manual_seed(0))
