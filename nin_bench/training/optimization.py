"""Optimizers, schedules and initialisations as tables: a new one is a name in `nin_bench.cell` and a row here."""

import math
from collections.abc import Callable
from inspect import signature
from typing import get_args

import torch
from torch import Tensor, nn

from nin_bench.cell import OPTIMIZER_FIELDS, Initialisation, Optimizer, Recipe, Schedule

OPTIMIZERS: dict[Optimizer, Callable[..., torch.optim.Optimizer]] = {
    "sgd": torch.optim.SGD,
    "adam": torch.optim.Adam,
    "adamw": torch.optim.AdamW,
    "adamax": torch.optim.Adamax,
    "nadam": torch.optim.NAdam,
    "radam": torch.optim.RAdam,
    "rmsprop": torch.optim.RMSprop,
    "adagrad": torch.optim.Adagrad,
    "adadelta": torch.optim.Adadelta,
    "adafactor": torch.optim.Adafactor,
}
"""Each takes parameters, `lr`, `weight_decay`, and the recipe's fields that `OPTIMIZER_FIELDS` names."""

assert set(OPTIMIZERS) == set(get_args(Optimizer)) == set(OPTIMIZER_FIELDS)


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over all parameters, weight decay on all of them."""
    make = OPTIMIZERS[recipe.optimizer]
    keywords = signature(make).parameters
    fields = {field: getattr(recipe, field) for field in OPTIMIZER_FIELDS[recipe.optimizer]}
    given = {field: value for field, value in fields.items() if value is not None}
    if "betas" in keywords:
        beta1, beta2 = keywords["betas"].default
        given["betas"] = given.pop("beta1", beta1), given.pop("beta2", beta2)
    elif "beta2" in given:
        given["alpha" if "alpha" in keywords else "rho"] = given.pop("beta2")
    return make(model.parameters(), lr=recipe.lr, weight_decay=recipe.weight_decay, **given)


def _constant(recipe: Recipe, epoch: float, share: float) -> float:
    return recipe.lr


def _cosine(recipe: Recipe, epoch: float, share: float) -> float:
    """Falls to zero by half a cosine (Loshchilov and Hutter, 2017)."""
    return _half_cosine(recipe.lr, 0.0, share)


def _one_cycle(recipe: Recipe, epoch: float, share: float) -> float:
    """Rises from lr/25 over the first 30 %, then falls to lr/250,000, each by half a cosine.

    Source: Smith and Topin, 2018, with the defaults of PyTorch's OneCycleLR.
    """
    start, end, rise = recipe.lr / 25, recipe.lr / 250_000, 0.3
    if share < rise:
        return _half_cosine(start, recipe.lr, share / rise)
    return _half_cosine(recipe.lr, end, (share - rise) / (1 - rise))


def _step(recipe: Recipe, epoch: float, share: float) -> float:
    """Is multiplied by `step_factor` every `step_epochs`."""
    return recipe.lr * recipe.step_factor ** math.floor(epoch / recipe.step_epochs)


def _half_cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


SCHEDULES: dict[Schedule, Callable[[Recipe, float, float], float]] = {
    "constant": _constant,
    "cosine": _cosine,
    "one_cycle": _one_cycle,
    "step": _step,
}
"""Each takes the recipe, the epochs since the warm-up, and the share of the epochs after it that have passed."""

assert set(SCHEDULES) == set(get_args(Schedule))


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """The rate at a point of the training, in (fractions of) epochs passed.

    Warm-up rises linearly from zero to `lr` over `warmup_epochs`; the schedule runs over the rest.

    >>> learning_rate(Recipe(epochs=10, lr=0.1, schedule="cosine"), 5.0)
    0.05
    """
    if epoch < recipe.warmup_epochs:
        return recipe.lr * epoch / recipe.warmup_epochs
    passed = epoch - recipe.warmup_epochs
    return SCHEDULES[recipe.schedule](recipe, passed, passed / (recipe.epochs - recipe.warmup_epochs))


Draw = Callable[[Tensor, Recipe], object]

INITIALISATIONS: dict[Initialisation, Draw | None] = {
    "default": None,
    "xavier_uniform": lambda weight, recipe: nn.init.xavier_uniform_(weight),
    "kaiming_normal": lambda weight, recipe: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
    "normal": lambda weight, recipe: nn.init.normal_(weight, std=recipe.init_std),
}
"""Each fills a layer's weights in place; None leaves them, and their biases, as PyTorch drew them."""

assert set(INITIALISATIONS) == set(get_args(Initialisation))


def initialise(model: nn.Module, recipe: Recipe) -> None:
    """Draw the weights of convolutions and dense layers as the recipe says, and set their biases to zero.

    Draws from torch's global generator.
    """
    draw = INITIALISATIONS[recipe.init]
    if draw is None:
        return
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw(layer.weight, recipe)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


@torch.no_grad()
def follow(mean: nn.Module, model: nn.Module, share: float) -> None:
    """Move a network's weights and buffers by a share of the way to a model's; whole numbers are taken over."""
    ours, theirs = ([*network.parameters(), *network.buffers()] for network in (mean, model))
    for own, value in zip(ours, theirs, strict=True):
        if own.is_floating_point():
            own.lerp_(value, share)
        else:
            own.copy_(value)
