"""One network in training on several devices: each takes its share of every batch, and all take the same step.

Batches, augmentation and dropout are drawn as on one device, for the whole batch, and each device keeps its share.
Gradients are added in another order, so that results agree with one device to rounding, not to the bit.
"""

import math

import torch
from torch import Tensor, distributed, nn
from torch.nn.functional import dropout
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.parallel import DistributedDataParallel

from nin_bench.cell import Recipe
from nin_bench.errors import InputError


class DeviceGroup:
    """The processes that train a network together, one for each device; `torch.distributed` is initialised.

    The first one leads: it alone evaluates, keeps the history, and decides when all stop.
    """

    def __init__(self) -> None:
        self.size = distributed.get_world_size()
        self.leads = distributed.get_rank() == 0
        self.num_images = 0
        """How many images the batch of this step has."""
        self.own = slice(0)
        """The rows of that batch that this process takes."""
        self._counts = True
        self._has_stopped = False

    def stops(self, wanted: bool) -> bool:
        """Whether the first process wants all to stop; every process has to ask, and only its wish counts."""
        flag = torch.tensor([wanted], dtype=torch.uint8)
        distributed.broadcast(flag, src=0)
        self._has_stopped = bool(flag)
        return self._has_stopped

    def end(self) -> None:
        """Have the others stop, who wait for the first to say whether it takes another step."""
        if not self._has_stopped:
            self.stops(True)

    def take_share(self, num_images: int) -> float:
        """Take this process's rows of a batch.

        A batch with fewer images than devices leaves some without any; those compute its first image, which then
        counts for nothing.

        Returns:
            What its sum of losses has to be divided by, so that the mean of all gradients is that of the batch's
            mean loss.
        """
        rank, size = distributed.get_rank(), self.size
        own = slice(rank * num_images // size, (rank + 1) * num_images // size)
        self._counts = own.start < own.stop
        self.num_images, self.own = num_images, own if self._counts else slice(0, 1)
        return num_images / size if self._counts else math.inf

    def total(self, sums: Tensor) -> Tensor:
        """Add up what each process saw of its share, (3,) float32, for the first; zeros for the others."""
        if not self._counts:
            sums.zero_()
        distributed.reduce(sums, dst=0)
        return sums if self.leads else torch.zeros_like(sums)

    def joined(self, model: nn.Module, images: Tensor) -> nn.Module:
        """The network as all train it together; its layers of dropout are replaced.

        Args:
            model: with the same weights in every process.
            images: a few, as the network takes them.

        Raises:
            InputError: it draws random numbers by more than `nn.Dropout`.
        """
        layers = {name: layer for name, layer in model.named_modules() if type(layer) is nn.Dropout}
        _check_draws(model, list(layers.values()), images)
        for name, layer in layers.items():
            parent, _, own = name.rpartition(".")
            setattr(model.get_submodule(parent), own, _SharedDropout(layer.p, self))
        return DistributedDataParallel(model)


class _SharedDropout(nn.Module):
    """Stands in for `nn.Dropout`: draws what it would for the whole batch, and keeps the rows of this process."""

    def __init__(self, rate: float, group: DeviceGroup) -> None:
        super().__init__()
        self.rate = rate
        self.group = group

    def forward(self, values: Tensor) -> Tensor:
        if not self.training:
            return values
        own, shape = self.group.own, (self.group.num_images, *values.shape[1:])
        if len(values) != own.stop - own.start:
            raise InputError("several devices need networks whose dropout is over images one by one; train on one")
        is_last = values.dim() == 4 and values.is_contiguous(memory_format=torch.channels_last)
        ones = torch.ones(shape, dtype=values.dtype, device=values.device)
        # Which draw falls on which value follows from how they lie in memory.
        ones = ones.contiguous(memory_format=torch.channels_last if is_last else torch.contiguous_format)
        return values * dropout(ones, self.rate)[own]


def check_shareable(model: nn.Module, recipe: Recipe) -> None:
    """Refuse what several devices would compute otherwise than one, as far as it can be told without computing.

    Raises:
        InputError: says what it is.
    """
    if recipe.micro_batch is not None:
        raise InputError("micro_batch does not go with several devices, which divide batches; leave one out")
    if recipe.compile:
        raise InputError("compile does not go with several devices; leave one out")
    if any(isinstance(layer, _BatchNorm) for layer in model.modules()):
        raise InputError("batch normalisation over a share is not that over the batch; train on one device")


def _check_draws(model: nn.Module, known: list[nn.Module], images: Tensor) -> None:
    model.train()
    for layer in known:
        layer.eval()
    before = _generators(images.device)
    with torch.no_grad():
        model(images)
    after = _generators(images.device)
    model.train()
    if not all(map(torch.equal, before, after)):
        raise InputError("the network draws random numbers by more than nn.Dropout; train it on one device")


def _generators(device: torch.device) -> list[Tensor]:
    """The states of the global generators that a network can draw from."""
    own = [] if device.type == "cpu" else [torch.get_device_module(device).get_rng_state(device)]
    return [torch.get_rng_state(), *own]
