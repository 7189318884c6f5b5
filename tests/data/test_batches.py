import numpy as np
import pytest
import torch
from scipy import ndimage
from sklearn.datasets import load_digits
from torch import Tensor
from torchvision.transforms import v2

from nin_bench.cell import Augmentation
from nin_bench.data.batches import ImageBatches
from nin_bench.data.sources import DATASETS, data_root

EVERYTHING = torch.arange(4)


def numbered(channels: int, side: int) -> ImageBatches:
    """Four images of pixels that differ from each other, labelled 0 to 3, at their own size."""
    return ImageBatches(pixels(channels, side), torch.arange(4), side)


def pixels(channels: int, side: int) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(1, 256, (4, channels, side, side), generator=generator, dtype=torch.uint8)


def assert_resized_as_torchvision_does(images: Tensor, resolution: int) -> None:
    batches = ImageBatches(images, torch.zeros(len(images), dtype=torch.int64), resolution)
    resized, _ = batches.take(torch.arange(len(images)))
    exact = v2.Resize((resolution, resolution))(images.double() / 255)
    assert (exact - resized).abs().max() < 1e-6
    # The notebooks resize to 8 bits, which rounds rows and then columns, by half a level each at most; torchvision
    # computes with rounded weights besides, whence the half per cent.
    transform = v2.Compose(
        [v2.Resize((resolution, resolution)), v2.ToImage(), v2.ToDtype(torch.float32, scale=True)]
    )
    for image, ours in zip(images, resized, strict=True):
        for picture in (image, v2.functional.to_pil_image(image)):
            assert (transform(picture) - ours).abs().max() <= 1.005 / 255


@pytest.mark.parametrize("resolution", [3, 5, 8, 28, 67, 131])
def test_digits_are_resized_as_torchvision_does(resolution: int):
    images = torch.from_numpy(load_digits().images[:50] * (255 / 16)).to(torch.uint8)[:, None]
    assert_resized_as_torchvision_does(images, resolution)


@pytest.mark.fashion
@pytest.mark.parametrize("resolution", [7, 20, 28, 131, 224])
def test_clothes_are_resized_as_torchvision_does(resolution: int):
    images, _ = DATASETS["fashion_mnist"].read("test", data_root(None))
    assert_resized_as_torchvision_does(torch.from_numpy(images[:50]), resolution)


@pytest.mark.parametrize("resolution", [16, 48])
def test_colours_are_resized_as_torchvision_does(resolution: int):
    assert_resized_as_torchvision_does(pixels(3, 32), resolution)


def test_at_their_own_size_images_are_only_scaled():
    images, labels = numbered(3, 32).take(torch.tensor([2, 0]))
    assert torch.equal(images, pixels(3, 32)[[2, 0]] / 255)
    assert labels.tolist() == [2, 0]
    assert (images.dtype, labels.dtype) == (torch.float32, torch.int64)


def test_batches_are_channels_last():
    images, _ = ImageBatches(pixels(3, 8), torch.arange(4), 16).take(EVERYTHING)
    assert images.is_contiguous(memory_format=torch.channels_last)


def test_pixels_are_standardised_after_resizing():
    mean, std = torch.tensor([0.5, 0.25, 0.125]), torch.tensor([0.25, 0.5, 0.0])
    plain = ImageBatches(pixels(3, 8), torch.arange(4), 12)
    standardised = ImageBatches(pixels(3, 8), torch.arange(4), 12, standardise_by=(mean, std))
    # The third channel never varies, it is said, so it is only centred.
    expected = (plain.take(EVERYTHING)[0] - mean.view(3, 1, 1)) / torch.tensor([0.25, 0.5, 1.0]).view(3, 1, 1)
    assert torch.allclose(standardised.take(EVERYTHING)[0], expected)


def test_resized_batches_are_those_of_that_size():
    there = numbered(3, 8).resized(12).resized(20)
    assert torch.equal(
        there.take(EVERYTHING)[0], ImageBatches(pixels(3, 8), torch.arange(4), 20).take(EVERYTHING)[0]
    )
    assert torch.equal(there.resized(8).take(EVERYTHING)[0], numbered(3, 8).take(EVERYTHING)[0])


def test_shifted_images_move_right_down_left_and_up_in_turn_and_leave_black():
    mean, std = torch.tensor([0.5, 0.5, 0.5]), torch.tensor([0.25, 0.25, 0.25])
    batches = ImageBatches(pixels(3, 8), torch.arange(4), 12, standardise_by=(mean, std))
    plain, moved = batches.take(EVERYTHING)[0], batches.shifted(5).take(EVERYTHING)[0]
    black = -0.5 / 0.25
    for image, wanted, found in zip(range(4), ((0, 5), (5, 0), (0, -5), (-5, 0)), moved, strict=True):
        expected = ndimage.shift(plain[image].numpy(), (0, *wanted), order=0, cval=black)
        assert np.array_equal(found.numpy(), expected)
    # by its index, however a batch is cut
    assert torch.equal(batches.shifted(5).take(torch.tensor([3, 1]))[0], moved[[3, 1]])
    assert torch.equal(batches.shifted(0).take(EVERYTHING)[0], plain)


def test_flip_mirrors_half_of_the_images_and_keeps_labels():
    indices = torch.arange(4).repeat(500)
    images, labels = numbered(3, 8).take(indices, "flip", torch.Generator().manual_seed(1))
    originals = pixels(3, 8)[indices] / 255
    mirrored = (images == originals.flip(-1)).flatten(1).all(1)
    kept = (images == originals).flatten(1).all(1)
    assert (mirrored ^ kept).all()
    # 2,000 fair coins: four standard deviations are 0.045.
    assert mirrored.float().mean().item() == pytest.approx(0.5, abs=0.045)
    assert torch.equal(labels, indices)


def test_crop_flip_shifts_by_up_to_an_eighth_of_the_side():
    # One white pixel in the middle of 32 x 32 says how far each image went, once those mirrored are mirrored back.
    image = torch.zeros(1, 1, 32, 32, dtype=torch.uint8)
    image[0, 0, 16, 16] = 255
    batches = ImageBatches(image, torch.zeros(1, dtype=torch.int64), 32)
    indices = torch.zeros(3000, dtype=torch.int64)
    shifted, _ = batches.take(indices, "crop_flip", torch.Generator().manual_seed(2))
    places = shifted[:, 0].nonzero()
    assert len(places) == 3000
    rows, columns = places[:, 1] - 16, places[:, 2] - 16
    assert rows.unique().tolist() == list(range(-4, 5))
    # A mirrored image has the pixel in column 31 - 16 = 15 where nothing is shifted.
    assert columns.unique().tolist() == list(range(-5, 5))
    assert rows.double().mean().item() == pytest.approx(0, abs=0.2)


def test_crop_flip_fills_with_black_and_moves_all_channels_alike():
    images, _ = numbered(3, 32).take(EVERYTHING.repeat(50), "crop_flip", torch.Generator().manual_seed(3))
    black = images == 0  # the images themselves hold none
    assert black.any()
    assert torch.equal(black[:, 0], black[:, 1])
    assert torch.equal(black[:, 0], black[:, 2])
    originals = (pixels(3, 32) / 255).repeat(50, 1, 1, 1)
    for image, original in zip(images, originals, strict=True):
        assert torch.isin(image[image > 0], original).all()


@pytest.mark.parametrize("augmentation", ["flip", "crop_flip"])
def test_draws_do_not_depend_on_how_a_batch_is_cut(augmentation: Augmentation):
    indices = torch.arange(4).repeat(25)
    whole, _ = numbered(3, 16).take(indices, augmentation, torch.Generator().manual_seed(4))
    generator = torch.Generator().manual_seed(4)
    parts = [numbered(3, 16).take(part, augmentation, generator)[0] for part in indices.split(7)]
    assert torch.equal(whole, torch.cat(parts))


@pytest.mark.gpu
@pytest.mark.skipif(not torch.accelerator.is_available(), reason="needs an accelerator")
def test_an_accelerator_makes_the_same_batches():
    device = torch.accelerator.current_accelerator()
    assert device is not None
    here, there = (ImageBatches(pixels(3, 32), torch.arange(4), 67, device=place) for place in ("cpu", device))
    expected, _ = here.take(EVERYTHING, "crop_flip", torch.Generator().manual_seed(5))
    images, labels = there.take(EVERYTHING, "crop_flip", torch.Generator().manual_seed(5))
    assert images.device.type == labels.device.type == device.type
    assert torch.allclose(images.cpu(), expected, atol=1e-5)
