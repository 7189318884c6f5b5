"""Random changes of training images: functions of uint8 images and of draws that were made before.

Draws are made on the CPU, so that they are the same wherever images rest. Images (n, C, H, W) keep their size.
"""

import math
from collections.abc import Callable

import torch
from torch import Tensor

ERASED_AREA = (0.02, 0.33)
ERASED_RATIO = (0.3, 3.3)
ERASING_TRIES = 10
"""Rectangles drawn for an image, of which the first that fits is taken (Zhong et al., 2020; torchvision)."""
ERASING_DRAWS = 1 + 4 * ERASING_TRIES


def random_erasing(images: Tensor, draws: Tensor, share: float) -> Tensor:
    """Make a rectangle black in the images whose first draw is below `share`.

    Args:
        images: as above.
        draws: (n, 41) from [0, 1): whether, then area, ratio, top and left of ten rectangles. Areas, ratios and
            the rule that the first that fits is taken are those of torchvision's RandomErasing.
        share: of the images.
    """
    _, _, height, width = images.shape
    tries = draws[:, 1:].view(-1, ERASING_TRIES, 4)
    area = height * width * _between(*ERASED_AREA, tries[..., 0])
    ratio = _between(math.log(ERASED_RATIO[0]), math.log(ERASED_RATIO[1]), tries[..., 1]).exp()
    tall, wide = (area * ratio).sqrt().round(), (area / ratio).sqrt().round()
    top = (tries[..., 2] * (height - tall + 1)).floor()
    left = (tries[..., 3] * (width - wide + 1)).floor()
    fits = (tall < height) & (wide < width)
    first = (fits * torch.arange(ERASING_TRIES, 0, -1)).argmax(1, keepdim=True)
    above, below, before, behind = (
        edge.gather(1, first).to(images.device) for edge in (top, top + tall, left, left + wide)
    )
    rows, columns = (torch.arange(side, device=images.device) for side in (height, width))
    in_rows, in_columns = (rows >= above) & (rows < below), (columns >= before) & (columns < behind)
    wanted = ((draws[:, 0] < share) & fits.any(1)).to(images.device)
    erased = wanted[:, None, None] & in_rows[:, :, None] & in_columns[:, None, :]
    return images.masked_fill(erased[:, None], 0)


def _between(low: float, high: float, draws: Tensor) -> Tensor:
    return low + (high - low) * draws


def rand_augment(images: Tensor, draws: Tensor, strength: float) -> Tensor:
    """Change each image by operations drawn for it, one after the other, all of one strength.

    The operations are those of torchvision's RandAugment, which draws from a generator that has a state.

    Args:
        images: as above, of 1 or 3 channels.
        draws: (n, 2 k) from [0, 1), on the CPU: of each of k operations which one, and which way.
        strength: from 0 to 1.
    """
    operations = list(rand_augment_operations(strength, *images.shape[-2:]).values())
    images = images.clone()
    for column in range(0, draws.shape[1], 2):
        chosen = (draws[:, column] * len(operations)).long()
        backwards = draws[:, column + 1] <= 0.5
        for number, is_backwards in dict.fromkeys(zip(chosen.tolist(), backwards.tolist(), strict=True)):
            positions = ((chosen == number) & (backwards == is_backwards)).nonzero().squeeze(1).to(images.device)
            images[positions] = operations[number](images[positions], -1 if is_backwards else 1)
    return images


Operation = Callable[[Tensor, int], Tensor]
"""Takes images and 1 or, to act the other way, -1; those that have but one way ignore it."""


def rand_augment_operations(strength: float, height: int, width: int) -> dict[str, Operation]:
    """RandAugment's operations at one strength, from 0 to 1, on images of one size, by torchvision's names."""
    from torchvision.transforms.v2 import functional as v2  # takes a while to import

    def affine(
        images: Tensor, *, move: tuple[float, float] = (0, 0), shear: tuple[float, float] = (0, 0)
    ) -> Tensor:
        degrees = [math.degrees(math.atan(one)) for one in shear]
        # A shear is about the corner, a shift about the middle, as torchvision has them.
        center = [0.0, 0.0] if any(shear) else None
        moved: Tensor = v2.affine(images, 0.0, [int(one) for one in move], 1.0, degrees, center=center)
        return moved

    slope, enhanced, turned = 0.3 * strength, 0.9 * strength, 30.0 * strength
    right, down = (150 / 331 * side * strength for side in (width, height))
    return {
        "Identity": lambda images, sign: images,
        "ShearX": lambda images, sign: affine(images, shear=(sign * slope, 0)),
        "ShearY": lambda images, sign: affine(images, shear=(0, sign * slope)),
        "TranslateX": lambda images, sign: affine(images, move=(sign * right, 0)),
        "TranslateY": lambda images, sign: affine(images, move=(0, sign * down)),
        "Rotate": lambda images, sign: v2.rotate(images, sign * turned),
        "Brightness": lambda images, sign: v2.adjust_brightness(images, 1 + sign * enhanced),
        "Color": lambda images, sign: v2.adjust_saturation(images, 1 + sign * enhanced),
        "Contrast": lambda images, sign: v2.adjust_contrast(images, 1 + sign * enhanced),
        "Sharpness": lambda images, sign: v2.adjust_sharpness(images, 1 + sign * enhanced),
        "Posterize": lambda images, sign: v2.posterize(images, round(8 - 4 * strength)),
        "Solarize": lambda images, sign: v2.solarize(images, 255 * (1 - strength)),
        "AutoContrast": lambda images, sign: v2.autocontrast(images),
        "Equalize": lambda images, sign: v2.equalize(images),
    }
