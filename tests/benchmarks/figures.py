"""What a benchmark tells at its end, and how large it is."""

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Literal

Unit = Literal["×", "share", "s", "ms", "images/s", "FLOP/s", "cells/s", "turns", "bytes"]

_SHOWN: dict[Unit, Callable[[float], str]] = {
    "×": lambda value: f"{value:.1f}×",
    "share": lambda value: f"{100 * value:.1f} %",
    "s": lambda value: f"{value:.2f} s",
    "ms": lambda value: f"{value:.1f} ms",
    "images/s": lambda value: f"{value:,.0f} images/s",
    "FLOP/s": lambda value: f"{value / 1e9:,.0f} GFLOP/s",
    "cells/s": lambda value: f"{value:.1f} cells/s",
    "turns": lambda value: f"{value:.1f}",
    "bytes": lambda value: f"{value / 2**20:,.1f} MiB",
}


@dataclass(frozen=True)
class Figure:
    """One line of the table."""

    what: str
    value: float
    unit: Unit
    target: str
    """Empty for a figure that only explains another."""


def markdown_table(figures: Sequence[Figure]) -> Iterator[str]:
    """A line per figure, below two that head it."""
    yield "| figure | measured | target |"
    yield "|---|---:|---:|"
    for figure in figures:
        yield f"| {figure.what} | {_SHOWN[figure.unit](figure.value)} | {figure.target} |"


@dataclass(frozen=True)
class Size:
    """How much a benchmark works. The targets are of the full size."""

    rounds: int = 3
    """Of benchmarks that take turns with a reference."""
    resolution: int = 224
    batch_size: int = 128
    micro_batch: int = 16
    steps: int = 2
    """Of each training in a round, after one to warm up."""
    loaded_batches: int = 30
    """Through the DataLoader in a round, once its workers are no longer ahead."""
    seconds: float = 2.0
    """How long each worker takes batches in a round."""
    short_cells: int = 6
    """So short that what is around them shows."""
    ray_cells: int = 40
    """As short, on two CPUs, after two that come first."""
    many_variants: int = 50
    many_seeds: int = 200
    """Of each: 10,000 cells in all."""
    small_variants: int = 20
    small_steps: int = 40
    """In each round of benchmarks of small networks, which take turns."""
    small_rounds: int = 7
    trials: int = 27
    """Of a search with a pruner, and of one without."""
    sampler_seeds: int = 8
    short_trials: int = 12
    pictures: int = 20_000
    picture_cells: int = 30
    simulated_cells: Sequence[int] = (10_000, 100_000)
    simulated_workers: Sequence[int] = (1, 8, 64, 512, 4096)
    simulated_ended: int = 300
    """Cells whose driver is watched, of each number of cells and of workers."""

    @classmethod
    def tiny(cls) -> "Size":
        """As little as can be, to see that benchmarks still run."""
        return cls(
            rounds=1,
            resolution=67,
            batch_size=16,
            micro_batch=8,
            steps=1,
            loaded_batches=2,
            seconds=0.1,
            short_cells=1,
            ray_cells=2,
            many_variants=2,
            many_seeds=1,
            small_variants=1,
            small_steps=1,
            small_rounds=1,
            trials=3,
            sampler_seeds=2,
            short_trials=2,
            pictures=40,
            picture_cells=2,
            simulated_cells=(100,),
            simulated_workers=(8,),
            simulated_ended=10,
        )
