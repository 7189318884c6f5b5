from dataclasses import replace
from typing import Any

import pytest

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe
from nin_bench.cost.ceilings import Ceilings
from nin_bench.cost.samples import Sample, Speed, WarmUp
from nin_bench.cost.summary import Measurements, count_variant, make_entry
from nin_bench.cost.timers import LayerSeconds
from nin_bench.models import ImageSpec
from nin_bench.results.cost_entry import Load, Workload

IMAGE = ImageSpec(channels=1, resolution=8, num_classes=10)
CELL = Cell(
    model=ModelSpec(name="mlp", arguments={"hidden": 5}),
    data=DataSpec(name="digits", resolution=8),
    recipe=Recipe(batch_size=20, optimizer="sgd"),
    seed=0,
)
WORKLOAD = Workload(num_steps=9, images_per_step=20, num_predict_images=500, num_latencies=2, num_layer_images=20)
WARM_UP = WarmUp(WORKLOAD, num_threads=1, process_bytes=1000, train_peak_bytes=300, predict_peak_bytes=200)
NAMES = ("flatten", "dense1", "dense1_relu", "output")


def sample(
    speed: float, *, joules: float | None = None, forward: float = 1e-6, backward: float | None = 2e-6
) -> Sample:
    return Sample(
        startup_seconds=0.5,
        ready_seconds=0.75,
        speed=Speed(train_images_per_second=speed, predict_images_per_second=10 * speed),
        step_seconds={"data": 1.0, "forward": 2.0, "backward": 4.0, "optimizer": 0.5},
        latency_seconds=[1 / speed, 3 / speed],
        layers={name: LayerSeconds(forward, backward) for name in NAMES},
        train_joules_per_image=joules,
        predict_joules_per_image=None if joules is None else joules / 10,
        load=Load(steal_share=0.0, other_cpu_share=0.25, throttled=None),
    )


def entry_of(measured: Measurements, ceilings: list[Ceilings]) -> dict[str, Any]:
    """An entry as its file holds it."""
    entry = make_entry(
        CELL, IMAGE, count_variant(CELL, IMAGE, "cpu"), measured, ceilings,
        machine={"fingerprint": "0123456789abcdef", "device": "cpu"},
        measured_at="2026-01-02T03:04:05+00:00", num_workers=2,
    )  # fmt: skip
    return entry.model_dump(mode="json")


def test_what_follows_from_samples_by_hand():
    samples = [sample(100.0, joules=3.0), sample(400.0, joules=1.0), sample(200.0, joules=2.0)]
    busy = [Speed(90.0, 900.0), Speed(110.0, 1100.0)]
    entry = entry_of(Measurements(WARM_UP, samples, busy), [Ceilings(4e6, 9e6, 1e9), Ceilings(5e6, 8e6, 2e9)])
    assert entry["train"]["images_per_second"] == {
        "median": 200.0, "quartiles": [150.0, 300.0], "samples": [100.0, 400.0, 200.0],
    }  # fmt: skip
    assert entry["train"]["busy_images_per_second"]["samples"] == [90.0, 110.0]
    assert entry["train"]["backward_seconds"]["median"] == 4.0
    assert entry["predict"]["images_per_second"]["median"] == 2000.0
    assert entry["startup_seconds"]["median"] == 0.5
    # Pooled: 2.5, 5, 7.5, 10, 15, 30 ms; the median lies between the third and the fourth.
    assert entry["latency_seconds"]["p50"] == pytest.approx(0.00875)
    assert entry["latency_seconds"]["samples"] == [[0.01, 0.03], [0.0025, 0.0075], [0.005, 0.015]]
    assert entry["energy_joules_per_image"]["train"]["median"] == 2.0
    assert entry["setting"] == {
        "batch_size": 20, "micro_batch": None, "evaluation_batch": 250, "precision": "fp32", "optimizer": "sgd",
        "channels": 1, "resolution": 8, "num_classes": 10, "num_threads": 1, "num_rounds": 3, "num_workers": 2,
        "workload": {
            "num_steps": 9, "images_per_step": 20, "num_predict_images": 500, "num_latencies": 2,
            "num_layer_images": 20,
        },
    }  # fmt: skip
    memory = entry["memory_bytes"]
    assert (memory["process"], memory["train_peak"], memory["predict_peak"]) == (1000, 300, 200)
    # 64 inputs to 5 to 10: weights and biases, each of four bytes.
    assert memory["weights"] == 4 * (64 * 5 + 5 + 5 * 10 + 10) == 4 * entry["num_params"]["total"]
    assert entry["load"] == [{"steal_share": 0.0, "other_cpu_share": 0.25, "throttled": None}] * 3


def test_mfu_and_roof_by_hand():
    entry = entry_of(Measurements(WARM_UP, [sample(1000.0)]), [Ceilings(4e6, 9e6, 1e9), Ceilings(5e6, 8e6, 2e9)])
    # MACs: 320 and 50. Training: forward and the gradient of the weights for both, that of the input for the
    # second alone; two FLOPs each. The ceiling is the highest of the measuring, 5 MFLOP/s in fp32.
    assert entry["training_flops"] == 2 * (2 * 320 + 3 * 50)
    assert entry["mfu"]["samples"] == [1580 * 1000 / 5e6]
    assert entry["ceilings"]["fp32_flops_per_second"]["samples"] == [4e6, 5e6]
    dense = entry["layers"][1]
    assert (dense["name"], dense["kind"], dense["flops"]) == ("dense1", "dense", 640)
    # Inputs and outputs in float32, and a twentieth of the weights, which a batch of 20 reads once.
    assert dense["bytes"] == 4 * (64 + 5 + 325 / 20)
    assert dense["flops_per_byte"] == pytest.approx(640 / 341)
    # 640 FLOPs would take 128 µs at 5 MFLOP/s: 128 times the microsecond that was measured.
    assert dense["share_of_roof"] == pytest.approx(128)
    assert (dense["forward_seconds"], dense["backward_seconds"], dense["bound"]) == (1e-6, 2e-6, "arithmetic")
    assert entry["layers"][0]["bound"] == "memory"


def test_what_was_not_measured_is_null_and_what_is_counted_stays():
    refused = entry_of(Measurements(error="out_of_memory: 1 TB"), [])
    assert refused["error"] == "out_of_memory: 1 TB"
    for part in (
        "train",
        "predict",
        "latency_seconds",
        "startup_seconds",
        "energy_joules_per_image",
        "mfu",
        "ceilings",
    ):
        assert refused[part] is None
    assert (refused["setting"]["num_rounds"], refused["setting"]["workload"], refused["load"]) == (0, None, [])
    assert refused["memory_bytes"]["train_peak"] is None
    assert refused["num_macs"]["total"] == 370
    assert [layer["forward_seconds"] for layer in refused["layers"]] == [None] * 4
    assert [layer["share_of_roof"] for layer in refused["layers"]] == [None] * 4
    assert refused["kind_seconds"] is None

    alone = entry_of(Measurements(WARM_UP, [sample(1.0, backward=None)]), [])
    assert alone["train"]["busy_images_per_second"] is None
    assert alone["predict"]["busy_images_per_second"] is None
    assert alone["energy_joules_per_image"] is None
    assert alone["mfu"] is None
    assert [layer["backward_seconds"] for layer in alone["layers"]] == [None] * 4


def test_seconds_by_kind_of_layer_in_every_round():
    # Two dense layers; flatten and a ReLU are the others.
    rounds = [sample(1.0, forward=1.0, backward=2.0), sample(1.0, forward=2.0, backward=3.0)]
    seconds = entry_of(Measurements(WARM_UP, rounds), [])["kind_seconds"]
    assert seconds["with_backward"]
    assert seconds["dense"]["samples"] == seconds["other"]["samples"] == [6.0, 10.0]
    assert seconds["convolution"]["samples"] == seconds["pointwise"]["samples"] == [0.0, 0.0]

    # A module that multiplies beside its children is counted as a layer, and not timed.
    untimed = [replace(one, layers=dict([*one.layers.items()][1:])) for one in rounds]
    entry = entry_of(Measurements(WARM_UP, untimed), [])
    assert entry["kind_seconds"] is None
    assert [layer["forward_seconds"] is None for layer in entry["layers"]] == [True, False, False, False]

    forward_alone = [sample(1.0, forward=1.0, backward=None), sample(1.0, forward=2.0, backward=None)]
    seconds = entry_of(Measurements(WARM_UP, forward_alone), [])["kind_seconds"]
    assert (seconds["with_backward"], seconds["dense"]["samples"]) == (False, [2.0, 4.0])
