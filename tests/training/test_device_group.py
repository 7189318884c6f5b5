"""One network in training on several devices, as far as one process can tell; tests/runner/ has two."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from torch import Tensor, distributed, nn

from nin_bench.cell import Recipe
from nin_bench.data.batches import ImageBatches
from nin_bench.errors import InputError
from nin_bench.models import ImageSpec, build_model
from nin_bench.training.device_group import DeviceGroup, check_shareable
from nin_bench.training.evaluation import Images
from nin_bench.training.trainer import Trainer

IMAGE = ImageSpec(1, 20, 10)


@pytest.fixture
def group(tmp_path: Path) -> Iterator[DeviceGroup]:
    """A group of one."""
    distributed.init_process_group("gloo", init_method=f"file://{tmp_path}/store", rank=0, world_size=1)
    yield DeviceGroup()
    distributed.destroy_process_group()


@pytest.fixture(scope="module")
def train() -> Images:
    pixels = torch.randint(256, (40, 1, 20, 20), dtype=torch.uint8, generator=torch.Generator().manual_seed(0))
    return Images(ImageBatches(pixels, torch.arange(40) % 10, 20), torch.arange(40))


def test_a_group_of_one_trains_to_the_bits_of_none(group: DeviceGroup, train: Images):
    def trained(group: DeviceGroup | None) -> dict[str, Tensor]:
        torch.manual_seed(0)
        model = build_model("nin_mnist", IMAGE, width=0.25, dropout=0.3).to(memory_format=torch.channels_last)
        recipe = Recipe(lr=0.05, batch_size=16, ema=0.5, augmentation="crop_flip", clip_norm=1.0)
        trainer = Trainer(model, recipe, train, seed=0, chance_loss=2.3, group=group)
        row = trainer.run_epoch()
        assert trainer.progress.num_images == 40
        loss = trainer.evaluate(train).loss
        return {**trainer.network.state_dict(), "losses": torch.tensor([row["train_loss"], loss])}

    alone, together = trained(None), trained(group)
    assert alone.keys() == together.keys()
    assert all(torch.equal(alone[name], together[name]) for name in alone)


class Shares(DeviceGroup):
    def __init__(self, rank: int, size: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(distributed, "get_world_size", lambda: size)
        monkeypatch.setattr(distributed, "get_rank", lambda: rank)
        super().__init__()


@pytest.mark.parametrize(
    ("num_images", "rows", "divisors"),
    [
        (8, [slice(0, 2), slice(2, 5), slice(5, 8)], [8 / 3] * 3),
        (2, [slice(0, 1), slice(0, 1), slice(1, 2)], [float("inf"), 2 / 3, 2 / 3]),
    ],
)
def test_shares_make_up_the_batch(num_images, rows, divisors, monkeypatch: pytest.MonkeyPatch):
    for rank, (own, divisor) in enumerate(zip(rows, divisors, strict=True)):
        group = Shares(rank, 3, monkeypatch)
        assert group.take_share(num_images) == pytest.approx(divisor)
        assert (group.own, group.num_images, group.leads) == (own, num_images, rank == 0)


@pytest.mark.parametrize(
    ("layer", "words"), [(nn.Dropout2d(0.5), "by more than nn.Dropout"), (nn.RReLU(), "by more than nn.Dropout")]
)
def test_networks_that_draw_otherwise_are_refused(group: DeviceGroup, train: Images, layer: nn.Module, words: str):
    model = nn.Sequential(layer, nn.Flatten(), nn.Linear(400, 10))
    with pytest.raises(InputError, match=words):
        Trainer(model, Recipe(), train, seed=0, chance_loss=2.3, group=group)


def test_dropout_that_mixes_images_is_refused(group: DeviceGroup, train: Images):
    model = nn.Sequential(
        nn.Flatten(), nn.Unflatten(1, (2, 200)), nn.Flatten(0, 1), nn.Dropout(), nn.Linear(200, 10)
    )
    trainer = Trainer(model, Recipe(batch_size=20), train, seed=0, chance_loss=2.3, group=group)
    with pytest.raises(InputError, match="images one by one"):
        trainer.step(torch.arange(20))


@pytest.mark.parametrize(
    ("name", "arguments", "recipe", "words"),
    [
        ("lenet", {"batch_norm": True}, {}, "batch normalisation"),
        ("mlp", {}, {"micro_batch": 4}, "micro_batch"),
        ("mlp", {}, {"micro_batch": "auto"}, "micro_batch"),
        ("mlp", {}, {"compile": True}, "compile"),
    ],
)
def test_what_a_share_would_change_is_refused(name: str, arguments: dict[str, bool], recipe, words: str):
    with pytest.raises(InputError, match=words):
        check_shareable(build_model(name, IMAGE, **arguments), Recipe(**recipe))
