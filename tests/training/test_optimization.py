"""The recipe's optimizer, schedule and initial weights, against PyTorch's own."""

import math
from copy import deepcopy
from typing import get_args

import pytest
import torch
from pydantic import ValidationError
from torch import nn
from torch.optim import lr_scheduler
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from nin_bench.cell import Optimizer, Recipe
from nin_bench.models import ImageSpec, build_model
from nin_bench.training.optimization import follow, initialise, learning_rate, make_optimizer
from nin_bench.training.trainer import seed_for


def network(name: str, recipe: Recipe, seed: int = 0, **arguments: object) -> nn.Module:
    torch.manual_seed(seed_for(seed, "init"))
    model = build_model(name, ImageSpec(channels=1, resolution=8, num_classes=10), **arguments)
    initialise(model, recipe)
    return model


def rates(recipe: Recipe, steps_per_epoch: int) -> list[float]:
    return [learning_rate(recipe, step / steps_per_epoch) for step in range(recipe.epochs * steps_per_epoch)]


def torch_rates(make: object, num_steps: int, lr: float = 0.1) -> list[float]:
    """The rates of a scheduler of PyTorch, stepped once per optimizer step."""
    optimizer = torch.optim.SGD([nn.Parameter(torch.zeros(1))], lr=lr)
    scheduler = make(optimizer)
    found = []
    for _ in range(num_steps):
        found.append(optimizer.param_groups[0]["lr"])
        optimizer.step()
        scheduler.step()
    return found


# The tables


@pytest.mark.parametrize("field", ["optimizer", "schedule", "init", "augmentation", "precision"])
def test_an_unknown_name_falls_through_to_no_default(field):
    with pytest.raises(ValidationError, match=field):
        Recipe(**{field: "lbfgs"})


SETTINGS = {
    "sgd": (torch.optim.SGD, {"momentum": 0.9, "nesterov": True}, {"momentum": 0.9, "nesterov": True}),
    "adam": (torch.optim.Adam, {"beta1": 0.8, "eps": 1e-3}, {"betas": (0.8, 0.999), "eps": 1e-3}),
    "adamw": (torch.optim.AdamW, {"beta2": 0.9}, {"betas": (0.9, 0.9)}),
    "adamax": (torch.optim.Adamax, {"beta2": 0.9}, {"betas": (0.9, 0.9)}),
    "nadam": (torch.optim.NAdam, {"beta1": 0.5}, {"betas": (0.5, 0.999)}),
    "radam": (torch.optim.RAdam, {"beta1": 0.5}, {"betas": (0.5, 0.999)}),
    "rmsprop": (torch.optim.RMSprop, {"momentum": 0.5, "beta2": 0.9}, {"momentum": 0.5, "alpha": 0.9}),
    "adagrad": (torch.optim.Adagrad, {"eps": 0.1}, {"eps": 0.1}),
    "adadelta": (torch.optim.Adadelta, {"beta2": 0.5}, {"rho": 0.5}),
    "adafactor": (torch.optim.Adafactor, {}, {}),
}
"""PyTorch's class, some fields of a recipe, and how PyTorch calls them."""


@pytest.mark.parametrize("name", get_args(Optimizer))
@pytest.mark.parametrize("defaults", [True, False])
def test_an_optimizer_moves_weights_as_pytorchs_does(name, defaults):
    theirs, fields, keywords = SETTINGS[name]
    recipe = Recipe(lr=0.1, optimizer=name, weight_decay=0.01, **({} if defaults else fields))
    moved = []
    for make in (
        lambda model: make_optimizer(model, recipe),
        lambda model: theirs(model.parameters(), lr=0.1, weight_decay=0.01, **({} if defaults else keywords)),
    ):
        torch.manual_seed(0)
        model = nn.Linear(4, 3)
        optimizer = make(model)
        for _ in range(3):
            optimizer.zero_grad()
            model(torch.ones(2, 4)).square().sum().backward()
            optimizer.step()
        moved.append(model.weight.detach())
    assert torch.equal(*moved)


def test_a_mean_of_weights_follows_as_pytorchs_does():
    torch.manual_seed(0)
    model = nn.Sequential(nn.Linear(4, 3), nn.BatchNorm1d(3))
    ours = deepcopy(model)
    theirs = AveragedModel(model, multi_avg_fn=get_ema_multi_avg_fn(0.7), use_buffers=True)
    for step in range(4):
        for parameter in model.parameters():
            parameter.data.normal_()
        model(torch.randn(8, 4))
        follow(ours, model, 1.0 if step == 0 else 1 - 0.7)
        theirs.update_parameters(model)
    expected = theirs.module.state_dict()
    whole = "1.num_batches_tracked"  # a count, whose mean means nothing
    assert ours.state_dict()[whole] == model.state_dict()[whole] == 4
    assert expected.keys() == ours.state_dict().keys()
    for name, value in ours.state_dict().items():
        if name != whole:
            torch.testing.assert_close(value, expected[name])


# The learning rate


def test_a_constant_rate():
    assert rates(Recipe(epochs=2, lr=0.3), 2) == [0.3, 0.3, 0.3, 0.3]


def test_cosine_is_pytorchs():
    recipe = Recipe(epochs=4, lr=0.1, schedule="cosine")
    expected = torch_rates(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=40), 40)
    assert rates(recipe, 10) == pytest.approx(expected)


def test_step_is_pytorchs():
    recipe = Recipe(epochs=7, lr=0.1, schedule="step", step_epochs=2, step_factor=0.5)
    expected = torch_rates(lambda optimizer: lr_scheduler.StepLR(optimizer, step_size=20, gamma=0.5), 70)
    assert rates(recipe, 10) == pytest.approx(expected)


def test_one_cycle_is_pytorchs_to_within_a_step():
    recipe = Recipe(epochs=10, lr=0.1, schedule="one_cycle")
    expected = torch_rates(
        lambda optimizer: lr_scheduler.OneCycleLR(optimizer, max_lr=0.1, total_steps=1000, cycle_momentum=False),
        1000,
    )
    # PyTorch ends each phase one step before the next begins; ours is a function of time, so it has no steps.
    steepest = 0.1 / 2 * math.pi / 300
    assert rates(recipe, 100) == pytest.approx(expected, abs=steepest)


@pytest.mark.parametrize(
    ("epoch", "expected"),
    [(0, 0.004), (1.5, (0.004 + 0.1) / 2), (3, 0.1), (6.5, (0.1 + 4e-7) / 2), (10, 4e-7)],
)
def test_one_cycle_at_its_turning_points(epoch, expected):
    assert learning_rate(Recipe(epochs=10, lr=0.1, schedule="one_cycle"), epoch) == pytest.approx(expected)


def test_warm_up_rises_from_zero_then_the_schedule_runs_over_the_rest():
    recipe = Recipe(epochs=5, lr=0.4, warmup_epochs=1, schedule="cosine")
    assert rates(recipe, 4)[:5] == pytest.approx([0.0, 0.1, 0.2, 0.3, 0.4])
    expected = torch_rates(lambda optimizer: lr_scheduler.CosineAnnealingLR(optimizer, T_max=16), 16, lr=0.4)
    assert rates(recipe, 4)[4:] == pytest.approx(expected)


# Initial weights


@pytest.mark.parametrize(
    ("init", "expected"),
    [
        ("xavier_uniform", math.sqrt(2 / (64 + 512))),
        ("kaiming_normal", math.sqrt(2 / 64)),
        ("normal", 0.02),
    ],
)
def test_initial_weights_have_the_deviation_that_their_scheme_says(init, expected):
    dense = network("mlp", Recipe(init=init, init_std=0.02), hidden=512).get_submodule("dense1")
    assert dense.weight.std().item() == pytest.approx(expected, rel=0.02)
    assert not dense.bias.any()


def test_the_default_initialisation_is_pytorchs():
    torch.manual_seed(seed_for(0, "init"))
    untouched = build_model("lenet", ImageSpec(1, 12, 10))
    torch.manual_seed(seed_for(0, "init"))
    initialised = build_model("lenet", ImageSpec(1, 12, 10))
    initialise(initialised, Recipe())
    ours, theirs = untouched.state_dict(), initialised.state_dict()
    assert ours.keys() == theirs.keys()
    assert all(torch.equal(ours[key], theirs[key]) for key in ours)
