"""From counts and samples to the entry that a costs file keeps: raw samples, their medians, and what follows."""

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any

import numpy as np

from nin_bench.cell import Cell, Recipe
from nin_bench.cost.ceilings import Ceilings, Precision
from nin_bench.cost.clocks import LayerSeconds
from nin_bench.cost.counting import Breakdown, count_cost, count_training_flops
from nin_bench.cost.memory import Memory, count_memory
from nin_bench.cost.roofline import LayerWork, Roofline, count_work
from nin_bench.cost.samples import BatchSize, Rehearsal, Sample, Speed
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec
from nin_bench.results.cost_entry import Distribution, Entry, distribution
from nin_bench.training.evaluation import EVALUATION_BATCH


@dataclass(frozen=True)
class Counted:
    """What is known of a variant exactly, before anything is measured."""

    num_params: Breakdown
    num_macs: Breakdown
    """Per image, forward."""
    first_dense_weights: int | None
    training_flops: int
    """Per image, forward and backward."""
    memory_bytes: dict[str, int]
    """The formula, and what it says of the recipe's batch and of an evaluation's."""
    batches: list[BatchSize]
    """Steps whose memory is measured beside the recipe's own: batches that pass whole, and in micro-batches."""
    layers: list[LayerWork]


def count_variant(cell: Cell, image: ImageSpec, device: str) -> Counted:
    """Count what a variant takes.

    Args:
        cell: the variant, with any seed.
        image: what goes into its network.
        device: where it would run; what dropout keeps for backward depends on it.

    Raises:
        SpecError: what `build_model` refuses.
    """
    model, arguments, recipe = cell.model.name, cell.model.arguments, cell.recipe
    count = count_cost(model, image, **arguments)
    # The formula is of the network as written; what a compiler makes of it is measured.
    as_written = recipe.model_copy(update={"compile": False})

    def memory_of(recipe: Recipe) -> Memory:
        return count_memory(model, image, recipe, device=device, **arguments)

    memory = memory_of(as_written)
    return Counted(
        num_params=count.num_params,
        num_macs=count.num_macs,
        first_dense_weights=count.first_dense_weights,
        training_flops=count_training_flops(model, image, **arguments),
        memory_bytes={
            **memory.as_dict(recipe.batch_size),
            "predict_peak_foretold": memory.predict_peak(EVALUATION_BATCH),
        },
        batches=[*_batches(memory_of, as_written)],
        layers=count_work(
            model,
            image,
            precision=recipe.precision,
            batch_size=min(recipe.batch_size, recipe.micro_batch or recipe.batch_size),
            **arguments,
        ),
    )


def _batches(memory_of: Callable[[Recipe], Memory], recipe: Recipe) -> Iterator[BatchSize]:
    """A quarter, half and all of the recipe's batch whole, and half and all of it in micro-batches.

    Without any in the recipe, a quarter of the batch is one; batch normalisation has none.
    """
    quarter, half, whole = (max(2, recipe.batch_size // part) for part in (4, 2, 1))
    for micro_batch, batch_sizes in (
        (None, (quarter, half, whole)),
        (recipe.micro_batch or quarter, (half, whole)),
    ):
        with suppress(SpecError):
            memory = memory_of(recipe.model_copy(update={"micro_batch": micro_batch}))
            for batch_size in dict.fromkeys(batch_sizes):
                yield BatchSize(batch_size, micro_batch, memory.train_peak(batch_size))


@dataclass
class Measurements:
    """What was measured so far of a variant."""

    rehearsal: Rehearsal | None = None
    samples: list[Sample] = field(default_factory=list)
    """One per round."""
    busy: list[Speed] = field(default_factory=list)
    """One per worker and busy round."""
    batch_peaks: list[int | None] | None = None
    """Bytes that a step holds at most, of each of `Counted.batches`; None for one that was not tried."""
    error: str | None = None
    """Why no more was measured."""


def make_entry(
    cell: Cell,
    image: ImageSpec,
    counted: Counted,
    measured: Measurements,
    ceilings: Sequence[Ceilings],
    *,
    machine: dict[str, Any],
    measured_at: str,
    num_workers: int,
) -> Entry:
    """The entry of one variant; null for what was not measured.

    Args:
        cell: the variant, with any seed.
        image: what goes into its network.
        counted: of it.
        measured: of it.
        ceilings: of the device, one per round.
        machine: that measured it.
        measured_at: when the measuring began.
        num_workers: of the busy figures.
    """
    recipe, samples, rehearsal = cell.recipe, measured.samples, measured.rehearsal
    roof = _roof(recipe.precision, ceilings) if ceilings else None
    return {
        "machine": machine,
        "measured_at": measured_at,
        "error": measured.error,
        "setting": {
            "batch_size": recipe.batch_size,
            "micro_batch": recipe.micro_batch,
            "evaluation_batch": EVALUATION_BATCH,
            "precision": recipe.precision,
            "optimizer": recipe.optimizer,
            **asdict(image),
            "num_threads": rehearsal.num_threads if rehearsal else None,
            "num_rounds": len(samples),
            "num_workers": num_workers,
            "workload": asdict(rehearsal.workload) if rehearsal else None,
        },
        "num_params": asdict(counted.num_params),
        "num_macs": asdict(counted.num_macs),
        "first_dense_weights": counted.first_dense_weights,
        "training_flops": counted.training_flops,
        "memory_bytes": {
            **counted.memory_bytes,
            "process": rehearsal.process_bytes if rehearsal else None,
            "train_peak": rehearsal.train_peak_bytes if rehearsal else None,
            "predict_peak": rehearsal.predict_peak_bytes if rehearsal else None,
            "batches": [
                {**asdict(batch), "peak": peak}
                for batch, peak in zip(
                    counted.batches, measured.batch_peaks or [None] * len(counted.batches), strict=True
                )
            ],
        },
        "train": _train(samples, measured.busy) if samples else None,
        "predict": _predict(samples, measured.busy) if samples else None,
        "latency_seconds": _latency(samples) if samples else None,
        "startup_seconds": _spread(sample.startup_seconds for sample in samples),
        "energy_joules_per_image": _energy(samples),
        "mfu": _mfu(counted, samples, roof) if roof else None,
        "ceilings": _ceilings(ceilings),
        "load": [asdict(sample.load) for sample in samples],
        "layers": [
            _layer(work, [sample.layers[work.layer.name] for sample in samples], roof) for work in counted.layers
        ],
    }


def _spread(values: Iterable[float | None]) -> Distribution | None:
    """Null unless every value is known, and there is one."""
    all_values = list(values)
    known = [value for value in all_values if value is not None]
    return distribution(known) if known and len(known) == len(all_values) else None


def _train(samples: Sequence[Sample], busy: Sequence[Speed]) -> dict[str, Any]:
    return {
        "images_per_second": _spread(sample.speed.train_images_per_second for sample in samples),
        "busy_images_per_second": _spread(one.train_images_per_second for one in busy),
        **{
            f"{part}_seconds": _spread(sample.step_seconds[part] for sample in samples)
            for part in samples[0].step_seconds
        },
    }


def _predict(samples: Sequence[Sample], busy: Sequence[Speed]) -> dict[str, Any]:
    return {
        "images_per_second": _spread(sample.speed.predict_images_per_second for sample in samples),
        "busy_images_per_second": _spread(one.predict_images_per_second for one in busy),
    }


def _latency(samples: Sequence[Sample]) -> dict[str, Any]:
    pooled = [seconds for sample in samples for seconds in sample.latency_seconds]
    p50, p95, p99 = (float(value) for value in np.percentile(pooled, [50, 95, 99]))
    return {"p50": p50, "p95": p95, "p99": p99, "samples": [sample.latency_seconds for sample in samples]}


def _energy(samples: Sequence[Sample]) -> dict[str, Any] | None:
    train = _spread(sample.train_joules_per_image for sample in samples)
    predict = _spread(sample.predict_joules_per_image for sample in samples)
    return {"train": train, "predict": predict} if train and predict else None


def _roof(precision: Precision, ceilings: Sequence[Ceilings]) -> Roofline:
    """The highest that the measuring saw: what was measured beside something else is no ceiling."""
    return Roofline(
        flops_per_second=max(getattr(one, f"{precision}_flops_per_second") for one in ceilings),
        bytes_per_second=max(one.copy_bytes_per_second for one in ceilings),
    )


def _mfu(counted: Counted, samples: Sequence[Sample], roof: Roofline) -> Distribution | None:
    return _spread(
        counted.training_flops * sample.speed.train_images_per_second / roof.flops_per_second for sample in samples
    )


def _ceilings(ceilings: Sequence[Ceilings]) -> dict[str, Any] | None:
    if not ceilings:
        return None
    return {name: _spread(getattr(one, name) for one in ceilings) for name in asdict(ceilings[0])}


def _layer(work: LayerWork, timed: Sequence[LayerSeconds], roof: Roofline | None) -> dict[str, Any]:
    """One layer: what it computes and moves, exactly, and the medians of its seconds over the rounds."""
    forward, backward = _spread(one.forward for one in timed), _spread(one.backward for one in timed)
    return {
        "name": work.layer.name,
        "type": work.layer.type,
        "kind": work.kind,
        "num_params": work.layer.num_params,
        "num_macs": work.layer.num_macs,
        "output_shape": list(work.layer.output_shape),
        "forward_seconds": forward["median"] if forward else None,
        "backward_seconds": backward["median"] if backward else None,
        "flops": work.flops,
        "bytes": work.num_bytes,
        "flops_per_byte": work.flops_per_byte,
        "share_of_roof": roof.share(work, forward["median"]) if roof and forward else None,
        "bound": roof.bound(work) if roof else None,
    }
