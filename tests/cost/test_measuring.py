import time
from typing import Any

import pytest
import torch

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe
from nin_bench.cost import count_model, measuring
from nin_bench.cost.ceilings import measure_ceilings
from nin_bench.cost.measuring import PHASE_EVALUATIONS, PHASE_SECONDS, PHASE_STEPS, Workbench
from nin_bench.cost.samples import WarmUp, cost_identity
from nin_bench.executors import Channel, Slot
from nin_bench.models import ImageSpec, resolve_arguments
from nin_bench.results.cost_entry import BatchPeak, Workload
from nin_bench.training.evaluation import EVALUATION_BATCH, StoppedError
from tests.benchmarks.bench_processes import in_workers


def cell(model: str = "lenet", *, recipe: dict[str, Any] | None = None, **arguments: Any) -> Cell:
    return Cell(
        model=ModelSpec(name=model, arguments=resolve_arguments(model, arguments)),
        data=DataSpec(name="digits", resolution=28, validation_size=200),
        recipe=Recipe(**{"batch_size": 32, **(recipe or {})}),
        seed=0,
    )


def workbench(of: Cell, should_stop: Any = lambda: False) -> Workbench:
    return Workbench(of, None, "cpu", should_stop, time.monotonic())


def warm_up_mlp(channel: Channel, slot: Slot, hidden: int) -> WarmUp:
    return workbench(cell("mlp", hidden=hidden, recipe={"optimizer": "adam"})).warm_up()


@pytest.mark.parametrize("recipe", [{}, {"micro_batch": 12, "optimizer": "adam"}, {"precision": "bf16"}], ids=str)
def test_a_sample_measures_everything_once(monkeypatch, recipe):
    monkeypatch.setattr(measuring, "LONG_PHASE_SECONDS", 3600.0)  # however slow this machine is
    variant = cell(recipe=recipe, activation="relu")
    warm_up = workbench(variant).warm_up()
    workload = warm_up.workload
    assert (warm_up.num_threads, workload.images_per_step) == (1, 32)
    assert workload.num_steps >= PHASE_STEPS
    assert workload.num_predict_images >= PHASE_EVALUATIONS * EVALUATION_BATCH
    assert workload.num_latencies >= PHASE_STEPS
    assert workload.num_layer_images == recipe.get("micro_batch", 32)

    sample = workbench(variant).sample(workload)
    assert list(sample.step_seconds) == ["data", "forward", "backward", "optimizer"]
    assert min(sample.step_seconds.values()) > 0
    assert sum(sample.step_seconds.values()) < 32 / sample.speed.train_images_per_second
    assert sample.speed.predict_images_per_second > 0
    assert len(sample.latency_seconds) == workload.num_latencies
    assert min(sample.latency_seconds) > 0
    assert {"conv1", "conv1_relu", "pool1", "flatten", "dense1", "output"} <= set(sample.layers)
    assert 0 < sample.startup_seconds < sample.ready_seconds
    assert (sample.train_joules_per_image is None) == (sample.predict_joules_per_image is None)


def test_a_step_that_takes_too_long_is_measured_by_its_micro_batches(monkeypatch):
    monkeypatch.setattr(measuring, "LONG_PHASE_SECONDS", 1e-9)  # everything takes too long
    monkeypatch.setattr(measuring, "PHASE_SECONDS", 1e-9)
    bench = workbench(cell(recipe={"micro_batch": 12}))
    workload = bench.warm_up().workload
    assert workload == Workload(
        num_steps=1, images_per_step=12, num_predict_images=1, num_latencies=1, num_layer_images=2
    )
    sample = bench.sample(workload)
    # What is told is of the whole batch all the same, the optimizer's one step in it.
    assert sum(sample.step_seconds.values()) < 32 / sample.speed.train_images_per_second
    whole = workbench(cell()).warm_up().workload
    assert (whole.num_steps, whole.images_per_step) == (1, 32)  # without micro-batches there is no smaller piece


def test_a_busy_worker_does_not_begin_before_the_others_are_ready():
    started = time.monotonic()
    bench = workbench(cell("mlp", hidden=16))
    workload = bench.warm_up().workload
    not_before = time.monotonic() + 0.3
    speed = bench.busy_speed(workload, ready_seconds=not_before - started)
    assert time.monotonic() - not_before > PHASE_SECONDS
    assert speed.train_images_per_second > 0
    assert speed.predict_images_per_second > 0


def test_peak_memory_holds_at_least_what_has_to_be_held_and_grows_with_the_network():
    # Each in a worker of its own: in an old process the kernel may take back pages meanwhile.
    small, large = (in_workers([Slot("cpu")], warm_up_mlp, hidden)[0] for hidden in (16, 8192))
    weights = 4 * (784 * 8192 + 8192 + 8192 * 10 + 10)
    if large.train_peak_bytes is None:
        pytest.skip("this system does not tell a process's peak")
    # Weights, their gradients and Adam's two averages, less the page counts that a kernel keeps back.
    assert large.train_peak_bytes > 0.95 * 4 * weights
    assert large.predict_peak_bytes > 0.95 * weights
    assert small.train_peak_bytes < weights


def peaks_of_lenet(channel: Channel, slot: Slot, batches: list[BatchPeak]) -> list[int | None]:
    bench = workbench(cell(recipe={"batch_size": 512}, activation="relu"))
    return [batch.peak for batch in bench.batch_peaks(batches)]


def test_memory_grows_with_the_images_that_pass_at_once():
    batches = [
        BatchPeak(batch_size=batch_size, micro_batch=micro_batch, peak_estimate=estimate)
        for batch_size, micro_batch, estimate in ((256, None, 0), (512, None, 0), (512, 64, 0), (512, None, 2**50))
    ]
    ((half, whole, parts, not_tried),) = in_workers([Slot("cpu")], peaks_of_lenet, batches)
    if whole is None:
        pytest.skip("this system does not tell a process's peak")
    # What LeNet keeps of one image: six maps of 28×28, twice, are the most of it.
    assert whole - half > 256 * 4 * 6 * 28 * 28
    assert parts < half
    assert not_tried is None


def test_a_batch_larger_than_the_training_set_is_the_training_set():
    workload = workbench(cell("mlp", hidden=16, recipe={"batch_size": 100_000})).warm_up().workload
    # 1,797 digits, less 359 to test on and 200 to validate.
    assert workload.images_per_step == 1238


def test_a_convolution_network_stays_below_the_ceiling():
    variant = cell("nin_mnist")
    bench = workbench(variant)
    sample = bench.sample(bench.warm_up().workload)
    flops = count_model("nin_mnist", ImageSpec(1, 28, 10), **variant.model.arguments).training_flops
    ceiling = measure_ceilings(torch.device("cpu")).fp32_flops_per_second
    assert 0 < flops * sample.speed.train_images_per_second / ceiling < 1


def test_a_stop_is_heard_between_two_steps():
    answers = iter([False] * 5)
    with pytest.raises(StoppedError):
        workbench(cell("mlp", hidden=16), lambda: next(answers, True)).warm_up()


def test_what_changes_no_step_changes_no_cost():
    base = cost_identity(cell())
    for free in ({"lr": 0.5}, {"epochs": 3}, {"schedule": "cosine"}, {"init": "xavier_uniform"}):
        assert cost_identity(cell(recipe=free)) == base
    assert cost_identity(cell().model_copy(update={"seed": 7, "label": "other"})) == base
    for other in (
        {"optimizer": "adam"},
        {"momentum": 0.9},
        {"precision": "bf16"},
        {"micro_batch": 8},
        {"augmentation": "flip"},
    ):
        assert cost_identity(cell(recipe=other)) != base
    assert cost_identity(cell(activation="relu")) != cost_identity(cell(activation="sigmoid"))
