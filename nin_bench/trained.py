"""Trained networks and the images that they saw, from a results folder: for an analysis of one's own."""

from collections.abc import Sequence
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor, nn

from nin_bench.data import describe_data
from nin_bench.data.batches import ImageBatches
from nin_bench.data.dataset import load_dataset
from nin_bench.errors import ResultsError
from nin_bench.files import DamagedFileError, open_regular
from nin_bench.models import ImageSpec, build_model
from nin_bench.models.code import code_digest
from nin_bench.results import Record, ResultsFolder


def load_network(
    folder: Path | str, cell_id: str, *, data_dir: Path | str | None = None
) -> tuple[nn.Module, ImageSpec]:
    """A trained network with the weights that its training ended with, and the images that it takes.

    A network of your own file needs `use_own_file` first.

    Args:
        folder: the results folder, whose run kept weights (`run --keep-weights`).
        cell_id: as records have it.
        data_dir: the data directory, for the pictures' channels and classes; None is the default.

    Returns:
        The network, in evaluation mode on the CPU, and its image specification.

    Raises:
        ResultsError: the cell has no record, its weights were not kept or are damaged, or the code of its network
            has changed since.
        SpecError: there is no such model, or the dataset is not there.
    """
    results = ResultsFolder(Path(folder))
    path = results.record_path(cell_id)
    try:
        record = results.read_record(cell_id)
    except DamagedFileError as damage:
        raise ResultsError(f"{path} {damage}; run `python -m nin_bench doctor {folder}`") from damage
    if record is None:
        raise ResultsError(f"{path}: there is no such record; give the id of a cell that was trained")
    model, image = record.cell.model, describe_data(record.cell.data, _path(data_dir))
    network = build_model(model.name, image, **model.arguments)
    if record.code_digest not in (None, code_digest(model.name)):
        raise ResultsError(
            f"{record.label}: the code of {model.name} has changed since it was trained; bring that code back, or "
            f"load {results.weights_path(cell_id)} into a network yourself"
        )
    load_weights(network, results.weights_path(cell_id))
    return network.eval(), image


def load_weights(network: nn.Module, path: Path) -> None:
    """Give a network the weights that a run kept.

    Raises:
        ResultsError: there are none, or they are damaged, or those of another network.
    """
    again = "train it again with run --keep-weights --fresh, narrowed by --only and --seeds"
    try:
        with open_regular(path) as stream:
            network.load_state_dict(torch.load(stream, map_location="cpu", weights_only=True))
    except FileNotFoundError as error:
        raise ResultsError(f"{path}: the cell's weights were not kept; {again}") from error
    except (MemoryError, torch.OutOfMemoryError, ResultsError):  # no fault of the file's
        raise
    except Exception as error:  # whatever torch makes of a file that somebody changed
        told = str(error) if isinstance(error, DamagedFileError) else f"holds no weights of it ({error!r:.200})"
        raise ResultsError(f"{path}: {told}; {again}") from error


class CellImages(torch.utils.data.Dataset[tuple[Tensor, Tensor]]):
    """Images as a cell's network takes them, one at a time or, by a `DataLoader`, in batches.

    An item is an image, (C, H, H) float32 at the cell's resolution, and its label, () int64.
    """

    def __init__(self, batches: ImageBatches, indices: Tensor, classes: Sequence[str]) -> None:
        self._batches = batches
        self._indices = indices
        self.classes = tuple(classes)
        """The names of the classes, by number."""

    def __len__(self) -> int:
        return len(self._indices)

    def __getitem__(self, index: int) -> tuple[Tensor, Tensor]:
        return self.__getitems__([index])[0]

    def __getitems__(self, indices: list[int]) -> list[tuple[Tensor, Tensor]]:
        """Several items at once, as a `DataLoader` asks for them."""
        images, labels = self._batches.take(self._indices[torch.tensor(indices)])
        return list(zip(images, labels, strict=True))


def load_images(
    record: Record, split: Literal["train", "validation", "test"] = "test", *, data_dir: Path | str | None = None
) -> CellImages:
    """The images that a cell was trained on, chose by, or was tested on, without augmentation.

    A dataset of your own file needs `use_own_file` first.

    Args:
        record: of the cell, as `load_results(folder).records` has it.
        split: `train` and `validation` are those that the cell's seed drew.
        data_dir: the data directory; None is the default.

    Raises:
        InputError: the dataset is not there, damaged, or another than the record's.
    """
    data = record.cell.data
    dataset = load_dataset(data, _path(data_dir))
    if split == "test":
        batches = dataset.test_batches("cpu")
        return CellImages(batches, torch.arange(len(batches)), dataset.classes)
    train, validation = dataset.split(data.train_size, data.validation_size or 0, record.cell.seed)
    return CellImages(dataset.batches("cpu"), train if split == "train" else validation, dataset.classes)


def _path(data_dir: Path | str | None) -> Path | None:
    return None if data_dir is None else Path(data_dir)
