"""Ask a trained network what a grid's probes ask: moved test images, other sizes, and what its class maps show."""

import copy
from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.functional import adaptive_avg_pool2d

from nin_bench.cost.counting import count_network
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec
from nin_bench.results.probes import MAX_MAPPED, THUMBNAIL, ImageMaps, ProbedAccuracy, Probes
from nin_bench.training.evaluation import Evaluation, Images

_DIGITS = 5
"""Of a value of a class map: it is kept to be looked at."""


def probe_network(
    model: nn.Module, image: ImageSpec, test: Images, asked: Probes, evaluate: Callable[[Images], Evaluation]
) -> dict[str, Any]:
    """What a network answers to probes; it is left in evaluation mode.

    Returns:
        The fields `asked`, `shift`, `resolution` and `class_maps` of a `ProbeFile`.

    Raises:
        StoppedError: `evaluate` was asked to stop.
    """

    def accuracy(at: int, images: Images) -> ProbedAccuracy:
        return ProbedAccuracy(at=at, accuracy=evaluate(images).accuracy)

    def resized(size: int) -> ProbedAccuracy:
        if refusal := _refusal(model, ImageSpec(image.channels, size, image.num_classes)):
            return ProbedAccuracy(at=size, accuracy=None, not_possible=refusal)
        return accuracy(size, Images(test.batches.resized(size), test.indices))

    moved = [accuracy(pixels, Images(test.batches.shifted(pixels), test.indices)) for pixels in asked.shift]
    return {
        "asked": asked,
        "shift": tuple(moved),
        "resolution": tuple(map(resized, asked.resolution)),
        "class_maps": tuple(_class_maps(model, test, asked.class_maps)),
    }


def _refusal(model: nn.Module, image: ImageSpec) -> str | None:
    """Why a network cannot take such images, with the layer that fails; None if it can."""
    try:
        count_network(copy.deepcopy(model).cpu(), image)  # the count is of no use here, the pass is
    except SpecError as refusal:
        return refusal.message
    return None


def _class_maps(model: nn.Module, test: Images, num_images: int) -> list[ImageMaps]:
    """The class maps of the first test image of each of the first classes; none if scores are not their means."""
    block = getattr(model, "class_block", None)
    if not num_images or not isinstance(block, nn.Module):
        return []
    _, labels = test.batches.raw(test.indices)
    first = [(labels == label).nonzero()[:1].flatten() for label in range(num_images)]
    places = test.indices[torch.cat(first).cpu()]
    pictures, _ = test.batches.raw(places)
    inputs, labels = test.batches.take(places)
    seen: list[Tensor] = []
    hook = block.register_forward_hook(lambda _block, _inputs, maps: seen.append(maps))
    try:
        with torch.inference_mode():
            scores = model.eval()(inputs)
    finally:
        hook.remove()
    (maps,) = seen
    if (
        maps.ndim != 4
        or maps.shape[:2] != scores.shape
        or not torch.allclose(maps.mean((2, 3)), scores, atol=1e-4)
    ):
        return []
    return [
        ImageMaps(index=index, label=label, thumbnail=_thumbnail(picture), maps=_rounded(of_classes[:MAX_MAPPED]))
        for index, label, picture, of_classes in zip(places.tolist(), labels.tolist(), pictures, maps, strict=True)
    ]


def _thumbnail(picture: Tensor) -> str:
    """A (C, H, H) uint8 image as `ImageMaps.thumbnail`."""
    small = adaptive_avg_pool2d(picture.float().mean(0, keepdim=True), THUMBNAIL)
    return bytes(small.flatten().round().int().tolist()).hex()


def _rounded(maps: Tensor) -> tuple[tuple[tuple[float, ...], ...], ...]:
    values: list[list[list[float]]] = maps.tolist()
    return tuple(tuple(tuple(float(f"{value:.{_DIGITS}g}") for value in row) for row in rows) for rows in values)
