"""From counts and samples to a cost entry: raw samples, their medians, and what follows from them."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

import numpy as np

from nin_bench.cell import Cell, Recipe
from nin_bench.cost.ceilings import Ceilings
from nin_bench.cost.counting import LayerCount, ModelCount, count_model
from nin_bench.cost.memory import MemoryFormula, count_memory
from nin_bench.cost.roofline import Roofline, bytes_moved
from nin_bench.cost.samples import Sample, Speed, WarmUp
from nin_bench.cost.timers import LayerSeconds
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec
from nin_bench.results.artefact import Machine
from nin_bench.results.cost_entry import (
    BatchPeak,
    CostEntry,
    Energy,
    Kind,
    KindSeconds,
    Latency,
    Layer,
    MemoryBytes,
    Predict,
    Rounds,
    Setting,
    Train,
)
from nin_bench.training.evaluation import EVALUATION_BATCH


@dataclass(frozen=True)
class Counted:
    """What is known of a variant exactly, before anything is measured."""

    model: ModelCount
    memory_bytes: MemoryBytes
    """Memory by the formula; nothing is measured in it. Its `batches` are tried beside the recipe's own."""


def count_variant(cell: Cell, image: ImageSpec, device: str) -> Counted:
    """Count what a variant takes; SpecError as `count_model` and `count_memory`."""
    model, arguments, recipe = cell.model.name, cell.model.arguments, cell.recipe
    # The formula is of the network as written; what a compiler makes of it is measured.
    as_written = recipe.model_copy(update={"compile": False})

    def memory_of(recipe: Recipe) -> MemoryFormula:
        return count_memory(model, image, recipe, device=device, **arguments)

    counted = count_model(model, image, **arguments)
    memory = memory_of(as_written)
    return Counted(
        model=counted,
        memory_bytes=MemoryBytes(
            **memory.terms(),
            train_sum=memory.train_sum(recipe.batch_size),
            train_peak_estimate=memory.train_peak(recipe.batch_size),
            predict_peak_estimate=memory.predict_peak(EVALUATION_BATCH),
            process=None,
            train_peak=None,
            predict_peak=None,
            batches=tuple(_batches(memory_of, as_written)),
        ),
    )


def _batches(memory_of: Callable[[Recipe], MemoryFormula], recipe: Recipe) -> Iterator[BatchPeak]:
    """A quarter, half and all of the recipe's batch whole, and half and all of it in micro-batches.

    If the recipe has no micro-batches, a quarter of the batch is one; batch normalisation has none.
    """
    quarter, half, whole = (max(2, recipe.batch_size // part) for part in (4, 2, 1))
    for micro_batch, batch_sizes in (
        (None, (quarter, half, whole)),
        (recipe.fixed_micro_batch or quarter, (half, whole)),
    ):
        with suppress(SpecError):
            memory = memory_of(recipe.model_copy(update={"micro_batch": micro_batch}))
            for batch_size in dict.fromkeys(batch_sizes):
                yield BatchPeak(
                    batch_size=batch_size, micro_batch=micro_batch, peak_estimate=memory.train_peak(batch_size)
                )


@dataclass
class Measurements:
    """What was measured of a variant so far."""

    warm_up: WarmUp | None = None
    samples: list[Sample] = field(default_factory=list)
    """One per round."""
    busy: list[Speed] = field(default_factory=list)
    """One per worker and busy round."""
    batch_peaks: list[BatchPeak] | None = None
    """The batches of `Counted` with their peaks."""
    error: str | None = None
    """Why no more was measured."""


def make_entry(
    cell: Cell,
    image: ImageSpec,
    counted: Counted,
    measured: Measurements,
    ceilings: Sequence[Ceilings],
    *,
    machine: Mapping[str, Any],
    measured_at: str,
    num_workers: int,
) -> CostEntry:
    """The entry of one variant; None for what was not measured."""
    recipe, model, samples, warm_up = cell.recipe, counted.model, measured.samples, measured.warm_up
    # The highest of all rounds: what was measured beside something else is no ceiling.
    roof = ceilings and Roofline(
        # Accelerators compute fp16 as fast as bf16, whose ceiling is measured.
        flops_per_second=max(
            one.fp32_flops_per_second if recipe.precision == "fp32" else one.bf16_flops_per_second
            for one in ceilings
        ),
        bytes_per_second=max(one.copy_bytes_per_second for one in ceilings),
    )
    memory_bytes = counted.memory_bytes.model_copy(
        update={
            "process": warm_up.process_bytes if warm_up else None,
            "train_peak": warm_up.train_peak_bytes if warm_up else None,
            "predict_peak": warm_up.predict_peak_bytes if warm_up else None,
            "batches": tuple(measured.batch_peaks or counted.memory_bytes.batches),
        }
    )
    return CostEntry(
        machine=Machine.model_validate(machine),
        measured_at=measured_at,
        error=measured.error,
        setting=Setting(
            batch_size=recipe.batch_size,
            micro_batch=recipe.fixed_micro_batch,
            evaluation_batch=EVALUATION_BATCH,
            precision=recipe.precision,
            optimizer=recipe.optimizer,
            **asdict(image),
            num_threads=warm_up.num_threads if warm_up else None,
            num_rounds=len(samples),
            num_workers=num_workers,
            workload=warm_up.workload if warm_up else None,
        ),
        num_params=model.num_params,
        num_macs=model.num_macs,
        first_dense_weights=model.first_dense_weights,
        training_flops=model.training_flops,
        memory_bytes=memory_bytes,
        train=_train(samples, measured.busy) if samples else None,
        predict=_predict(samples, measured.busy) if samples else None,
        latency_seconds=_latency(samples) if samples else None,
        startup_seconds=_rounds(sample.startup_seconds for sample in samples),
        energy_joules_per_image=_energy(samples),
        mfu=_rounds(
            model.training_flops * sample.speed.train_images_per_second / roof.flops_per_second
            for sample in samples
        )
        if roof
        else None,
        ceilings={name: Rounds.of(getattr(one, name) for one in ceilings) for name in asdict(ceilings[0])}
        if ceilings
        else None,
        load=tuple(sample.load for sample in samples),
        layers=tuple(
            _layer(layer, recipe, [s.layers[layer.name] for s in samples if layer.name in s.layers], roof or None)
            for layer in model.layers
        ),
        kind_seconds=_kind_seconds(model.layers, samples),
    )


def _rounds(values: Iterable[float | None]) -> Rounds | None:
    """The rounds of some values; None unless every value is known, and there is one."""
    all_values = list(values)
    known = [value for value in all_values if value is not None]
    return Rounds.of(known) if known and len(known) == len(all_values) else None


def _train(samples: Sequence[Sample], busy: Sequence[Speed]) -> Train:
    return Train(
        images_per_second=Rounds.of(sample.speed.train_images_per_second for sample in samples),
        busy_images_per_second=_rounds(one.train_images_per_second for one in busy),
        **{
            f"{part}_seconds": Rounds.of(sample.step_seconds[part] for sample in samples)
            for part in samples[0].step_seconds
        },
    )


def _predict(samples: Sequence[Sample], busy: Sequence[Speed]) -> Predict:
    return Predict(
        images_per_second=Rounds.of(sample.speed.predict_images_per_second for sample in samples),
        busy_images_per_second=_rounds(one.predict_images_per_second for one in busy),
    )


def _latency(samples: Sequence[Sample]) -> Latency:
    pooled = [seconds for sample in samples for seconds in sample.latency_seconds]
    p50, p95, p99 = (float(value) for value in np.percentile(pooled, [50, 95, 99]))
    return Latency(p50=p50, p95=p95, p99=p99, samples=tuple(tuple(sample.latency_seconds) for sample in samples))


def _energy(samples: Sequence[Sample]) -> Energy | None:
    train = _rounds(sample.train_joules_per_image for sample in samples)
    predict = _rounds(sample.predict_joules_per_image for sample in samples)
    return Energy(train=train, predict=predict) if train and predict else None


def _layer(layer: LayerCount, recipe: Recipe, timed: Sequence[LayerSeconds], roof: Roofline | None) -> Layer:
    """What one layer computes and moves, exactly, and the medians of its seconds over the rounds."""
    forward, backward = _rounds(one.forward for one in timed), _rounds(one.backward for one in timed)
    flops = 2 * layer.num_macs
    at_once = min(recipe.batch_size, recipe.fixed_micro_batch or recipe.batch_size)
    num_bytes = bytes_moved(layer, recipe.precision, at_once)
    return Layer(
        name=layer.name,
        type=layer.type,
        kind=layer.kind,
        num_params=layer.num_params,
        num_macs=layer.num_macs,
        output_shape=layer.output_shape,
        forward_seconds=forward.median if forward else None,
        backward_seconds=backward.median if backward else None,
        flops=flops,
        bytes=num_bytes,
        flops_per_byte=flops / num_bytes,
        share_of_roof=roof.share(flops, num_bytes, forward.median) if roof and forward else None,
        bound=roof.bound(flops, num_bytes) if roof else None,
    )


def _kind_seconds(layers: Sequence[LayerCount], samples: Sequence[Sample]) -> KindSeconds | None:
    """The layers' seconds, added up by kind for each round; None unless every layer was timed."""
    if not samples or any(layer.name not in sample.layers for sample in samples for layer in layers):
        return None
    with_backward = all(timed.backward is not None for sample in samples for timed in sample.layers.values())

    def seconds(sample: Sample, kind: Kind) -> float:
        timed = [sample.layers[layer.name] for layer in layers if layer.kind == kind]
        return sum(one.forward + ((one.backward or 0.0) if with_backward else 0.0) for one in timed)

    by_kind = {kind: Rounds.of(seconds(sample, kind) for sample in samples) for kind in get_args(Kind)}
    return KindSeconds(with_backward=with_backward, **by_kind)
