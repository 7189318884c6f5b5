"""What a device can do at most: the fastest matrix product in fp32 and bf16, and how fast it copies memory.

Which kernel is fastest differs between machines (on an AMD processor torch's fp32 matrix product reached half of
what its convolutions did), so that a ceiling is the best of several products: square ones, and convolutions with
many channels, which are products too. Their operands and results are allocated before the clock starts; what is
kept of several repetitions is the fastest, since whatever disturbs a measurement only slows it.
"""

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Literal

import torch
from torch.nn import functional

from nin_bench.cost.timers import synchronizer

Precision = Literal["fp32", "bf16"]

_TYPES: dict[Precision, torch.dtype] = {"fp32": torch.float32, "bf16": torch.bfloat16}
_REPETITIONS = 5
_SECONDS = 0.05
"""What the repetitions of one candidate may take together; a type that a processor only emulates can be slow."""


@dataclass(frozen=True)
class Size:
    """How large the candidates are: enough to fill the device, in as little time as that takes."""

    matrices: tuple[int, ...]
    """Rows, and columns, of square matrices."""
    convolutions: tuple[tuple[int, int, int, int], ...]
    """Images, channels (in and out), pixels each way, and window of a convolution."""
    copied_bytes: int
    """Well above what a cache holds."""


_CPU = Size(
    matrices=(512, 1024),
    convolutions=((8, 256, 32, 1), (4, 128, 28, 3), (2, 256, 28, 3)),
    copied_bytes=2**26,
)
_ACCELERATOR = Size(
    matrices=(4096, 8192),
    convolutions=((64, 512, 56, 1), (64, 256, 56, 3), (64, 512, 28, 3)),
    copied_bytes=2**30,
)


@dataclass(frozen=True)
class Ceilings:
    """One sample of what a device can do."""

    fp32_flops_per_second: float
    bf16_flops_per_second: float
    copy_bytes_per_second: float
    """Bytes read and bytes written, together."""


def measure_ceilings(device: torch.device) -> Ceilings:
    """Measure a device, with the threads that this process has."""
    size = _CPU if device.type == "cpu" else _ACCELERATOR
    synchronize = synchronizer(device)
    with torch.inference_mode():
        flops = {
            precision: max(flops / _fastest(act, synchronize) for act, flops in _products(size, data_type, device))
            for precision, data_type in _TYPES.items()
        }
        source = torch.ones(size.copied_bytes, dtype=torch.uint8, device=device)
        goal = torch.zeros_like(source)
        copy_seconds = _fastest(lambda: goal.copy_(source), synchronize)
    return Ceilings(flops["fp32"], flops["bf16"], 2 * size.copied_bytes / copy_seconds)


def _products(
    size: Size, data_type: torch.dtype, device: torch.device
) -> Iterator[tuple[Callable[[], object], int]]:
    """Each candidate, ready to run, and its FLOPs."""
    for rows in size.matrices:
        yield _matrix_product(rows, data_type, device), 2 * rows**3
    for images, channels, side, window in size.convolutions:
        flops = 2 * images * side**2 * channels**2 * window**2
        yield _convolution(images, channels, side, window, data_type, device), flops


def _matrix_product(rows: int, data_type: torch.dtype, device: torch.device) -> Callable[[], object]:
    left, right = torch.rand(2, rows, rows, device=device).to(data_type)
    product = torch.empty_like(left)
    return lambda: torch.mm(left, right, out=product)


def _convolution(
    images: int, channels: int, side: int, window: int, data_type: torch.dtype, device: torch.device
) -> Callable[[], object]:
    def operand(*shape: int) -> torch.Tensor:
        return torch.rand(shape, device=device).to(data_type).contiguous(memory_format=torch.channels_last)

    maps, weight = operand(images, channels, side, side), operand(channels, channels, window, window)
    return lambda: functional.conv2d(maps, weight, padding=window // 2)


def _fastest(act: Callable[[], object], synchronize: Callable[[], None]) -> float:
    """Seconds of the fastest repetition, after one to warm up."""
    act()
    synchronize()
    fastest, began = float("inf"), time.perf_counter()
    for _ in range(_REPETITIONS):
        start = time.perf_counter()
        act()
        synchronize()
        end = time.perf_counter()
        fastest = min(fastest, end - start)
        if end - began > _SECONDS:
            break
    return fastest
