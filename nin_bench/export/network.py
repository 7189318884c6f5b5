"""A recorded network, built again with the weights that were kept, and asked whether it still says the same."""

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor, nn

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell
from nin_bench.data import count_images, describe_data
from nin_bench.data.dataset import Dataset, load_dataset
from nin_bench.environment import describe_torch, environment_of
from nin_bench.errors import ResultsError
from nin_bench.executors import Slot
from nin_bench.files import DamagedFileError
from nin_bench.models import ImageSpec, build_model
from nin_bench.results import Record, ResultsFolder
from nin_bench.results.predictions import Predictions
from nin_bench.results.replays import what_changes_bits
from nin_bench.runner.replay import recorded_cell
from nin_bench.runner.worker import prepare_process
from nin_bench.trained import load_weights
from nin_bench.training.evaluation import Images, evaluate
from nin_bench.training.trainer import autocast

AGAIN = "train the cell anew with --keep-weights --fresh"
MOST_OTHER = 0.01
"""Share of test images that may be classified otherwise where roundings differ from the record's."""


@dataclass(frozen=True)
class Network:
    """A trained network and what it was trained on."""

    cell: Cell
    image: ImageSpec
    model: nn.Module
    """In evaluation mode, on the CPU."""
    dataset: Dataset
    predictions: Predictions
    """The record's, of every test image."""
    num_split: tuple[int, int, int]
    """Images that it was trained on, validated with and tested on."""
    num_other: int
    """Test images that it classifies otherwise than recorded; 0 where processor, versions and settings are the
    record's."""

    @property
    def num_images(self) -> int:
        """Test images."""
        return len(self.predictions["label"])


def rebuild(folder: ResultsFolder, record: Record, *, data_dir: Path | None, slot: Slot) -> Network:
    """Build a recorded network with its weights, and hold its predictions against the recorded ones.

    Raises:
        InputError: the model is not there, or its code has changed; the data cannot be had.
        ResultsError: weights or predictions were not kept or are damaged, or the network says something else.
    """
    predictions = _read_predictions(folder, record)
    cell = recorded_cell(record, RegistryCatalog(data_dir))
    prepare_process(slot)
    image, dataset = describe_data(cell.data, data_dir), load_dataset(cell.data, data_dir)
    model = build_model(cell.model.name, image, **cell.model.arguments)
    load_weights(model, folder.weights_path(record.cell_id))
    found = _predict(model, dataset, cell, slot.device)
    model.cpu().eval()
    num_other = int((found != predictions["predicted"]).sum())
    _check_same(record, num_other, len(found), slot.device)
    return Network(cell, image, model, dataset, predictions, count_images(cell.data, data_dir), num_other)


def test_images(network: Network, count: int) -> Tensor:
    """The first test images as the network takes them: (count, C, H, W) float32, or as many as there are."""
    batches = network.dataset.test_batches("cpu")
    images, _ = batches.take(torch.arange(min(count, len(batches))))
    return images.contiguous()


def _read_predictions(folder: ResultsFolder, record: Record) -> Predictions:
    path = folder.predictions_path(record.cell_id)
    try:
        predictions = folder.read_predictions(record.cell_id)
    except DamagedFileError as error:
        raise ResultsError(f"{path} {error}; {AGAIN}") from error
    if predictions is None:
        raise ResultsError(f"{path}: is missing, so nothing shows that the weights are the record's; {AGAIN}")
    return predictions


def _predict(model: nn.Module, dataset: Dataset, cell: Cell, device: str) -> npt.NDArray[np.int16]:
    """The class of every test image, as at the end of the cell's training."""
    batches = dataset.test_batches(device)
    model.to(device).to(memory_format=torch.channels_last)
    images = Images(batches, torch.arange(len(batches)))
    found = evaluate(model, images, autocast(cell.recipe, torch.device(device)), keep_answers=True)
    assert found.answers is not None
    predicted: npt.NDArray[np.int16] = found.answers.predictions["predicted"]
    return predicted


def _check_same(record: Record, num_other: int, num_images: int, device: str) -> None:
    """See that the network is the recorded one.

    Raises:
        ResultsError: it is not.
    """
    here = {**environment_of(device), "torch": describe_torch(device)}
    differs_in = what_changes_bits(record.environment, here)
    is_exact = not differs_in and record.batched_seeds is None and record.devices is None
    if num_other > (0 if is_exact else MOST_OTHER * num_images):
        why = f" ({', '.join(differs_in)} differ from the record's)" if differs_in else ""
        raise ResultsError(
            f"cell {record.cell_id}: {num_other:,} of {num_images:,} test images are classified otherwise than "
            f"recorded{why}; its weights are not those of the record, so {AGAIN}"
        )
