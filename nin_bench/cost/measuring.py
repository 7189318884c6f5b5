"""What one sample is: a variant's speed as one fresh process sees it, with training's own step and batches.

Before the rounds a warm-up, in a process of its own, tells the memory that the variant takes and how much work
fills a sample, so that all samples of a variant do the same work.
"""

import math
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import cycle
from pathlib import Path

import psutil
import torch
from torch import Tensor, nn

from nin_bench.cell import Cell
from nin_bench.cost.counters import LoadWatch, energy_counter
from nin_bench.cost.peak import PeakMemory
from nin_bench.cost.samples import Sample, Speed, WarmUp
from nin_bench.cost.timers import StepTimer, clock_of, synchronizer, time_layers
from nin_bench.data import describe_data
from nin_bench.data.dataset import load_dataset
from nin_bench.models.layers import GlobalAveragePool
from nin_bench.results.cost_entry import BatchPeak, Workload
from nin_bench.training.evaluation import EVALUATION_BATCH, Images, StoppedError
from nin_bench.training.trainer import Trainer, make_network

PHASE_SECONDS = 0.1
"""How long a phase of a sample lasts at least."""
PHASE_STEPS = 10
"""Training steps in a phase where so many take longer than that, and single images predicted."""
PHASE_EVALUATIONS = 5
"""Batches of an evaluation in a phase where so many take longer than that."""
LONG_PHASE_SECONDS = 1.0
"""A phase does no more of them than this leaves room for, and always one."""
MAX_LATENCIES = 100
LAYER_PASSES = 3
_SMALL_LR = 1e-6
"""Weights stay about where they were drawn: no speed may hang on whether a network learns or diverges."""


@dataclass(frozen=True)
class _Timed:
    seconds: float
    joules: float | None


@dataclass(frozen=True)
class _Training:
    """What timed steps say of a step with the whole batch."""

    seconds: float
    parts: dict[str, float]
    joules_per_image: float | None


class Workbench:
    """A variant set up in this process, as a cell's worker sets it up.

    Every method raises StoppedError once `should_stop` answers yes.

    `started` is when this process was asked for, by `time.monotonic`; `should_stop` is asked before every unit of
    work.
    """

    def __init__(
        self, cell: Cell, data_dir: Path | None, device: str, should_stop: Callable[[], bool], started: float
    ) -> None:
        self._cell = cell
        self._device = torch.device(device)
        self._should_stop = should_stop
        self._started = started
        self._synchronize, self._clock = synchronizer(self._device), clock_of(self._device)
        self._joules = energy_counter(self._device)
        self._image = describe_data(cell.data, data_dir)
        dataset = load_dataset(cell.data, data_dir)
        train, _ = dataset.split(cell.data.train_size, cell.data.validation_size or 0, cell.seed)
        shuffled = train[torch.randperm(len(train), generator=torch.Generator().manual_seed(cell.seed))]
        self._images = Images(dataset.batches(self._device), shuffled)
        self._batch_size = min(cell.recipe.batch_size, len(train))

    def warm_up(self) -> WarmUp:
        """Measure the memory that the variant takes, and find out how much work fills a sample."""
        self._wake()
        memory = PeakMemory(self._device)
        trainer = self._trainer(make_network(self._cell, self._image, self._device))
        predict_seconds = self._evaluate(trainer, EVALUATION_BATCH).seconds
        predict_peak = memory.peak()
        memory.restart()
        # The first step leaves the optimizer's state behind, and the second one's peak holds it.
        self._step(trainer, min(self._cell.recipe.fixed_micro_batch or self._batch_size, 8))
        step_seconds = self._step(trainer, self._batch_size).seconds
        return WarmUp(
            train_peak_bytes=memory.peak(),
            predict_peak_bytes=predict_peak,
            process_bytes=memory.before,
            num_threads=torch.get_num_threads(),
            workload=self._workload(trainer, step_seconds, predict_seconds),
        )

    def batch_peaks(self, batches: Sequence[BatchPeak]) -> list[BatchPeak]:
        """Measure the peak memory of a training step with each batch.

        A peak stays None if the system does not tell it, or if trying might take more than the machine has.
        """
        self._wake()
        memory = PeakMemory(self._device)
        model = make_network(self._cell, self._image, self._device)
        peaks: list[BatchPeak] = []
        for batch in batches:
            if self._device.type == "cpu" and batch.peak_estimate > psutil.virtual_memory().available / 2:
                peaks.append(batch)
                continue
            trainer = self._trainer(model, micro_batch=batch.micro_batch)
            self._step(trainer, 2)  # which leaves the optimizer's state behind
            memory.restart()
            self._step(trainer, batch.batch_size)
            peaks.append(batch.model_copy(update={"peak": memory.peak()}))
        return peaks

    def sample(self, workload: Workload) -> Sample:
        """Measure everything once."""
        trainer = self._trainer(make_network(self._cell, self._image, self._device))
        startup_seconds = time.monotonic() - self._started
        self._step(trainer, workload.images_per_step)
        ready_seconds = time.monotonic() - self._started
        watch = LoadWatch(self._device)
        training = self._train(trainer, workload)
        prediction = self._predict(trainer, workload)
        latency_seconds = self._latencies(trainer, workload.num_latencies)
        load = watch.load()
        layers = time_layers(trainer, self._first(workload.num_layer_images), LAYER_PASSES, self._clock)
        predict_joules = prediction.joules
        return Sample(
            startup_seconds=startup_seconds,
            ready_seconds=ready_seconds,
            speed=self._speed(training, prediction, workload),
            step_seconds=training.parts,
            latency_seconds=latency_seconds,
            layers=layers,
            train_joules_per_image=training.joules_per_image,
            predict_joules_per_image=None
            if predict_joules is None
            else predict_joules / workload.num_predict_images,
            load=load,
        )

    def busy_speed(self, workload: Workload, ready_seconds: float) -> Speed:
        """Measure throughput alone, so many seconds after this process was asked for; warm up until then."""
        trainer = self._trainer(make_network(self._cell, self._image, self._device))
        self._step(trainer, workload.images_per_step)
        while time.monotonic() < self._started + ready_seconds:
            self._step(trainer, workload.images_per_step)
        training = self._train(trainer, workload)
        return self._speed(training, self._predict(trainer, workload), workload)

    def _trainer(self, model: nn.Module, **changes: object) -> Trainer:
        recipe = self._cell.recipe.model_copy(update={"lr": _SMALL_LR, **changes})
        return Trainer(model, recipe, self._images, seed=self._cell.seed, chance_loss=0.0)

    def _wake(self) -> None:
        """Let libraries make what they make once for all networks, some 150 MB, by training a tiny one."""
        model = nn.Sequential(
            nn.Conv2d(self._image.channels, 4, kernel_size=3, padding=1),
            nn.ReLU(inplace=True),
            nn.MaxPool2d(kernel_size=3, stride=1, padding=1),
            GlobalAveragePool(),
            nn.Flatten(),
            nn.Linear(4, self._image.num_classes),
        )
        trainer = self._trainer(model.to(self._device).to(memory_format=torch.channels_last), compile=False)
        self._step(trainer, min(self._batch_size, 8))
        self._evaluate(trainer, 8)

    def _workload(self, trainer: Trainer, step_seconds: float, predict_seconds: float) -> Workload:
        """Fill the phases. What passed quickly was slowed by passing for the first time, so it passes again."""
        images_per_step, micro_batch = self._batch_size, self._cell.recipe.fixed_micro_batch
        if step_seconds < LONG_PHASE_SECONDS:
            step_seconds = min(self._step(trainer, images_per_step).seconds for _ in range(3))
        elif micro_batch is not None:
            image_seconds = step_seconds / images_per_step
            images_per_step = micro_batch * max(1, int(LONG_PHASE_SECONDS / image_seconds / micro_batch))
            step_seconds = image_seconds * images_per_step
        predict_images = EVALUATION_BATCH
        if predict_seconds < LONG_PHASE_SECONDS:
            predict_images *= _units(self._evaluate(trainer, EVALUATION_BATCH).seconds, PHASE_EVALUATIONS)
        else:
            predict_images = max(1, int(EVALUATION_BATCH * LONG_PHASE_SECONDS / predict_seconds))
        layer_images = int(LONG_PHASE_SECONDS / (1 + LAYER_PASSES) / step_seconds * images_per_step)
        return Workload(
            num_steps=_units(step_seconds, PHASE_STEPS),
            images_per_step=images_per_step,
            num_predict_images=predict_images,
            num_latencies=min(_units(min(self._latencies(trainer, 3)), PHASE_STEPS), MAX_LATENCIES),
            # Two at least: batch normalisation refuses a single one.
            num_layer_images=min(max(layer_images, 2), micro_batch or self._batch_size),
        )

    def _train(self, trainer: Trainer, workload: Workload) -> _Training:
        order = torch.split(self._images.indices, workload.images_per_step)
        batches = cycle(part for part in order if len(part) == workload.images_per_step)
        trainer.model.train()

        with StepTimer(trainer, self._clock) as timer:
            timed = self._timed(lambda: trainer.step(next(batches)), workload.num_steps)
        num_images = workload.num_steps * workload.images_per_step
        # Of a piece, all parts grow with the images, but for the optimizer's.
        scale = self._batch_size / workload.images_per_step
        parts = {part: seconds / workload.num_steps * scale for part, seconds in timer.seconds.items()}
        parts["optimizer"] /= scale
        step_seconds = timed.seconds / workload.num_steps
        return _Training(
            seconds=(step_seconds - parts["optimizer"]) * scale + parts["optimizer"],
            parts=parts,
            joules_per_image=None if timed.joules is None else timed.joules / num_images,
        )

    def _predict(self, trainer: Trainer, workload: Workload) -> _Timed:
        self._evaluate(trainer, min(workload.num_predict_images, EVALUATION_BATCH))
        return self._evaluate(trainer, workload.num_predict_images)

    def _speed(self, training: _Training, prediction: _Timed, workload: Workload) -> Speed:
        return Speed(
            train_images_per_second=self._batch_size / training.seconds,
            predict_images_per_second=workload.num_predict_images / prediction.seconds,
        )

    def _latencies(self, trainer: Trainer, count: int) -> list[float]:
        """Seconds from one image to its class, so often; three go before, since one image has its own kernels."""
        trainer.model.eval()
        batches, index = self._images.batches, self._first(1)

        def predict_one() -> None:
            image, _ = batches.take(index)
            with trainer.autocast():
                logits = trainer.model(image)
            logits.argmax(1).item()

        with torch.inference_mode():
            return [self._timed(predict_one).seconds for _ in range(3 + count)][3:]

    def _step(self, trainer: Trainer, num_images: int) -> _Timed:
        trainer.model.train()
        return self._timed(lambda: trainer.step(self._first(num_images)))

    def _evaluate(self, trainer: Trainer, num_images: int) -> _Timed:
        images = Images(self._images.batches, self._first(num_images))
        return self._timed(lambda: trainer.evaluate(images, self._should_stop))

    def _first(self, num_images: int) -> Tensor:
        """Indices of training images in their shuffled order, which begins again where it ends."""
        indices = self._images.indices
        return indices.repeat(math.ceil(num_images / len(indices)))[:num_images]

    def _timed(self, act: Callable[[], object], times: int = 1) -> _Timed:
        joules = self._joules()
        self._synchronize()
        start = time.perf_counter()
        for _ in range(times):
            if self._should_stop():
                raise StoppedError
            act()
        self._synchronize()
        seconds = time.perf_counter() - start
        after = self._joules()
        return _Timed(seconds, None if joules is None or after is None else after - joules)


def _units(seconds: float, least: int) -> int:
    """How many units of work, each so long, make a phase: at least so many, unless they take too long."""
    return max(1, math.ceil(PHASE_SECONDS / seconds), min(least, int(LONG_PHASE_SECONDS / seconds)))
