"""NiN in Lightning as one who knows it well trains it: bf16, channels_last, images resized and kept in memory."""

import time
import warnings
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, TensorDataset

from nin_bench.cell import Cell, DataSpec
from nin_bench.data import describe_data, resolve_data
from nin_bench.data.dataset import load_dataset
from nin_bench.executors import Channel, Slot
from nin_bench.runner.worker import prepare_process
from nin_bench.training.optimization import make_optimizer
from nin_bench.training.trainer import make_network
from tests.benchmarks import notebooks_loop
from tests.benchmarks.notebooks_loop import LoopSpeed


def train(
    data_name: str, resolution: int, batch_size: int, num_steps: int, num_threads: int | None, device: str = "cpu"
) -> LoopSpeed:
    """Train the first steps of an epoch, one more than are timed; no loss is read, as nothing is logged."""
    import lightning

    if num_threads is not None:
        torch.set_num_threads(num_threads)
    ends: list[float] = []

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = notebooks_loop.nin().to(memory_format=torch.channels_last)
            self.criterion = nn.CrossEntropyLoss()

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            images, labels = batch
            loss: Tensor = self.criterion(self.model(images), labels)
            return loss

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return torch.optim.SGD(self.parameters(), lr=0.1)

        def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
            if index in (0, num_steps):
                if device != "cpu":
                    torch.accelerator.synchronize()
                ends.append(time.perf_counter())

    dataset = load_dataset(resolve_data(DataSpec(name=data_name, resolution=resolution), None), None)
    order = torch.randperm(len(dataset.labels))[: (1 + num_steps) * batch_size]
    images, labels = dataset.batches("cpu").take(order)
    loader = DataLoader(TensorDataset(images, labels), batch_size, shuffle=True, pin_memory=device != "cpu")
    trainer = lightning.Trainer(
        accelerator="cpu" if device == "cpu" else "gpu",
        devices=1,
        precision="bf16-mixed",
        max_epochs=1,
        logger=False,
        enable_checkpointing=False,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    began = time.perf_counter()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer.fit(Module(), loader)
    return LoopSpeed(num_steps * batch_size / (ends[1] - ends[0]), ends[0] - began)


def small_steps(channel: Channel, slot: Slot, cell: Cell, num_steps: int) -> float:
    """Images per second of a cell's network on one pinned thread, with its images resized before."""
    import lightning

    prepare_process(slot)
    recipe, image = cell.recipe, describe_data(cell.data, None)
    ends: list[float] = []

    class Module(lightning.LightningModule):
        def __init__(self) -> None:
            super().__init__()
            self.model = make_network(cell, image, torch.device("cpu"))

        def training_step(self, batch: tuple[Tensor, Tensor], index: int) -> Tensor:
            images, labels = batch
            return nn.functional.cross_entropy(self.model(images), labels)

        def configure_optimizers(self) -> torch.optim.Optimizer:
            return make_optimizer(self.model, recipe)

        def on_train_batch_end(self, outputs: Any, batch: Any, index: int) -> None:
            ends.append(time.process_time())

    dataset = load_dataset(cell.data, None)
    images, labels = dataset.batches("cpu").take(torch.arange((1 + num_steps) * recipe.batch_size))
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        trainer = lightning.Trainer(
            accelerator="cpu",
            devices=1,
            precision="bf16-mixed" if recipe.precision == "bf16" else "32-true",
            max_epochs=1,
            logger=False,
            enable_checkpointing=False,
            enable_progress_bar=False,
            enable_model_summary=False,
        )
        trainer.fit(Module(), DataLoader(TensorDataset(images, labels), recipe.batch_size, shuffle=True))
    return num_steps * recipe.batch_size / (ends[-1] - ends[0])
