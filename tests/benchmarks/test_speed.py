"""What is compared is the ratio within one run: `make bench`."""

import math
from pathlib import Path

import pytest
import torch
from torchvision.transforms import v2

from nin_bench.cell import Recipe
from nin_bench.data import ImageBatches
from nin_bench.grid import Grid
from nin_bench.models import ImageSpec, build_model
from nin_bench.plan import RegistryCatalog
from nin_bench.training import Images, Trainer

NUM_IMAGES = 64


@pytest.fixture(autouse=True)
def _one_thread():
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def pixels() -> torch.Tensor:
    return torch.randint(0, 256, (NUM_IMAGES, 1, 28, 28), dtype=torch.uint8)


@pytest.mark.benchmark(group="64 images, 28 to 224 pixels")
def test_batches(benchmark):
    batches = ImageBatches(pixels(), torch.zeros(NUM_IMAGES, dtype=torch.int64), 224)
    benchmark(batches.take, torch.arange(NUM_IMAGES))


@pytest.mark.benchmark(group="64 images, 28 to 224 pixels")
def test_torchvision_on_pictures(benchmark):
    to_picture, resize = (
        v2.ToPILImage(),
        v2.Compose([v2.Resize(224), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]),
    )
    pictures = [to_picture(image) for image in pixels()]
    benchmark(lambda: torch.stack([resize(picture) for picture in pictures]))


@pytest.mark.benchmark(group="training step, 32 images at 131 pixels")
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
@pytest.mark.parametrize(("name", "width"), [("nin", 0.25), ("alexnet", 0.25), ("vgg11", 0.0625)])
def test_step(benchmark, name: str, width: float, precision: str):
    arguments = {"width": width} if name == "nin" else {"width": width, "hidden": 1024}
    model = build_model(name, ImageSpec(1, 131, 10), **arguments).to(memory_format=torch.channels_last)
    images = Images(ImageBatches(pixels(), torch.zeros(NUM_IMAGES, dtype=torch.int64), 131), torch.arange(32))
    trainer = Trainer(model, Recipe(lr=1e-3, precision=precision), images, seed=0, chance_loss=math.log(10))
    benchmark(trainer.step, images.indices)


@pytest.mark.benchmark(group="planning")
def test_expand_ten_thousand_cells(benchmark, tmp_path: Path):
    grid = tmp_path / "grid.yaml"
    widths = [8 * number for number in range(1, 51)]
    grid.write_text(
        f"schema: 1\nname: many\ndata: {{name: digits}}\nseeds: 200\nmodels: [{{name: mlp, hidden: {widths}}}]\n"
    )
    benchmark(lambda: Grid.load(grid, RegistryCatalog()).as_dict())
