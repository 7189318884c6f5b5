import copy
from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from nin_bench.cell import DataSpec, Recipe
from nin_bench.data import resolve_data
from nin_bench.data.dataset import load_dataset
from nin_bench.models import ImageSpec, build_model
from nin_bench.training.batched import BatchedTrainers, CannotBatchError
from nin_bench.training.evaluation import Images, StoppedError
from nin_bench.training.optimization import initialise
from nin_bench.training.progress import Step
from nin_bench.training.trainer import Trainer, seed_for

SEEDS = (0, 1, 7)
RECIPE = Recipe(epochs=2, batch_size=48, lr=0.05, momentum=0.9)


@pytest.fixture(scope="module")
def dataset():
    return load_dataset(resolve_data(DataSpec(name="digits", resolution=12), None), None)


@pytest.fixture
def trainers(dataset):
    """Makes a trainer for each seed; each trains on images of its own."""
    batches = dataset.batches("cpu")

    def make(
        name: str = "mlp", recipe: Recipe = RECIPE, seeds: Sequence[int] = SEEDS, **arguments: object
    ) -> list[Trainer]:
        made = []
        for seed in seeds:
            torch.manual_seed(seed_for(seed, "init"))
            model = build_model(name, ImageSpec(1, 12, 10), **arguments)
            initialise(model, recipe)
            images = Images(batches, dataset.split(1000, 200, seed)[0])
            model = model.to(memory_format=torch.channels_last)
            made.append(Trainer(model, recipe, images, seed=seed, chance_loss=2.3))
        return made

    return make


def alone(trainer: Trainer, num_steps: int) -> list[tuple[Step, list[Tensor]]]:
    """What a trainer's first steps saw, and their gradients."""
    found = []
    trainer.model.train()
    for indices in trainer.steps_left()[:num_steps]:
        trainer.set_learning_rate()
        sums = trainer.step(indices)
        trainer.note_taken(len(indices), sums, 0.0)
        found.append((Step(*sums.tolist()), [weight.grad.clone() for weight in trainer.model.parameters()]))
    return found


def together(batch: BatchedTrainers, num_steps: int) -> list[tuple[list[Step], list[Tensor]]]:
    found = []
    for parts in list(zip(*(one.steps_left() for one in batch.trainers), strict=True))[:num_steps]:
        sums = batch.step(torch.stack(parts))
        for trainer, own in zip(batch.trainers, sums, strict=True):
            trainer.note_taken(len(parts[0]), own, 0.0)
        gradients = [weight.grad.clone() for weight in batch._network.parameters()]
        found.append(([Step(*row) for row in sums.tolist()], gradients))
    return found


@pytest.mark.parametrize(
    ("name", "arguments", "changes"),
    [
        ("mlp", {"hidden": 32}, {"optimizer": "adam", "lr": 0.003, "momentum": 0.0, "weight_decay": 0.01}),
        ("nin_mnist", {"width": 0.25, "dropout": 0.5}, {"augmentation": "crop_flip", "schedule": "cosine"}),
        ("lenet", {"activation": "relu"}, {"nesterov": True, "label_smoothing": 0.1, "warmup_epochs": 0.5}),
    ],
    ids=str,
)
def test_twenty_steps_are_those_of_each_network_alone(trainers, name, arguments, changes):
    recipe = Recipe(**{**RECIPE.model_dump(), **changes})
    singles = [alone(trainer, 20) for trainer in trainers(name, recipe, **arguments)]
    batched = together(BatchedTrainers(trainers(name, recipe, **arguments)), 20)
    assert len(batched) == 20
    for step, (seen, gradients) in enumerate(batched):
        for number, single in enumerate(singles):
            expected, of_weights = single[step]
            assert seen[number] == pytest.approx(expected, rel=1e-4)
            for ours, theirs in zip(gradients, of_weights, strict=True):
                torch.testing.assert_close(ours[number], theirs, rtol=2e-3, atol=1e-5)


def test_in_bfloat16_they_are_as_near_as_it_tells_numbers_apart(trainers):
    recipe = RECIPE.model_copy(update={"precision": "bf16"})
    singles = [alone(trainer, 5) for trainer in trainers("nin_mnist", recipe, width=0.25, dropout=0.2)]
    batched = together(BatchedTrainers(trainers("nin_mnist", recipe, width=0.25, dropout=0.2)), 5)
    for step, (seen, _) in enumerate(batched):
        for number, single in enumerate(singles):
            assert seen[number].loss == pytest.approx(single[step][0].loss, rel=0.02)


def run_epoch(batch: BatchedTrainers) -> list[dict[str, float]]:
    batch.run_epoch(lambda: False, after_step=lambda: None)
    return [trainer.end_epoch() for trainer in batch.trainers if trainer not in batch.diverged]


def test_what_breaks_one_network_does_not_touch_the_others(trainers):
    whole, broken = trainers("nin_mnist", width=0.25), trainers("nin_mnist", width=0.25)
    with torch.no_grad():
        next(broken[1].model.parameters()).fill_(torch.inf)
    for subjects in (whole, broken):
        batch = BatchedTrainers(subjects)
        rows = run_epoch(batch)
    assert [trainer.seed for trainer in batch.diverged] == [SEEDS[1]]
    assert batch.diverged[broken[1]].step == 1
    assert [row["train_loss"] for row in rows] == [
        trainer.progress.history[0]["train_loss"] for trainer in (whole[0], whole[2])
    ]
    for number in (0, 2):
        for ours, theirs in zip(broken[number].model.parameters(), whole[number].model.parameters(), strict=True):
            assert torch.equal(ours, theirs)


def test_a_batch_goes_on_from_the_states_of_its_trainers(trainers):
    recipe = RECIPE.model_copy(update={"optimizer": "adam", "momentum": 0.0, "lr": 0.003, "schedule": "cosine"})
    whole = trainers("mlp", recipe)
    batch = BatchedTrainers(whole)
    run_epoch(batch)
    states = [copy.deepcopy(trainer.state()) for trainer in whole]
    run_epoch(batch)
    resumed = trainers("mlp", recipe)
    for trainer, state in zip(resumed, states, strict=True):
        trainer.restore(copy.deepcopy(state))
    run_epoch(BatchedTrainers(resumed))
    for ours, theirs in zip(resumed, whole, strict=True):
        assert ours.progress.history[1]["train_loss"] == theirs.progress.history[1]["train_loss"]
        assert ours.progress.num_steps == 42
        for one, other in zip(ours.model.parameters(), theirs.model.parameters(), strict=True):
            assert torch.equal(one, other)
    # One of them alone, too.
    (single,) = trainers("mlp", recipe, seeds=SEEDS[:1])
    single.restore(states[0])
    assert single.run_epoch()["train_loss"] == pytest.approx(whole[0].progress.history[1]["train_loss"], rel=1e-4)


def test_a_stop_leaves_the_trainers_up_to_date(trainers):
    stopped, single = trainers(), trainers()[0]
    answers = iter([False] * 3 + [True])
    with pytest.raises(StoppedError):
        BatchedTrainers(stopped).run_epoch(lambda: next(answers), after_step=lambda: None)
    alone(single, 3)
    assert [trainer.progress.num_steps for trainer in stopped] == [3, 3, 3]
    for ours, theirs in zip(stopped[0].model.parameters(), single.model.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs)


class FunctionalDropout(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.dense = nn.Linear(144, 10)

    def forward(self, images: Tensor) -> Tensor:
        return self.dense(nn.functional.dropout(images.flatten(1), 0.5, self.training))


class CalledTwice(FunctionalDropout):
    def __init__(self) -> None:
        super().__init__()
        self.drop = nn.Dropout(0.5)

    def forward(self, images: Tensor) -> Tensor:
        return self.dense(self.drop(self.drop(images.flatten(1))))


def test_what_cannot_be_batched_is_refused_with_the_reason(trainers):
    def refuse(subjects: Sequence[Trainer], why: str) -> None:
        with pytest.raises(CannotBatchError, match=why):
            BatchedTrainers(subjects)

    refuse(trainers(seeds=[0]), "only one")
    refuse(trainers("lenet", batch_norm=True), "buffers")
    refuse(trainers(recipe=RECIPE.model_copy(update={"micro_batch": 8})), "the recipe has micro_batch")
    one, other = trainers(seeds=[0, 1])
    alone(other, 1)
    refuse([one, other], "different numbers of steps")
    refuse([trainers()[0], trainers(recipe=RECIPE.model_copy(update={"lr": 0.1}))[1]], "more than their seed")
    for network, why in ((FunctionalDropout, "randomness"), (CalledTwice, "drop: is called more than once")):
        subjects = trainers()
        replaced = [Trainer(network(), RECIPE, one.train, seed=one.seed, chance_loss=2.3) for one in subjects]
        refuse(replaced, why)


@pytest.mark.gpu
@pytest.mark.parametrize("precision", ["fp32", "bf16"])
def test_on_an_accelerator_twenty_steps_are_those_of_each_network_alone(dataset, precision):
    device = torch.accelerator.current_accelerator()
    batches, made = dataset.batches(device), []
    recipe = RECIPE.model_copy(update={"precision": precision, "augmentation": "crop_flip", "lr": 0.01})
    for seed in (*SEEDS, *SEEDS):
        torch.manual_seed(seed_for(seed, "init"))
        model = build_model("nin_mnist", ImageSpec(1, 12, 10), width=0.25, dropout=0.5)
        initialise(model, recipe)
        images = Images(batches, dataset.split(1000, 200, seed)[0])
        model = model.to(device).to(memory_format=torch.channels_last)
        made.append(Trainer(model, recipe, images, seed=seed, chance_loss=2.3))
    singles = [alone(trainer, 20) for trainer in made[:3]]
    batched = together(BatchedTrainers(made[3:]), 20)
    tolerance = 0.05 if precision == "bf16" else 1e-3
    for step, (seen, _) in enumerate(batched):
        for number, single in enumerate(singles):
            assert seen[number].loss == pytest.approx(single[step][0].loss, rel=tolerance)
