import io
import math
import random
import shutil
from collections import OrderedDict
from contextlib import nullcontext
from pathlib import Path
from typing import get_args

import numpy as np
import pytest
import torch
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from nin_bench.cell import Cell, DataSpec, ModelSpec, Optimizer, Recipe
from nin_bench.data import resolve_data
from nin_bench.data.batches import ImageBatches
from nin_bench.data.dataset import Dataset, load_dataset
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model, list_models, register_model
from nin_bench.plugins import registered
from nin_bench.training import precision
from nin_bench.training.evaluation import Evaluation, Images, StoppedError, answers, right
from nin_bench.training.optimization import initialise, learning_rate
from nin_bench.training.progress import DivergedError, Progress, Step
from nin_bench.training.trainer import Chance, Trainer, check_micro_batch, make_network, seed_for, seed_layers

LN_10 = 2.302585092994046
QUICK = Recipe(epochs=1, batch_size=32, lr=0.05, momentum=0.9)


@pytest.fixture(scope="module")
def digits() -> Dataset:
    return load_dataset(resolve_data(DataSpec(name="digits"), None), None)


def some(dataset: Dataset, size: int | None = None) -> Images:
    return Images(dataset.batches("cpu"), dataset.split(size, 200, seed=0)[0])


def network(name: str, recipe: Recipe, seed: int = 0, **arguments: object) -> nn.Module:
    torch.manual_seed(seed_for(seed, "init"))
    model = build_model(name, ImageSpec(channels=1, resolution=8, num_classes=10), **arguments)
    initialise(model, recipe)
    return model


def trainer(
    dataset: Dataset,
    recipe: Recipe = QUICK,
    name: str = "mlp",
    *,
    seed: int = 0,
    size: int | None = None,
    **arguments: object,
) -> Trainer:
    model = network(name, recipe, seed, **arguments)
    return Trainer(model, recipe, some(dataset, size), seed=seed, chance_loss=LN_10)


def told(subject: Trainer, indices: torch.Tensor) -> Step:
    """What a step saw."""
    return Step(*subject.step(indices).tolist())


def test_the_rate_is_set_at_every_step(digits):
    subject = trainer(digits, Recipe(epochs=2, batch_size=400, lr=0.1, schedule="cosine"), size=1000)
    assert subject.steps_per_epoch == 3
    assert subject.run_epoch()["lr"] == pytest.approx(learning_rate(subject.recipe, 2 / 3))
    assert subject.run_epoch()["lr"] == pytest.approx(learning_rate(subject.recipe, 5 / 3))


# Repetition


def test_layers_draw_as_after_manual_seed_and_absent_accelerators_are_left_alone(digits, monkeypatch):
    expected = torch.manual_seed(2**62 + 5) and torch.rand(3)
    subject = trainer(digits)
    monkeypatch.setattr(torch.cuda, "manual_seed_all", lambda seed: pytest.fail("seeds what is not there"))
    seed_layers(2**62 + 5, torch.device("cpu"))
    assert torch.equal(torch.rand(3), expected)
    subject.run_epoch()


def equal_weights(one: nn.Module, other: nn.Module) -> bool:
    ours, theirs = one.state_dict(), other.state_dict()
    return ours.keys() == theirs.keys() and all(torch.equal(ours[key], theirs[key]) for key in ours)


def without_times(history: list[dict[str, float]]) -> list[dict[str, float]]:
    return [{key: value for key, value in row.items() if key != "seconds"} for row in history]


@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_a_run_repeats_bit_for_bit(digits, precision):
    recipe = Recipe(epochs=2, batch_size=100, lr=0.05, augmentation="crop_flip", precision=precision)
    first, second = (trainer(digits, recipe, "nin_mnist", size=300, width=0.25) for _ in range(2))
    for subject in (first, second):
        torch.rand(
            1 if subject is first else 2
        )  # what else draws from the global generator is no part of the cell
        subject.run_epoch()
        subject.run_epoch()
    assert equal_weights(first.model, second.model)
    assert without_times(first.progress.history) == without_times(second.progress.history)


def test_another_seed_is_another_run(digits):
    first, second = (trainer(digits, seed=seed) for seed in (0, 1))
    assert first.run_epoch()["train_loss"] != second.run_epoch()["train_loss"]


def order_of(subject: Trainer) -> list[int]:
    """The images of an epoch, in the order of its steps."""
    seen: list[int] = []
    step = subject.step

    def noted(indices: torch.Tensor) -> torch.Tensor:
        seen.extend(indices.tolist())
        return step(indices)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "step", noted)
        subject.run_epoch()
    return seen


def test_batch_order_depends_on_the_seed_and_the_epoch_alone(digits):
    mlp = trainer(digits)
    first = order_of(mlp)
    assert order_of(trainer(digits, name="nin_mnist", width=0.1)) == first
    assert order_of(mlp) != first
    assert sorted(first) == some(digits).indices.tolist()


def test_purposes_and_seeds_have_streams_of_their_own():
    draws = {seed_for(seed, *purpose) for seed in range(3) for purpose in [("init",), ("order", 0), ("order", 1)]}
    assert len(draws) == 9
    assert all(0 <= draw < 2**63 for draw in draws)


def test_dropout_and_augmentation_differ_from_step_to_step(digits):
    still = Recipe(lr=1e-12, batch_size=50)
    indices = some(digits).indices[:50]
    for recipe, dropout in [(still, 0.5), (still.model_copy(update={"augmentation": "crop_flip"}), 0.0)]:
        subject = trainer(digits, recipe, "nin_mnist", width=0.25, final_relu=False, dropout=dropout)
        losses = set()
        for _ in range(3):
            step = told(subject, indices)
            subject.progress.note(step, 50, subject.steps_per_epoch, subject.chance_loss)
            losses.add(step.loss)
        assert len(losses) == 3


# A step


def test_micro_batches_sum_to_the_gradient_of_the_whole_batch(digits):
    indices = some(digits).indices[:50]
    gradients = []
    for micro_batch in (None, 16):
        recipe = Recipe(batch_size=50, lr=0.1, micro_batch=micro_batch, label_smoothing=0.1)
        subject = trainer(digits, recipe, "nin_mnist", width=0.25, dropout=0.0)
        step = told(subject, indices)
        gradients.append(([parameter.grad for parameter in subject.model.parameters()], step))
    (whole, step), (parts, step_of_parts) = gradients
    torch.testing.assert_close(parts, whole, rtol=1e-4, atol=1e-6)
    assert step_of_parts == pytest.approx(step)


def test_the_loss_of_a_step_is_the_cross_entropy_with_smoothed_labels(digits):
    images = some(digits)
    indices = images.indices[:40]
    subject = trainer(digits, Recipe(lr=0.1, label_smoothing=0.2))
    inputs, labels = images.batches.take(indices)
    with torch.no_grad():
        log_probability = subject.model(inputs).log_softmax(1)
    # 0.8 of each label stays where it is, 0.2 is spread over the ten classes, its own among them.
    right, every = log_probability.gather(1, labels[:, None]).sum(), log_probability.sum()
    step = told(subject, indices)
    assert step.smoothed_loss == pytest.approx(-(0.8 * right + 0.02 * every).item(), rel=1e-5)
    assert step.loss == pytest.approx(-right.item(), rel=1e-5)


def test_one_step_of_plain_sgd_is_the_gradient_times_the_rate(digits):
    subject = trainer(digits, Recipe(lr=0.5))
    before = {name: parameter.detach().clone() for name, parameter in subject.model.named_parameters()}
    subject.step(some(digits).indices[:20])
    for name, parameter in subject.model.named_parameters():
        torch.testing.assert_close(parameter.detach(), before[name] - 0.5 * parameter.grad)


@pytest.mark.parametrize(
    "recipe",
    [
        Recipe(epochs=1, batch_size=32, lr=0.5),
        Recipe(epochs=1, batch_size=32, lr=0.05, momentum=0.9, nesterov=True, weight_decay=1e-4),
        Recipe(epochs=1, batch_size=32, lr=0.005, optimizer="adam"),
        Recipe(epochs=1, batch_size=32, lr=0.005, optimizer="adamw", weight_decay=0.01),
        Recipe(
            epochs=1, batch_size=32, lr=0.003, optimizer="nadam", ema=0.8, clip_norm=1.0, mixup=0.2, cutmix=0.5
        ),
    ],
    ids=lambda recipe: recipe.optimizer + ("+nesterov" if recipe.nesterov else ""),
)
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_every_optimizer_learns_in_either_precision(digits, recipe, precision):
    subject = trainer(digits, recipe.model_copy(update={"precision": precision}))
    row = subject.run_epoch()
    assert row["train_loss"] < LN_10 - 0.3
    assert subject.evaluate(some(digits)).accuracy > 0.7


def test_a_small_nin_reaches_90_percent_of_the_test_images_in_6_epochs(digits):
    recipe = Recipe(epochs=6, batch_size=16, lr=0.003, optimizer="adam", init="kaiming_normal")
    subject = trainer(digits, recipe, "nin_mnist", width=0.25, pointwise=1, final_relu=False, dropout=0.0)
    for _ in range(recipe.epochs):
        subject.run_epoch()
    test = digits.test_batches("cpu")
    assert subject.evaluate(Images(test, torch.arange(len(test)))).accuracy >= 0.9
    assert 0 < subject.progress.escape_epoch < 1


def test_gradients_are_scaled_down_to_the_norm_together(digits):
    moves = []
    for clip_norm in (None, 0.01, 1e6):
        subject = trainer(digits, Recipe(lr=0.5, clip_norm=clip_norm))
        before = [parameter.detach().clone() for parameter in subject.model.parameters()]
        subject.step(some(digits).indices[:20])
        after = subject.model.parameters()
        moves.append(torch.cat([(new - old).flatten() for old, new in zip(before, after, strict=True)]).detach())
    free, clipped, unmoved = moves
    assert clipped.norm().item() == pytest.approx(0.5 * 0.01, rel=1e-3)
    torch.testing.assert_close(clipped / clipped.norm(), free / free.norm(), rtol=1e-3, atol=1e-5)
    assert torch.equal(unmoved, free)


def test_the_mean_of_the_weights_is_what_is_evaluated(digits):
    subject = trainer(digits, Recipe(epochs=1, batch_size=100, lr=0.2, ema=0.95), size=1000)
    weights = []
    step = subject.step

    def noted(indices: torch.Tensor) -> torch.Tensor:
        found = step(indices)
        weights.append(next(subject.model.parameters()).detach().clone())
        return found

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(subject, "step", noted)
        subject.run_epoch()
    mean = weights[0]
    for one in weights[1:]:
        mean = 0.95 * mean + 0.05 * one
    torch.testing.assert_close(next(subject.network.parameters()), mean, rtol=1e-4, atol=1e-6)
    as_evaluated = subject.evaluate(some(digits)).loss
    subject.model.load_state_dict(subject.network.state_dict())
    plain = Trainer(subject.model, QUICK, some(digits), seed=0, chance_loss=LN_10)
    assert plain.evaluate(some(digits)).loss == as_evaluated
    assert plain.network is plain.model


def test_a_training_goes_on_from_its_state_with_every_optimizer_and_precision(digits):
    """Where a state is taken within an epoch and restored, the rest of it is the same, bit for bit."""
    recipes = [Recipe(epochs=1, batch_size=32, lr=0.003, optimizer=name) for name in get_args(Optimizer)]
    recipes += [Recipe(epochs=1, batch_size=32, lr=0.003, precision="fp16", ema=0.9, clip_norm=0.1, mixup=0.2)]
    for recipe in recipes:
        whole, first, second = (trainer(digits, recipe, size=160) for _ in range(3))
        row = whole.run_epoch()
        asked = iter([False, False, True])
        with pytest.raises(StoppedError):
            first.run_epoch(lambda asked=asked: next(asked))
        kept = io.BytesIO()
        torch.save(first.state(), kept)
        kept.seek(0)
        second.restore(torch.load(kept, weights_only=True))
        assert without_times([second.run_epoch()]) == without_times([row]), recipe
        assert equal_weights(second.model, whole.model), recipe
        assert equal_weights(second.network, whole.network), recipe
        assert second.scaler.state_dict() == whole.scaler.state_dict()


def test_gradients_that_overflow_leave_the_weights_and_lower_the_scale(digits):
    subject = trainer(digits, Recipe(lr=0.05, precision="fp16"))
    subject.scaler = torch.amp.GradScaler("cpu", init_scale=2.0**40)
    before = {name: value.clone() for name, value in subject.model.state_dict().items()}
    step = told(subject, some(digits).indices[:32])
    assert math.isfinite(step.loss)
    assert all(torch.equal(value, before[name]) for name, value in subject.model.state_dict().items())
    assert subject.scaler.get_scale() == 2.0**39


def test_fp16_is_refused_where_pytorch_cannot_train_in_it(monkeypatch: pytest.MonkeyPatch):
    def unsupported(*_: object, **__: object) -> None:
        raise RuntimeError("\"slow_conv2d_cpu\" not implemented for 'Half'")

    precision.check_precision(Recipe(precision="bf16"), torch.device("cpu"))
    monkeypatch.setattr(torch, "autocast", unsupported)
    precision._why_not_fp16.cache_clear()
    with pytest.raises(
        SpecError, match=r"precision: 'fp16' cannot be trained on cpu .*not implemented.*; use bf16"
    ):
        precision.check_precision(Recipe(precision="fp16"), torch.device("cpu"))
    precision._why_not_fp16.cache_clear()


def test_micro_batches_are_refused_with_batch_normalisation():
    norm, recipe = build_model("lenet", ImageSpec(1, 12, 10), batch_norm=True), Recipe(micro_batch=16)
    with pytest.raises(SpecError, match=r"micro_batch: 16 does not go with batch normalisation.*leave it out"):
        check_micro_batch(norm, recipe)
    check_micro_batch(norm, Recipe())
    check_micro_batch(build_model("lenet", ImageSpec(1, 12, 10)), recipe)


@pytest.mark.skipif(not (shutil.which("g++") or shutil.which("clang++")), reason="needs a C++ compiler")
def test_a_compiled_network_learns_the_same_and_is_evaluated_as_it_is(
    digits, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    monkeypatch.setenv("TORCHINDUCTOR_CACHE_DIR", str(tmp_path))
    monkeypatch.setattr(
        "torch._inductor.config.compile_threads", 1
    )  # no processes, each of which would import torch
    rows, evaluations = [], []
    for compiled in (False, True):
        recipe = QUICK.model_copy(update={"compile": compiled})
        torch.manual_seed(0)
        layers = {"class_block": nn.Conv2d(1, 10, 3), "average": nn.AdaptiveAvgPool2d(1), "flatten": nn.Flatten()}
        subject = Trainer(nn.Sequential(OrderedDict(layers)), recipe, some(digits, 64), seed=0, chance_loss=LN_10)
        assert (subject.forward is subject.model) is not compiled
        rows.append(subject.run_epoch())
        evaluations.append(subject.evaluate(subject.train))
    torch.compiler.reset()
    assert any(tmp_path.rglob("*.so"))
    assert rows[1]["train_loss"] == pytest.approx(rows[0]["train_loss"], rel=1e-4)
    assert evaluations[1].loss == pytest.approx(evaluations[0].loss, rel=1e-4)
    assert evaluations[1].num_dead_maps == evaluations[0].num_dead_maps
    assert evaluations[1].num_dead_maps is not None


# On an accelerator


@pytest.mark.parametrize("name", list_models())
def test_nothing_of_a_forward_pass_and_its_loss_stays_behind_on_the_cpu(name):
    # On a CUDA device that is not there: shapes and devices without numbers. A mix of devices is an error.
    # Only in fp32, since torch switches autocast off where there is no CUDA.
    resolution = {"alexnet": 65, "nin": 67}.get(name, 32)
    with FakeTensorMode():
        with torch.device("cuda"):
            model = build_model(name, ImageSpec(channels=3, resolution=resolution, num_classes=10))
        pixels, labels = torch.zeros(8, 3, 28, 28, dtype=torch.uint8), torch.zeros(8, dtype=torch.int64)
        scale = (torch.zeros(3), torch.ones(3))
        batches = ImageBatches(pixels, labels, resolution, standardise_by=scale, device="cuda")
        indices = torch.arange(8)
        subject = Trainer(model, Recipe(), Images(batches, indices), seed=0, chance_loss=LN_10)
        inputs, targets = batches.take(indices[:4], "crop_flip", torch.Generator().manual_seed(0))
        with subject.autocast():
            logits = subject.forward(inputs)
        loss = subject.loss(logits.float(), targets)
        shares = right(logits, targets)
    assert logits.shape == (4, 10)
    assert {tensor.device.type for tensor in (inputs, targets, logits, loss, shares)} == {"cuda"}


class Waits(TorchDispatchMode):
    """Notes the copies between host and device for which the host waits."""

    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def __torch_dispatch__(self, func, types, args=(), kwargs=None):
        result = func(*args, **(kwargs or {}))
        copied = {torch.ops.aten._to_copy.default: 0, torch.ops.aten.copy_.default: 1}.get(func)
        if copied is not None and args[copied].device != result.device:
            may_go_on = (kwargs or {}).get("non_blocking", args[2:] == (True,))
            self.found += [] if may_go_on else [f"{func} of {tuple(args[copied].shape)}"]
        return result


VARIED = [
    {},
    {"augmentation": "crop_flip", "label_smoothing": 0.1, "momentum": 0.9},
    {"optimizer": "adam", "micro_batch": 8},
]


@pytest.mark.parametrize("changes", VARIED, ids=str)
def test_no_step_waits_for_its_device(digits, changes):
    # On the meta device a tensor has no values: to read one is an error, as is `nonzero`.
    recipe = Recipe(batch_size=32, **changes)
    with torch.device("meta"):
        model = network("nin_mnist", recipe, width=0.25)
    images = Images(digits.batches("meta"), digits.split(320, 200, seed=0)[0])
    subject = Trainer(model, recipe, images, seed=0, chance_loss=LN_10)
    subject.autocast = nullcontext  # which does not know the device
    order = subject.steps_left()
    with Waits() as waits:
        sums = [subject.step(indices) for indices in order[:3]]
    assert waits.found == []
    assert {(one.device.type, one.shape) for one in sums} == {("meta", (3,))}
    with pytest.raises(NotImplementedError), Waits() as waits:
        sums[0].cpu()
    with Waits() as waits:
        torch.zeros(2).to("meta")
    assert waits.found == ["aten._to_copy.default of (2,)"]


@pytest.mark.gpu
@pytest.mark.parametrize("changes", [*VARIED, {"precision": "bf16"}], ids=str)
def test_cuda_finds_no_step_that_waits_either(digits, changes):
    if not torch.cuda.is_available():
        pytest.skip("only CUDA tells of waits")
    recipe = Recipe(batch_size=32, **changes)
    model = network("nin_mnist", recipe, width=0.25).cuda().to(memory_format=torch.channels_last)
    images = Images(digits.batches("cuda"), digits.split(320, 200, seed=0)[0])
    subject = Trainer(model, recipe, images, seed=0, chance_loss=LN_10)
    order = subject.steps_left()
    subject.step(order[0])  # which loads kernels
    torch.cuda.set_sync_debug_mode("error")
    try:
        for indices in order[1:4]:
            subject.step(indices)
    finally:
        torch.cuda.set_sync_debug_mode("default")


def test_steps_that_are_read_later_tell_the_same(digits):
    recipe = Recipe(epochs=2, batch_size=32, lr=0.05, momentum=0.9, schedule="cosine", augmentation="crop_flip")
    at_once, later = (trainer(digits, recipe, size=1000) for _ in range(2))
    later._max_unread = 9
    rows = [[subject.run_epoch() for _ in range(2)] for subject in (at_once, later)]
    assert without_times(rows[0]) == without_times(rows[1])
    assert equal_weights(at_once.model, later.model)
    assert later.progress.escape_epoch == at_once.progress.escape_epoch is not None
    assert later.progress.num_images == at_once.progress.num_images == 2000
    assert later.progress.train_seconds > 0


def test_a_divergence_that_is_read_later_is_told_of_the_step_where_it_was(digits):
    subjects = [trainer(digits, Recipe(epochs=1, batch_size=32, lr=1e9)) for _ in range(2)]
    subjects[1]._max_unread = 50
    errors = []
    for subject in subjects:
        with pytest.raises(DivergedError) as caught:
            subject.run_epoch()
        errors.append(
            (str(caught.value), caught.value.step, subject.progress.num_steps, subject.progress.num_images)
        )
    assert errors[0] == errors[1]


def test_a_state_and_a_stop_wait_for_the_steps_before_them(digits):
    subject = trainer(digits, size=320)
    subject._max_unread = 50
    stops = iter([False] * 4 + [True])
    with pytest.raises(StoppedError):
        subject.run_epoch(lambda: next(stops))
    assert subject.progress.num_steps == subject.progress.current_epoch.num_batches == 4
    states: list[int] = []
    subject.run_epoch(after_step=lambda: states.append(subject.state()["progress"]["num_steps"]))
    assert states == [5, 6, 7, 8, 9, 10]


@pytest.mark.gpu
@pytest.mark.parametrize(
    "changes",
    [{}, {"precision": "bf16"}, {"micro_batch": 8}, {"compile": True}, {"augmentation": "crop_flip"}],
    ids=str,
)
def test_an_accelerator_learns_as_the_cpu_does(digits, changes):
    accelerator = torch.accelerator.current_accelerator()
    recipe = QUICK.model_copy(update=changes)
    rows = []
    for device in ("cpu", accelerator):
        run = recipe if device == accelerator else recipe.model_copy(update={"compile": False})
        model = network("nin_mnist", run, width=0.25, dropout=0.0).to(device).to(memory_format=torch.channels_last)
        images = Images(digits.batches(device), digits.split(320, 200, seed=0)[0])
        subject = Trainer(model, run, images, seed=0, chance_loss=LN_10)
        rows.append(subject.run_epoch())
        assert subject.evaluate(images).num_dead_maps is not None
    tolerance = 0.05 if recipe.precision == "bf16" else 1e-3
    assert rows[1]["train_loss"] == pytest.approx(rows[0]["train_loss"], rel=tolerance)


# What is told of an epoch


def test_an_epochs_row(digits):
    subject = trainer(digits, Recipe(epochs=2, batch_size=300, lr=1e-12), size=1000)
    subject.run_epoch()
    row = subject.run_epoch()
    assert list(row) == ["epoch", "train_loss", "train_accuracy", "lr", "seconds"]
    # At such a rate nothing moves, and batches of 300, 300, 300 and 100 weigh as their images do.
    resting = subject.evaluate(some(digits, 1000))
    assert row["epoch"] == 2
    assert row["train_loss"] == pytest.approx(resting.loss, rel=1e-5)
    assert row["train_accuracy"] == pytest.approx(resting.accuracy)
    assert subject.progress.num_steps == 8
    assert subject.progress.num_images == 2000
    assert subject.progress.train_seconds == sum(row["seconds"] for row in subject.progress.history)


def test_a_training_that_diverges_says_at_which_step(digits):
    subject = trainer(digits, Recipe(epochs=1, batch_size=32, lr=1e9))
    with pytest.raises(DivergedError, match=r"the training loss became (nan|inf) at step [234]$") as caught:
        subject.run_epoch()
    assert caught.value.step == subject.progress.num_steps + 1
    assert subject.progress.history == []


def test_a_training_stops_before_the_step_that_is_not_wanted(digits):
    subject = trainer(digits, size=320)
    answers = iter([False, False, False, True])
    with pytest.raises(StoppedError):
        subject.run_epoch(lambda: next(answers))
    assert subject.progress.num_steps == 3
    assert subject.progress.num_images == 96
    assert subject.progress.history == []
    assert subject.progress.images_per_second == pytest.approx(96 / subject.progress.train_seconds)


def test_nothing_is_known_of_the_speed_before_the_first_step(digits):
    subject = trainer(digits)
    with pytest.raises(StoppedError):
        subject.run_epoch(lambda: True)
    assert subject.progress.images_per_second is None


# Escape


def after(digits: Dataset, losses: list[float]) -> Progress:
    """What is known after steps with these losses, ten of them an epoch."""
    subject = trainer(digits, Recipe(epochs=1, batch_size=100), size=1000)
    for loss in losses:
        subject.progress.note(Step(loss, loss, 0.0), 1, subject.steps_per_epoch, subject.chance_loss)
    return subject.progress


def test_escape_needs_twenty_steps_and_says_when_their_mean_fell_far_enough(digits):
    assert after(digits, [1.0] * 19).escape_epoch is None
    assert after(digits, [1.0] * 20).escape_epoch == 2.0
    # 0.95 ln 10 = 2.1875; twenty losses of which k are 2.0, the others 2.3, have a mean of 2.3 - 0.015 k.
    assert after(digits, [2.3] * 20 + [2.0] * 7).escape_epoch is None
    assert after(digits, [2.3] * 20 + [2.0] * 8).escape_epoch == 2.8


def test_whether_it_escaped_is_not_known_before_twenty_steps(digits):
    assert after(digits, [1.0] * 19).escaped is None
    assert after(digits, [2.3] * 20).escaped is False
    assert after(digits, [1.0] * 20).escaped is True


def test_an_escape_is_told_once_and_kept(digits):
    assert after(digits, [2.0] * 20 + [2.5] * 30 + [1.0] * 30).escape_epoch == 2.0


def test_one_lucky_step_is_no_escape(digits):
    assert after(digits, [2.3] * 30 + [1.0] + [2.3] * 30).escaped is False


def test_a_network_that_cannot_learn_never_escapes(digits):
    subject = trainer(digits, Recipe(epochs=1, batch_size=32, lr=1e-12))
    subject.run_epoch()
    assert (subject.progress.escaped, subject.progress.escape_epoch) == (False, None)


def test_chance_is_the_best_constant_guess():
    even = Chance.of(torch.arange(10).repeat(3))
    assert (even.loss, even.accuracy) == (pytest.approx(LN_10), pytest.approx(0.1))
    # Three of four images are of one class, none is of class 1: -(3/4 ln 3/4 + 1/4 ln 1/4) = 0.5623 nats.
    uneven = Chance.of(torch.tensor([0, 2, 0, 0]))
    assert (uneven.loss, uneven.accuracy) == (pytest.approx(0.5623351), 0.75)


# Evaluation


NAN = float("nan")
LOGITS = torch.tensor([
    [0.0, 2.0, 1.0], [0.0, 0.0, 0.0], [-1.0, 0.0, -2.0], [3.0, 3.0, 0.0], [3.0, 3.0, 0.0], [3.0, 3.0, 0.0],
    [NAN, 1.0, 0.0],
])  # fmt: skip


def test_answers_of_hand_made_logits():
    labels = torch.tensor([1, 2, 0, 0, 1, 2, 1])
    found = answers(LOGITS, labels)
    # The label where it is among the highest, else the lowest class of those; none where there is no number.
    assert found["predicted"].tolist() == [1, 2, 1, 0, 1, 0, -1]
    assert found["credit"].tolist() == pytest.approx([1, 1 / 3, 1, 1 / 2, 1 / 2, 1 / 2, 0])
    assert found["times_predicted"].squeeze().tolist() == pytest.approx(
        [1 / 3 + 3 / 2, 1 + 1 / 3 + 1 + 3 / 2, 1 / 3]
    )
    assert found["probability"].tolist()[1:] == pytest.approx(
        [1 / 3, 1 / (1 + math.exp(-1) + math.exp(-2)), *[1 / (2 + math.exp(-3))] * 3, 0.0]
    )
    assert right(LOGITS, labels).tolist() == pytest.approx([1, 1 / 3, 0, 1 / 2, 1 / 2, 0, 0])
    assert torch.equal(right(LOGITS, labels), found["right"])


def test_the_five_highest_are_picked_at_random_where_the_fifth_ties():
    logits = torch.tensor([[5.0, 4.0, 3.0, 2.0, 1.0, 0.0], [1.0, 1.0, 1.0, 0.0, 0.0, 0.0], [0.0] * 6])
    for label, expected in [(0, [1, 1, 5 / 6]), (5, [0, 2 / 3, 5 / 6])]:
        found = answers(logits, torch.full((3,), label))
        assert found["top5"].tolist() == pytest.approx(expected)


def dead_nin(dead: list[int], **arguments: object) -> nn.Module:
    """A network whose last ReLU lets nothing through for some classes."""
    model = network("nin_mnist", Recipe(), width=0.25, **arguments)
    last = [layer for layer in model.get_submodule("class_block").modules() if isinstance(layer, nn.Conv2d)][-1]
    with torch.no_grad():
        last.weight.abs_()
        last.bias.fill_(1.0)
        last.bias[dead] = -1e6
    return model


def evaluation_of(model: nn.Module, dataset: Dataset) -> Evaluation:
    images = some(dataset)
    return Trainer(model, QUICK, images, seed=0, chance_loss=LN_10).evaluate(images, keep_answers=True)


def test_dead_maps_are_counted(digits):
    evaluation = evaluation_of(dead_nin([0, 3, 7]), digits)
    assert evaluation.dead_maps == [0, 3, 7]
    assert evaluation.num_dead_maps == 3
    assert set(evaluation.answers.predictions["credit"].tolist()) == {1.0}
    assert not set(evaluation.answers.predictions["predicted"].tolist()) & {0, 3, 7}
    assert {0, 3, 7} <= set(evaluation.answers.scores()["lost_classes"])


def test_dead_maps_are_seen_behind_a_dense_layer_too(digits):
    evaluation = evaluation_of(dead_nin([1, 2], head="fc_maps"), digits)
    assert evaluation.dead_maps == [1, 2]
    assert evaluation.answers.scores()["num_tied"] == 0


@pytest.mark.parametrize(("name", "arguments"), [("mlp", {}), ("nin_mnist", {"head": "fc_linear", "width": 0.25})])
def test_a_network_without_class_maps_has_none_to_lose(digits, name, arguments):
    evaluation = evaluation_of(network(name, QUICK, **arguments), digits)
    assert (evaluation.dead_maps, evaluation.num_dead_maps) == (None, None)


def test_a_map_that_lives_on_a_single_image_is_not_dead(digits):
    images = some(digits)
    model = network("nin_mnist", QUICK, width=0.25)

    def only_on_the_first(block: nn.Module, inputs: object, maps: torch.Tensor) -> torch.Tensor:
        live = torch.zeros_like(maps)
        if len(seen) == 0:
            live[0, 4, 0, 0] = 1.0
        seen.append(len(maps))
        return live

    seen: list[int] = []
    model.get_submodule("class_block").register_forward_hook(only_on_the_first)
    evaluation = Trainer(model, QUICK, images, seed=0, chance_loss=LN_10).evaluate(images, keep_answers=True)
    assert len(seen) > 1
    assert evaluation.dead_maps == [0, 1, 2, 3, 5, 6, 7, 8, 9]
    assert evaluation.answers.scores()["num_tied"] == len(images) - 1
    assert evaluation.answers.predictions["predicted"][0] == 4


def test_a_network_without_a_score_stands_at_chance(digits):
    evaluation = evaluation_of(dead_nin(list(range(10))), digits)
    assert evaluation.num_dead_maps == 10
    assert evaluation.answers.scores()["num_tied"] == len(some(digits)) > 0
    assert evaluation.accuracy == pytest.approx(0.1)
    assert evaluation.loss == pytest.approx(LN_10)
    assert evaluation.answers.predictions["probability"].tolist() == pytest.approx([0.1] * len(some(digits)))
    assert np.array_equal(evaluation.answers.predictions["predicted"], evaluation.answers.predictions["label"])


def test_a_training_step_credits_chance_where_no_image_has_a_score_too(digits):
    images = some(digits)
    subject = Trainer(dead_nin(list(range(10))), QUICK, images, seed=0, chance_loss=LN_10)
    step = told(subject, images.indices)
    assert step.num_right / len(images) == pytest.approx(0.1)
    assert step.loss / len(images) == pytest.approx(LN_10)


def test_an_evaluation_is_in_evaluation_mode_and_without_smoothing(digits):
    images = some(digits)
    recipe = Recipe(label_smoothing=0.3)
    subject = trainer(digits, recipe, "nin_mnist", width=0.25, dropout=0.9)
    evaluation = subject.evaluate(images, keep_answers=True)
    assert subject.evaluate(images).answers is None
    subject.model.eval()
    inputs, labels = images.batches.take(images.indices)
    with torch.no_grad():
        logits = subject.model(inputs)
    assert evaluation.loss == pytest.approx(nn.functional.cross_entropy(logits, labels).item(), rel=1e-5)
    assert evaluation.answers.predictions["predicted"].tolist() == logits.argmax(1).tolist()
    assert evaluation.answers.predictions["label"].tolist() == labels.tolist()
    assert evaluation.answers.predictions["probability"] == pytest.approx(logits.softmax(1).amax(1).numpy())


class Reuses(nn.Module):
    """It returns its scores in the same memory each time."""

    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.network, self.scores = network, torch.zeros(250, 10)

    def forward(self, images: torch.Tensor) -> torch.Tensor:
        self.scores[: len(images)] = self.network(images)
        return self.scores[: len(images)]


def test_scores_that_a_network_overwrites_later_are_read_before(digits):
    subject = trainer(digits)
    plain = subject.evaluate(some(digits), keep_answers=True).answers.predictions["predicted"]
    subject.network = Reuses(subject.network)
    found = subject.evaluate(some(digits), keep_answers=True).answers.predictions["predicted"]
    assert len(plain) > 2 * 250
    assert (found == plain).all()


class LeavesTraining(nn.Sequential):
    def forward(self, images: torch.Tensor) -> torch.Tensor:
        next(self.children()).eval()
        return super().forward(images)


def test_a_network_that_leaves_training_mode_is_refused(digits):
    subject = trainer(digits, size=64)
    subject.model = subject.forward = LeavesTraining(subject.model)
    with pytest.raises(SpecError, match=r"forward: changes between training and evaluation mode; leave out"):
        subject.run_epoch()


def test_a_seed_reaches_what_numpy_and_python_draw(monkeypatch):
    list_models()
    monkeypatch.setitem(registered, "model", dict(registered["model"]))

    @register_model
    def drawn(image: ImageSpec) -> nn.Module:
        layer = nn.Linear(image.resolution**2, image.num_classes)
        nn.init.constant_(layer.weight, random.random())
        nn.init.constant_(layer.bias, np.random.rand())
        return nn.Sequential(nn.Flatten(), layer)

    image, model = ImageSpec(1, 8, 10), ModelSpec(name="drawn", revision=1, arguments={}, defaults={})
    cells = [Cell(data=DataSpec(name="digits"), model=model, recipe=QUICK, seed=seed) for seed in (0, 0, 1)]
    networks = [make_network(cell, image, torch.device("cpu")) for cell in cells]
    for first, again, other in zip(*(network.parameters() for network in networks), strict=True):
        assert first[0].sum() == again[0].sum() != other[0].sum()


def test_predictions_are_kept_small(digits):
    arrays = evaluation_of(dead_nin([0]), digits).answers.predictions
    assert {name: str(array.dtype) for name, array in arrays.items()} == {
        "predicted": "int16", "credit": "float32", "probability": "float32", "label": "int16",
    }  # fmt: skip
