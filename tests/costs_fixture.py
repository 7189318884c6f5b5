"""Costs files made by hand: what one machine measured of a variant, as `measure` stores it."""

import json
import statistics
from copy import deepcopy
from pathlib import Path
from typing import Any

from tests.report_fixture import SHOWCASE

CPU = {
    "fingerprint": "0123456789abcdef", "processor": "Example CPU", "num_cores": 2, "memory_bytes": 8 * 2**30,
    "device": "cpu", "software": {"python": "3.11.9", "torch": "2.14.0", "nin_bench": "0.1.0"},
}  # fmt: skip
OTHER_CPU = {**CPU, "fingerprint": "fedcba9876543210", "processor": "Another CPU"}

EVENLY = [1.0, 1.1, 0.9, 1.05, 0.95]
"""Of a median, what five rounds measured."""
STEADILY = [1.0, 1.01, 0.99, 1.02, 0.98]
"""Likewise, of what hardly varies."""


def rounds(*samples: float) -> dict[str, Any]:
    """Samples, one per round, as a costs file summarises them."""
    low, median, high = statistics.quantiles(samples, n=4, method="inclusive") if len(samples) > 1 else samples * 3
    return {"median": median, "quartiles": [low, high], "samples": list(samples)}


def around(median: float, *, by: list[float] = EVENLY) -> dict[str, Any]:
    """Five rounds about a median."""
    return rounds(*(median * factor for factor in by))


def layer(name: str, kind: str, **others: Any) -> dict[str, Any]:
    """A layer of 20 million operations, 10 per byte, that takes a millisecond forward and two backward."""
    return {
        "name": name, "type": "Conv2d", "kind": kind, "num_params": 1000, "num_macs": 10_000_000,
        "output_shape": [1, 96, 54, 54], "forward_seconds": 1e-3, "backward_seconds": 2e-3, "flops": 20_000_000,
        "bytes": 2_000_000, "flops_per_byte": 10.0, "share_of_roof": 0.4, "bound": "memory", **others,
    }  # fmt: skip


def cost_entry(**others: Any) -> dict[str, Any]:
    """An entry in which everything was measured but energy; fields given replace the usual ones."""
    return {
        "machine": deepcopy(CPU),  # since some tests damage it
        "measured_at": "2026-01-01T00:00:00+00:00",
        "error": None,
        "setting": {
            "batch_size": 32, "micro_batch": 16, "precision": "bf16", "optimizer": "sgd", "resolution": 131,
            "channels": 1, "num_classes": 10, "num_threads": 1, "num_rounds": 5, "num_workers": 2,
            "evaluation_batch": 250,
            "workload": {
                "num_steps": 10, "images_per_step": 32, "num_predict_images": 500, "num_latencies": 3,
                "num_layer_images": 32,
            },
        },
        "num_params": {"total": 1000, "convolution": 600, "pointwise": 300, "dense": 100},
        "num_macs": {"total": 50_000, "convolution": 30_000, "pointwise": 19_000, "dense": 1_000},
        "first_dense_weights": 90,
        "training_flops": 290_000,
        "memory_bytes": {
            "weights": 4_000, "low_precision_copies": 2_000, "gradients": 4_000, "optimizer": 4_000,
            "activations_per_image": 150_000, "activations_fixed": 0, "input_per_image": 68_644,
            "predict_per_image": 80_000, "train_sum": 3_500_000, "train_peak_estimate": 3_000_000,
            "predict_peak_estimate": 1_300_000, "process": 300_000_000, "train_peak": 200_000_000,
            "predict_peak": 90_000_000, "batches": [],
        },
        "train": {
            "images_per_second": around(1000.0), "busy_images_per_second": around(800.0),
            "forward_seconds": around(0.010), "backward_seconds": around(0.020),
            "optimizer_seconds": around(0.001), "data_seconds": around(0.001),
        },
        "predict": {"images_per_second": around(4000.0), "busy_images_per_second": around(3200.0)},
        "latency_seconds": {"p50": 0.002, "p95": 0.003, "p99": 0.004, "samples": [[0.001, 0.002, 0.004]] * 5},
        "startup_seconds": around(2.0),
        "energy_joules_per_image": None,
        "mfu": around(0.4, by=STEADILY),
        "ceilings": {
            "fp32_flops_per_second": around(1e11, by=STEADILY), "bf16_flops_per_second": around(3e11, by=STEADILY),
            "copy_bytes_per_second": around(1e10, by=STEADILY),
        },
        "load": [{"steal_share": 0.0, "other_cpu_share": 0.01, "throttled": None}] * 5,
        "layers": [layer("conv", "convolution"), layer("relu", "other", flops=0, flops_per_byte=0.0)],
        "kind_seconds": None,
        **others,
    }  # fmt: skip


def write_costs(folder: Path, variant_id: str, *entries: dict[str, Any], **others: Any) -> None:
    """Write a variant's costs file; fields given replace or join the usual ones."""
    content = {"schema": 2, "variant_id": variant_id, "label": variant_id, "entries": list(entries), **others}
    (folder / "costs").mkdir(exist_ok=True)
    (folder / "costs" / f"{variant_id}.json").write_text(json.dumps(content))


def write_showcase_costs(folder: Path, num_variants: int = 9) -> None:
    """Costs of the showcase's variants, in proportion to their counts; the first is measured elsewhere too."""
    for number, (label, (_, num_params, num_macs)) in enumerate(list(SHOWCASE.items())[:num_variants]):
        entry = _showcase_entry(label, num_params, num_macs)
        others = [{**entry, "machine": OTHER_CPU}] if number == 0 else []
        write_costs(folder, f"v{number:02}", entry, *others)


_RATES = {  # operations per second, and per byte of each layer
    "convolution": (1.2e11, [8, 30, 90, 150, 200]), "pointwise": (4e10, [24, 40, 64]), "dense": (8e9, [2, 4, 3]),
}  # fmt: skip


def _showcase_entry(label: str, num_params: int, num_macs: int) -> dict[str, Any]:
    usual = cost_entry()
    params = _split(label, num_params, 0 if "gap" in label else num_params - 4_000_000)
    macs = _split(label, num_macs, params["dense"])  # each weight of a dense layer multiplies once
    layers = [
        layer(
            f"block{number + 1}.{kind}", kind, flops=2 * macs[kind] // len(intensities),
            flops_per_byte=float(intensity),
            forward_seconds=2 * macs[kind] / len(intensities) / min(rate * (1 + 0.1 * number), intensity * 9e9),
            backward_seconds=4 * macs[kind] / len(intensities) / rate,
        )
        for kind, (rate, intensities) in _RATES.items()
        for number, intensity in enumerate(intensities)
        if macs[kind]
    ]  # fmt: skip
    seconds = sum(one["forward_seconds"] + one["backward_seconds"] for one in layers)
    pool = layer(
        "pool", "other", flops=0, flops_per_byte=0.0, forward_seconds=seconds / 30, backward_seconds=seconds / 15
    )
    # all rounds drift alike, and each variant varies a little by itself
    drift = [1.0, 0.97, 1.02, 0.9, 1.01]
    drift = [factor * (1 + 0.01 * ((num_params // 1000 >> k) % 3 - 1)) for k, factor in enumerate(drift)]
    speed = 1 / seconds
    return cost_entry(
        num_params={"total": num_params, **params}, num_macs={"total": num_macs, **macs},
        first_dense_weights=params["dense"] // 2 or None,
        memory_bytes={
            **usual["memory_bytes"], "weights": 4 * num_params, "low_precision_copies": 2 * num_params,
            "gradients": 4 * num_params, "optimizer": 4 * num_params, "train_sum": 14 * num_params + 5_000_000,
            "train_peak_estimate": 14 * num_params + 4_000_000, "train_peak": 16 * num_params + 50_000_000,
        },
        train={
            **usual["train"], "images_per_second": around(speed, by=drift),
            "busy_images_per_second": around(0.8 * speed, by=drift),
            "forward_seconds": around(10 * seconds), "backward_seconds": around(21 * seconds),
        },
        predict={
            "images_per_second": around(4 * speed, by=drift), "busy_images_per_second": around(3 * speed)
        },
        mfu=around(6 * num_macs * speed / 3e11),
        layers=[*layers, pool],
        load=[{"steal_share": 0.12, "other_cpu_share": 0.01, "throttled": None}, *usual["load"][1:]],
    )  # fmt: skip


def _split(label: str, total: int, dense: int) -> dict[str, int]:
    """A count by kind of layer, for a variant of the showcase."""
    share = {"0": 0.0, "1": 0.14, "2": 0.25, "3": 0.33}[label[14]] if label.startswith("nin") else 0.0
    pointwise = int((total - dense) * share)
    return {"convolution": total - dense - pointwise, "pointwise": pointwise, "dense": dense}
