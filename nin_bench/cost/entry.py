"""From counts and samples to the entry that a costs file keeps: raw samples, their medians, and what follows."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass, field
from statistics import median
from typing import Any

import numpy as np

from nin_bench.cell import Cell
from nin_bench.cost.ceilings import Ceilings
from nin_bench.cost.counting import count_cost, count_training_flops
from nin_bench.cost.memory import count_memory
from nin_bench.cost.measuring import Rehearsal, Sample, Speed
from nin_bench.cost.roofline import Roofline, count_work
from nin_bench.cost_file import Entry, distribution
from nin_bench.models import ImageSpec


@dataclass
class Measurements:
    """What was measured so far of one network; empty where measuring failed."""

    rehearsal: Rehearsal | None = None
    samples: list[Sample] = field(default_factory=list)
    """One per round."""
    busy: list[Speed] = field(default_factory=list)
    """One per worker and busy round."""
    ceilings: list[Ceilings] = field(default_factory=list)
    """One per round, of the device."""
    error: str | None = None
    """Why nothing more was measured."""


def make_entry(
    cell: Cell,
    image: ImageSpec,
    measurements: Measurements,
    *,
    machine: dict[str, Any],
    device: str,
    measured_at: str,
    num_workers: int,
) -> Entry:
    """The entry of one variant.

    Args:
        cell: the variant, with any seed.
        image: what goes into its network.
        measurements: of the network; where there is an error, all that would be measured is null.
        machine: that measured it.
        device: of that machine; what dropout keeps for backward depends on it.
        measured_at: when the session began.
        num_workers: of the busy figures.
    """
    model, arguments, recipe = cell.model.name, cell.model.arguments, cell.recipe
    count = count_cost(model, image, **arguments)
    samples = measurements.samples
    rehearsal = measurements.rehearsal
    known = bool(samples)
    return {
        "machine": machine,
        "measured_at": measured_at,
        "error": measurements.error,
        "setting": {
            "batch_size": recipe.batch_size,
            "micro_batch": recipe.micro_batch,
            "precision": recipe.precision,
            "optimizer": recipe.optimizer,
            **asdict(image),
            "num_threads": rehearsal.num_threads if rehearsal else None,
            "num_rounds": len(samples),
            "num_workers": num_workers,
            "workload": asdict(rehearsal.workload) if rehearsal else None,
        },
        "num_params": asdict(count.num_params),
        "num_macs": asdict(count.num_macs),
        "first_dense_weights": count.first_dense_weights,
        "memory_bytes": {
            **count_memory(model, image, recipe, device=device, **arguments).as_dict(recipe.batch_size),
            "process": rehearsal.process_bytes if rehearsal else None,
            "train_peak": rehearsal.train_peak_bytes if rehearsal else None,
            "predict_peak": rehearsal.predict_peak_bytes if rehearsal else None,
        },
        "train": _train(samples, measurements.busy) if known else None,
        "predict": _predict(samples, measurements.busy) if known else None,
        "latency_seconds": _latency(samples) if known else None,
        "startup_seconds": distribution([sample.startup_seconds for sample in samples]) if known else None,
        "energy_joules_per_image": _energy(samples) if known else None,
        "mfu": _mfu(cell, image, measurements),
        "ceilings": _ceilings(measurements.ceilings),
        "load": [asdict(sample.load) for sample in samples],
        "layers": _layers(cell, image, measurements),
    }


def _train(samples: Sequence[Sample], busy: Sequence[Speed]) -> dict[str, Any]:
    return {
        "images_per_second": distribution([sample.speed.train_images_per_second for sample in samples]),
        "busy_images_per_second": distribution([one.train_images_per_second for one in busy]) if busy else None,
        **{
            f"{part}_seconds": distribution([sample.step_seconds[part] for sample in samples])
            for part in samples[0].step_seconds
        },
    }


def _predict(samples: Sequence[Sample], busy: Sequence[Speed]) -> dict[str, Any]:
    return {
        "images_per_second": distribution([sample.speed.predict_images_per_second for sample in samples]),
        "busy_images_per_second": distribution([one.predict_images_per_second for one in busy]) if busy else None,
    }


def _latency(samples: Sequence[Sample]) -> dict[str, Any]:
    pooled = [seconds for sample in samples for seconds in sample.latency_seconds]
    p50, p95, p99 = (float(value) for value in np.percentile(pooled, [50, 95, 99]))
    return {"p50": p50, "p95": p95, "p99": p99, "samples": [sample.latency_seconds for sample in samples]}


def _energy(samples: Sequence[Sample]) -> dict[str, Any] | None:
    """Null unless every round had its counter."""
    train = [joules for sample in samples if (joules := sample.train_joules_per_image) is not None]
    predict = [joules for sample in samples if (joules := sample.predict_joules_per_image) is not None]
    if not len(train) == len(predict) == len(samples):
        return None
    return {"train": distribution(train), "predict": distribution(predict)}


def _highest(cell: Cell, ceilings: Sequence[Ceilings]) -> Roofline:
    """The highest that the session saw: a ceiling measured beside something else is no ceiling."""
    return Roofline(
        flops_per_second=max(getattr(one, f"{cell.recipe.precision}_flops_per_second") for one in ceilings),
        bytes_per_second=max(one.copy_bytes_per_second for one in ceilings),
    )


def _mfu(cell: Cell, image: ImageSpec, measurements: Measurements) -> dict[str, Any] | None:
    if not measurements.samples or not measurements.ceilings:
        return None
    flops = count_training_flops(cell.model.name, image, **cell.model.arguments)
    ceiling = _highest(cell, measurements.ceilings).flops_per_second
    return distribution(
        [flops * sample.speed.train_images_per_second / ceiling for sample in measurements.samples]
    )


def _ceilings(ceilings: Sequence[Ceilings]) -> dict[str, Any] | None:
    if not ceilings:
        return None
    return {name: distribution([getattr(one, name) for one in ceilings]) for name in asdict(ceilings[0])}


def _layers(cell: Cell, image: ImageSpec, measurements: Measurements) -> list[dict[str, Any]]:
    """Every layer: what it computes and moves, exactly, and the medians over the rounds of its seconds."""
    recipe = cell.recipe
    at_once = min(recipe.batch_size, recipe.micro_batch or recipe.batch_size)
    works = count_work(
        cell.model.name, image, precision=recipe.precision, batch_size=at_once, **cell.model.arguments
    )
    roof = _highest(cell, measurements.ceilings) if measurements.ceilings else None
    rows = []
    for work in works:
        layer = work.layer
        timed = [sample.layers[layer.name] for sample in measurements.samples]
        forward = median(one.forward for one in timed) if timed else None
        backwards = [one.backward for one in timed if one.backward is not None]
        rows.append(
            {
                "name": layer.name,
                "type": layer.type,
                "kind": work.kind,
                "num_params": layer.num_params,
                "num_macs": layer.num_macs,
                "output_shape": list(layer.output_shape),
                "forward_seconds": forward,
                "backward_seconds": median(backwards) if timed and len(backwards) == len(timed) else None,
                "flops": work.flops,
                "bytes": work.num_bytes,
                "flops_per_byte": work.flops_per_byte,
                "share_of_roof": roof.share(work, forward) if roof and forward else None,
                "bound": roof.bound(work) if roof else None,
            }
        )
    return rows
