"""A recipe's initial weights, optimizer and learning rate, as PyTorch has them."""

import math
from collections.abc import Callable

import torch
from torch import Tensor, nn

from nin_bench.cell import Recipe


def initialise(model: nn.Module, recipe: Recipe) -> None:
    """Draw the weights of convolutions and dense layers anew, as the recipe says; their biases become zero.

    `default` leaves PyTorch's own. Draws from torch's global generator.
    """
    draw: dict[str, Callable[[Tensor], object]] = {
        "xavier_uniform": nn.init.xavier_uniform_,
        "kaiming_normal": lambda weight: nn.init.kaiming_normal_(weight, nonlinearity="relu"),
        "normal": lambda weight: nn.init.normal_(weight, std=recipe.init_std),
    }
    if recipe.init == "default":
        return
    for layer in model.modules():
        if isinstance(layer, nn.Conv2d | nn.Linear):
            draw[recipe.init](layer.weight)
            if layer.bias is not None:
                nn.init.zeros_(layer.bias)


def learning_rate(recipe: Recipe, epoch: float) -> float:
    """The rate at a point of the training, in (fractions of) epochs passed.

    Warm-up rises linearly from zero to `lr` over `warmup_epochs`; the schedule runs over the rest. `cosine`
    falls to zero (Loshchilov and Hutter, 2017). `one_cycle` rises from lr/25 over the first 30 % and falls to
    lr/250,000, both by a cosine, as PyTorch's OneCycleLR does by default (Smith and Topin, 2018). `step`
    multiplies by `step_factor` every `step_epochs`.

    >>> learning_rate(Recipe(epochs=10, lr=0.1, schedule="cosine"), 5.0)
    0.05
    """
    if epoch < recipe.warmup_epochs:
        return recipe.lr * epoch / recipe.warmup_epochs
    passed = epoch - recipe.warmup_epochs
    share = passed / (recipe.epochs - recipe.warmup_epochs)
    if recipe.schedule == "cosine":
        return _cosine(recipe.lr, 0.0, share)
    if recipe.schedule == "one_cycle":
        start, end, rise = recipe.lr / 25, recipe.lr / 250_000, 0.3
        if share < rise:
            return _cosine(start, recipe.lr, share / rise)
        return _cosine(recipe.lr, end, (share - rise) / (1 - rise))
    if recipe.schedule == "step":
        return recipe.lr * recipe.step_factor ** math.floor(passed / recipe.step_epochs)
    return recipe.lr


def _cosine(start: float, end: float, share: float) -> float:
    return end + (start - end) * (1 + math.cos(math.pi * share)) / 2


def make_optimizer(model: nn.Module, recipe: Recipe) -> torch.optim.Optimizer:
    """The recipe's optimizer over all parameters, weight decay on all of them."""
    parameters = model.parameters()
    if recipe.optimizer == "sgd":
        return torch.optim.SGD(
            parameters,
            lr=recipe.lr,
            momentum=recipe.momentum,
            nesterov=recipe.nesterov,
            weight_decay=recipe.weight_decay,
        )
    adaptive = torch.optim.Adam if recipe.optimizer == "adam" else torch.optim.AdamW
    return adaptive(parameters, lr=recipe.lr, weight_decay=recipe.weight_decay)
