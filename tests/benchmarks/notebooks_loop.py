"""How the notebooks train, for comparison: their loading, their network, their loop, as described.

Pictures are resized and turned into tensors one by one in the DataLoader's workers; the network computes in fp32,
its batch whole and every core in each operation; loss and accuracy are read after every batch.
"""

import time
import warnings
from dataclasses import dataclass
from itertools import islice

import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from nin_bench.cell import DataSpec
from nin_bench.data import resolve_data
from nin_bench.data.dataset import load_dataset

NUM_LOADERS = 4
"""The DataLoader's worker processes, as the notebooks have them."""
PREFETCH = 2
"""Batches that each of them prepares ahead, as PyTorch has it."""


@dataclass(frozen=True)
class LoopSpeed:
    """A fragment of an epoch."""

    images_per_second: float
    """Of the steps after the first."""
    startup_seconds: float
    """From the loop's beginning to the end of its first step: workers, first batches, kernels' first use."""


class Pictures(Dataset[tuple[Tensor, int]]):
    """A split as torchvision serves it: a PIL image from the array, transformed when it is asked for."""

    def __init__(self, data_name: str, resolution: int) -> None:
        from torchvision import transforms

        dataset = load_dataset(resolve_data(DataSpec(name=data_name), None), None)
        self.images, self.labels = dataset.images[:, 0], dataset.labels
        self.transform = transforms.Compose([transforms.Resize(resolution), transforms.ToTensor()])

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        picture = Image.fromarray(self.images[index].numpy(), mode="L")
        return self.transform(picture), int(self.labels[index])


def make_loader(
    data_name: str, resolution: int, batch_size: int, num_workers: int
) -> DataLoader[tuple[Tensor, int]]:
    """Shuffled batches of a training set."""
    with warnings.catch_warnings():
        warnings.filterwarnings(
            "ignore", message="This DataLoader will create"
        )  # more workers than there are cores
        return DataLoader(Pictures(data_name, resolution), batch_size, shuffle=True, num_workers=num_workers)


def nin_block(in_channels: int, out_channels: int, kernel_size: int, stride: int, padding: int) -> nn.Sequential:
    """A convolution and two of 1×1, each with its ReLU."""
    return nn.Sequential(
        nn.Conv2d(in_channels, out_channels, kernel_size, stride, padding),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1),
        nn.ReLU(),
        nn.Conv2d(out_channels, out_channels, 1),
        nn.ReLU(),
    )


def nin() -> nn.Sequential:
    """The notebooks' network for grey images and ten classes."""
    model = nn.Sequential(
        nin_block(1, 96, 11, 4, 0),
        nn.MaxPool2d(3, 2),
        nin_block(96, 256, 5, 1, 2),
        nn.MaxPool2d(3, 2),
        nin_block(256, 384, 3, 1, 1),
        nn.MaxPool2d(3, 2),
        nn.Dropout(0.5),
        nin_block(384, 10, 3, 1, 1),
        nn.AdaptiveAvgPool2d((1, 1)),
        nn.Flatten(),
    )
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d):
            nn.init.xavier_uniform_(layer.weight)
    return model


def train(
    data_name: str, resolution: int, batch_size: int, num_steps: int, num_threads: int | None, device: str = "cpu"
) -> LoopSpeed:
    """Train the first steps of an epoch, one more than are timed; None has as many threads as PyTorch takes."""
    if num_threads is not None:
        torch.set_num_threads(num_threads)
    loader = make_loader(data_name, resolution, batch_size, NUM_LOADERS)
    model = nin().to(device)
    optimizer = torch.optim.SGD(model.parameters(), lr=0.1)
    criterion = nn.CrossEntropyLoss()
    loss_sum, num_right, num_images = 0.0, 0, 0
    model.train()
    began = time.perf_counter()
    ends = []
    for images, labels in islice(loader, 1 + num_steps):
        images, labels = images.to(device), labels.to(device)
        optimizer.zero_grad()
        logits = model(images)
        loss = criterion(logits, labels)
        loss.backward()
        optimizer.step()
        with torch.no_grad():
            loss_sum += float(loss) * len(labels)
            num_right += int((logits.argmax(1) == labels).sum())
            num_images += len(labels)
        ends.append(time.perf_counter())
    assert num_images == (1 + num_steps) * batch_size
    return LoopSpeed(num_steps * batch_size / (ends[-1] - ends[0]), ends[0] - began)


def load(data_name: str, resolution: int, batch_size: int, num_batches: int, num_workers: int) -> float:
    """Images per second of the DataLoader alone, once its workers are no longer ahead."""
    batches = iter(make_loader(data_name, resolution, batch_size, num_workers))
    for _ in islice(batches, PREFETCH * num_workers):
        pass
    began = time.perf_counter()
    num_images = sum(len(labels) for _, labels in islice(batches, num_batches))
    return num_images / (time.perf_counter() - began)
