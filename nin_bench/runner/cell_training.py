"""The training of a cell: prepare, train epoch by epoch, evaluate. Whatever goes wrong is its outcome.

Whoever drives it decides how far it goes: a run evaluates on the test images at the end, a search never does.
"""

import math
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import KW_ONLY, dataclass
from pathlib import Path
from typing import Any

import numpy.typing as npt
import torch

from nin_bench.cell import Cell, Recipe
from nin_bench.cost import count_model
from nin_bench.data import describe_data
from nin_bench.data.dataset import Dataset, load_dataset
from nin_bench.errors import InputError, ResultsError, SpecError
from nin_bench.failures import failure_line
from nin_bench.metrics import has_failed
from nin_bench.models import ImageSpec
from nin_bench.results.probes import ProbeFile, Probes
from nin_bench.runner.micro_batch import choose_micro_batch
from nin_bench.runner.probing import probe_network
from nin_bench.training.device_group import DeviceGroup
from nin_bench.training.early_stop import has_stopped
from nin_bench.training.evaluation import Evaluation, Images, StoppedError
from nin_bench.training.precision import check_precision
from nin_bench.training.progress import DivergedError, Epoch
from nin_bench.training.trainer import Chance, Trainer, check_micro_batch, make_network


@dataclass(eq=False)
class CellTraining:
    """A cell that is being trained.

    `micro_batch` and `num_workers`, the cells that train on a device at a time, are for a recipe that says `auto`.
    """

    cell: Cell
    _: KW_ONLY
    data_dir: Path | None = None
    device: str = "cpu"
    should_stop: Callable[[], bool] = lambda: False
    """Is asked before every step of training and every batch of an evaluation."""
    micro_batch: int | None = None
    num_workers: int = 1
    group: DeviceGroup | None = None
    """The devices that train it together, this one among them; None is this device alone."""

    def __post_init__(self) -> None:
        self._device = torch.device(self.device)
        self.outcome = "trained"
        """How it ended, as records have it; `trained` until something goes wrong."""
        self.error: str | None = None
        """What went wrong, in a line."""
        self.metrics: dict[str, Any] = {}
        """What is known of it when it is prepared, whenever an epoch or `state` was asked for, and at its end."""
        self._peak_memory_bytes = 0
        self._like: CellTraining | None = None
        self._image: ImageSpec | None = None
        self._dataset: Dataset | None = None
        self._trainer: Trainer | None = None
        self._validation: Images | None = None
        self._test: Images | None = None

    @property
    def history(self) -> list[Epoch]:
        """A row for each epoch that has ended."""
        return self._trainer.progress.history if self._trainer else []

    @property
    def epochs_left(self) -> int:
        """Epochs that the recipe asks for and that have not ended; none once it stops early."""
        if has_stopped(self.cell.recipe, self.history):
            return 0
        return self.cell.recipe.epochs - len(self.history)

    @contextmanager
    def failures_noted(self) -> Iterator[None]:
        """While it is entered, whatever a cell can cause ends the block and becomes outcome and error.

        Raises:
            ResultsError: what the block had to store cannot be stored.
        """
        try:
            yield
        except StoppedError:
            self.outcome, self.error = "interrupted", "stopped before its end"
        except DivergedError as divergence:
            self.outcome, self.error = "diverged", str(divergence)
            self.metrics |= {"failed": True, "failed_step": divergence.step}
        except SpecError as refusal:
            self.outcome, self.error = "invalid", str(refusal)
        except ResultsError:
            raise  # a full disk is no fault of the cell's
        except Exception as failure:
            self.outcome, self.error = describe_failure(failure)
        self._note_progress()

    def prepare(self, like: "CellTraining | None" = None) -> None:
        """Load the images, or use those of a training of the same data, build the network and draw its weights."""
        cell, metrics = self.cell, self.metrics
        image, dataset = self._data() if like is None else like._loaded()
        count = count_model(cell.model.name, image, **cell.model.arguments)
        metrics["num_params"], metrics["num_macs"] = count.num_params.total, count.num_macs.total

        batches = dataset.batches(self._device) if like is None else like.trainer.train.batches
        train, validation = (
            Images(batches, indices)
            for indices in dataset.split(cell.data.train_size, cell.data.validation_size or 0, cell.seed)
        )
        chance = Chance.of(dataset.labels[train.indices.cpu()])
        metrics["chance_loss"], metrics["chance_accuracy"] = chance.loss, chance.accuracy

        model = make_network(cell, image, self._device)
        self._image, self._dataset, self._validation, self._like = image, dataset, validation, like
        check_micro_batch(model, cell.recipe)
        check_precision(cell.recipe, self._device)
        recipe = self._with_micro_batch(image)
        self._trainer = Trainer(model, recipe, train, seed=cell.seed, chance_loss=chance.loss, group=self.group)
        self._note_progress()

    @property
    def trainer(self) -> Trainer:
        """What trains the network, once it is prepared."""
        assert self._trainer is not None, "prepare comes first"
        return self._trainer

    @property
    def is_prepared(self) -> bool:
        """Whether there is a `state` to speak of."""
        return self._trainer is not None

    def state(self) -> dict[str, Any]:
        """What it takes to go on from here: plain values, and tensors not copied. `metrics` are of then too."""
        of_trainer = self.trainer.state()
        self._note_progress()
        state = {"trainer": of_trainer, "peak_memory_bytes": self._peak_memory_bytes}
        return state if self.micro_batch is None else {**state, "micro_batch": self.micro_batch}

    def restore(self, state: Mapping[str, Any]) -> None:
        """Go on from where another training of the cell gave its `state`.

        Raises:
            ValueError: the state is of another network or optimizer; nothing was changed.
        """
        earlier_peak = int(state["peak_memory_bytes"])
        self.trainer.restore(state["trainer"])
        if self.micro_batch is not None:  # as it went on so far, whatever memory there is today
            self._use_micro_batch(int(state["micro_batch"]))
        self._peak_memory_bytes = max(self._peak_memory_bytes, earlier_peak)
        self._note_progress()

    def run_epoch(self, after_step: Callable[[], None] = lambda: None) -> Epoch:
        """Train one pass over the images, validate, and return the row of the history.

        After every step, when `state` can be asked for, `after_step` is called.
        """
        row = self.trainer.run_epoch(self.should_stop, after_step=after_step, at_end=self._evaluate_epoch)
        self._note_progress()
        return row

    def end_epoch(self) -> Epoch:
        """Validate after an epoch whose steps somebody else had taken, and return the row of the history."""
        row = self.trainer.end_epoch(self._evaluate_epoch)
        self._note_progress()
        return row

    def evaluate_on_train(self) -> None:
        """Say how the network does on its training images, and whether it failed."""
        self._note_training(self._evaluate_on_train())

    def evaluate(self) -> Mapping[str, npt.NDArray[Any]]:
        """Say how the network does on training and test images; the latter are read here, once.

        Returns:
            What it predicted for every test image.
        """
        trainer, metrics = self.trainer, self.metrics
        on_train = self._evaluate_on_train()
        on_test = trainer.evaluate(self._test_images(), self.should_stop, keep_answers=True)
        assert on_test.answers is not None
        self._note_training(on_train)
        metrics |= _named("test", on_test) | on_test.answers.scores()
        if self._validation:
            metrics |= {key: self.history[-1][key] for key in ("validation_loss", "validation_accuracy")}
        return on_test.answers.predictions

    def probe(self, asked: Probes, test_accuracy: float) -> ProbeFile:
        """Ask the trained network what a grid's probes ask; the test images are read, unless they are yet."""
        trainer = self._trainer
        assert trainer is not None, "prepare comes first"

        def evaluate(images: Images) -> Evaluation:
            return trainer.evaluate(images, self.should_stop)

        image = describe_data(self.cell.data, self.data_dir)
        answers = probe_network(trainer.network, image, self._test_images(), asked, evaluate)
        return ProbeFile(cell_id=self.cell.cell_id, test_accuracy=test_accuracy, **answers)

    def _evaluate_on_train(self) -> Evaluation:
        trainer = self.trainer
        on_train = trainer.evaluate(trainer.train, self.should_stop)
        if not math.isfinite(on_train.loss):  # the very last step did it, and no other noticed
            raise DivergedError(trainer.progress.num_steps, on_train.loss)
        return on_train

    def _note_training(self, on_train: Evaluation) -> None:
        self.metrics |= _named("train", on_train)
        self.metrics |= {
            "failed": has_failed(on_train.loss, self.metrics["chance_loss"]),
            "num_dead_maps": on_train.num_dead_maps,
            "dead_maps": on_train.dead_maps,
        }

    def weights(self) -> dict[str, torch.Tensor]:
        """The network's state dict, on the CPU, so that it can be read where there is no accelerator."""
        return {name: tensor.cpu() for name, tensor in self.trainer.network.state_dict().items()}

    def _with_micro_batch(self, image: ImageSpec) -> Recipe:
        """The recipe, with a number in place of `auto`."""
        recipe = self.cell.recipe
        if recipe.micro_batch != "auto":
            self.micro_batch = None
            return recipe
        if self.micro_batch is None:
            self.micro_batch = choose_micro_batch(self.cell, image, self._device, self.num_workers)
        self.metrics["micro_batch"] = self.micro_batch
        return recipe.model_copy(update={"micro_batch": self.micro_batch})

    def _use_micro_batch(self, micro_batch: int) -> None:
        self.micro_batch = self.metrics["micro_batch"] = micro_batch
        self.trainer.recipe = self.trainer.recipe.model_copy(update={"micro_batch": micro_batch})

    def _evaluate_epoch(self) -> Epoch:
        trainer, validation = self.trainer, self._validation
        assert validation is not None
        row: Epoch = {}
        if len(validation):
            on_validation = trainer.evaluate(validation, self.should_stop)
            row |= {**_named("validation", on_validation), "dead_maps": on_validation.dead_maps}
        if self.cell.recipe.test_every_epoch:
            row |= _named("test", trainer.evaluate(self._test_images(), self.should_stop))
        return row

    def _data(self) -> tuple[ImageSpec, Dataset]:
        """The images; a folder that is gone today may be back tomorrow, so its refusal is not final."""
        try:
            return describe_data(self.cell.data, self.data_dir), load_dataset(self.cell.data, self.data_dir)
        except SpecError as refusal:
            raise InputError(str(refusal)) from refusal

    def _loaded(self) -> tuple[ImageSpec, Dataset]:
        assert self._image is not None
        assert self._dataset is not None
        return self._image, self._dataset

    def _note_progress(self) -> None:
        """Add what the training so far amounts to."""
        if (peak := _peak_memory_bytes(self._device)) is not None:
            self._peak_memory_bytes = max(self._peak_memory_bytes, peak)
            self.metrics["peak_memory_bytes"] = self._peak_memory_bytes
        if self._trainer is None:
            return
        progress = self._trainer.progress
        self.metrics |= {
            "num_steps": progress.num_steps,
            "train_seconds": progress.train_seconds,
            "observed_images_per_second": progress.images_per_second,
            "escaped": progress.escaped,
            "escape_epoch": progress.escape_epoch,
            "stopped_epoch": len(self.history) if has_stopped(self.cell.recipe, self.history) else None,
        }

    def _test_images(self) -> Images:
        """The test images, read when they are first asked for."""
        if self._like is not None:
            return self._like._test_images()
        assert self._dataset is not None
        if self._test is None:
            batches = self._dataset.test_batches(self._device)
            self._test = Images(batches, torch.arange(len(batches)))
        return self._test


def _named(split: str, evaluation: Evaluation) -> dict[str, float | None]:
    """Loss and accuracy under the split's name; a loss that is not finite is not known."""
    loss = evaluation.loss if math.isfinite(evaluation.loss) else None
    return {f"{split}_loss": loss, f"{split}_accuracy": evaluation.accuracy}


def describe_failure(failure: Exception) -> tuple[str, str]:
    """What an error that nobody expected makes of whatever it ended: `out_of_memory` or `crashed`, and a line."""
    return ("out_of_memory" if _is_out_of_memory(failure) else "crashed"), failure_line(failure)


def _is_out_of_memory(failure: Exception) -> bool:
    """Whether memory ran out; the CPU's allocator, CUDA and its libraries may say so only in an error's text."""
    return isinstance(failure, MemoryError | torch.OutOfMemoryError) or (
        isinstance(failure, RuntimeError)
        and any(words in str(failure) for words in ("can't allocate memory", "out of memory", "ALLOC_FAILED"))
    )


def _peak_memory_bytes(device: torch.device) -> int | None:
    """The most that this process has held: the allocator's on an accelerator, resident memory on a CPU."""
    if device.type != "cpu":
        # Not every backend counts, and one that failed to start cannot.
        with suppress(RuntimeError, NotImplementedError, AssertionError):
            return int(torch.accelerator.max_memory_allocated(device))
        return None
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else peak * 1024
