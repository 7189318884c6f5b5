import pytest
import torch
from torchvision.transforms import v2

from nin_bench.data.augmentation import ERASING_DRAWS, rand_augment, rand_augment_operations, random_erasing

OPERATIONS = list(v2.RandAugment._AUGMENTATION_SPACE)


def some_images(count: int, channels: int = 3, side: int = 28) -> torch.Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(256, (count, channels, side, side), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("magnitude", [0, 9, 30])
def test_every_operation_is_torchvisions(channels, magnitude):
    theirs, images = v2.RandAugment(), some_images(2, channels)
    ours = rand_augment_operations(magnitude / 30, 28, 28)
    assert list(ours) == OPERATIONS
    for name, (strengths, is_signed) in v2.RandAugment._AUGMENTATION_SPACE.items():
        found = strengths(31, 28, 28)
        strength = 0.0 if found is None else float(found[magnitude])
        for sign in (1, -1) if is_signed else (1,):
            expected = theirs._apply_image_or_video_transform(
                images, name, sign * strength, interpolation=theirs.interpolation, fill=theirs._fill
            )
            # Their strengths are rounded to float32, which can move a value across the border of two.
            difference = (ours[name](images, sign).int() - expected.int()).abs()
            assert difference.max() <= 1, (name, sign)
            assert difference.float().mean() < 0.01, (name, sign)


def test_each_image_has_operations_of_its_own_one_after_the_other():
    images = some_images(3)
    operations = list(rand_augment_operations(0.5, 28, 28).values())
    names = {name: (place + 0.5) / len(OPERATIONS) for place, name in enumerate(OPERATIONS)}
    draws = torch.tensor([
        [names["Rotate"], 0.9, names["Equalize"], 0.1],
        [names["Rotate"], 0.1, names["Posterize"], 0.9],
        [names["Identity"], 0.9, names["Identity"], 0.1],
    ])  # fmt: skip
    before = images.clone()
    changed = rand_augment(images, draws, 0.5)
    rotate, equalize, posterize = (
        operations[OPERATIONS.index(one)] for one in ("Rotate", "Equalize", "Posterize")
    )
    assert torch.equal(changed[:1], equalize(rotate(images[:1], 1), 1))
    assert torch.equal(changed[1:2], posterize(rotate(images[1:2], -1), 1))
    assert torch.equal(changed[2], images[2])
    assert torch.equal(images, before)


def erased_of(images: torch.Tensor) -> torch.Tensor:
    """The share of each white image that was made black, and that it is one rectangle."""
    black = (images == 0).all(1)
    rows, columns = black.any(2), black.any(1)
    assert torch.equal(black, rows[:, :, None] & columns[:, None, :])
    for sides in (rows, columns):  # no gap within a side
        assert ((sides[:, 1:] & ~sides[:, :-1]).sum(1) <= 1).all()
    return black.float().mean((1, 2))


def test_rectangles_are_erased_as_often_and_as_large_as_by_torchvision():
    white = torch.full((4000, 3, 28, 28), 255, dtype=torch.uint8)
    draws = torch.rand(4000, ERASING_DRAWS, generator=torch.Generator().manual_seed(1))
    ours = erased_of(random_erasing(white, draws, 0.25))
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(2)
        transform = v2.RandomErasing(p=1.0)
        theirs = erased_of(torch.stack([transform(image) for image in white[:1000]]))
    assert (ours > 0).float().mean().item() == pytest.approx(0.25, abs=0.02)
    assert ours[ours > 0].mean().item() == pytest.approx(theirs.mean().item(), rel=0.04)
    assert ours[ours > 0].std().item() == pytest.approx(theirs.std().item(), rel=0.06)
    assert torch.equal(random_erasing(white[:9], draws[:9], 0.0), white[:9])


def test_each_image_depends_on_its_own_draws_alone():
    images = some_images(20)
    generator = torch.Generator().manual_seed(3)
    erasing, augmenting = (torch.rand(20, count, generator=generator) for count in (ERASING_DRAWS, 4))
    whole = random_erasing(rand_augment(images, augmenting, 0.3), erasing, 0.9)
    parts = [
        random_erasing(rand_augment(*part[:2], 0.3), part[2], 0.9)
        for part in zip(images.split(7), augmenting.split(7), erasing.split(7), strict=True)
    ]
    assert torch.equal(whole, torch.cat(parts))
