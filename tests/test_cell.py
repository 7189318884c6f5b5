import os
import pickle
import subprocess
import sys

import pytest
from pydantic import ValidationError

from nin_bench.cell import Cell, DataSpec, ModelSpec, Recipe, digest
from nin_bench.errors import SpecError

DIGITS = DataSpec(name="digits", resolution=28, validation_size=200)
FASHION = DataSpec(name="fashion_mnist", resolution=131, normalize="none", train_size=6000, validation_size=2000)
LENET = ModelSpec(
    name="lenet",
    arguments={"activation": "sigmoid", "width": 1.0, "batch_norm": False},
    defaults={"activation": "sigmoid", "width": 1.0, "batch_norm": False},
)


def cell(**changes: object) -> Cell:
    return Cell(**{"model": LENET, "data": DIGITS, "recipe": Recipe(), "seed": 0, **changes})


def nin(catalog, **arguments: object) -> ModelSpec:
    return catalog.resolve_model("nin", arguments)


def test_golden_ids(catalog):
    # Whoever changes one of these renames every result that users have: stored records are no longer found.
    protocol = Recipe(epochs=10, batch_size=128, optimizer="sgd", lr=0.1, init="xavier_uniform", precision="fp32")
    quick = Recipe(epochs=12, batch_size=32, lr=0.02, momentum=0.9, schedule="cosine", precision="bf16")
    lenet = catalog.resolve_model("lenet", {})
    found = {
        "lenet on digits": cell(model=lenet).cell_id,
        "its seed 1": cell(model=lenet, seed=1).cell_id,
        "its variant": cell(model=lenet).variant_id,
        "nin as the notebooks": cell(model=nin(catalog, pointwise=2), data=FASHION, recipe=protocol).cell_id,
        "nin, linear, wide head": cell(
            model=nin(catalog, pointwise=3, pointwise_relu=False, head="fc", width=0.25),
            data=FASHION,
            recipe=quick,
        ).cell_id,
    }
    assert found == {
        "lenet on digits": "1a6a233448780707",
        "its seed 1": "5c0eba8f23de07ba",
        "its variant": "ad39cf1f92750be3",
        "nin as the notebooks": "ae467b4c44f73cb6",
        "nin, linear, wide head": "39297a71d35bb526",
    }


def test_the_identity_is_what_differs_from_the_defaults():
    changed = cell(
        model=LENET.model_copy(update={"arguments": {"activation": "relu", "width": 1.0, "batch_norm": False}}),
        recipe=Recipe(epochs=10, lr=0.05),
        seed=3,
        label="lenet activation=relu lr=0.05",
    )
    assert changed.identity() == {
        "model": {"name": "lenet", "revision": 1, "activation": "relu"},
        "data": {"name": "digits", "resolution": 28, "validation_size": 200},
        "recipe": {"lr": 0.05},
        "seed": 3,
    }


def test_the_digest_is_that_of_canonical_json():
    # printf '{"a":[1,2.5],"b":"1\\u00d71"}' | sha256sum
    assert digest({"b": "1×1", "a": [1, 2.5]}) == "77b6d2aefe7fe32d"


def test_a_new_field_renames_no_old_result():
    class NextRecipe(Recipe):
        gradient_clip: float | None = None
        ema: float = 0.0

    class NextData(DataSpec):
        channels: int | None = None

    class NextCell(Cell):
        data: NextData
        recipe: NextRecipe

    old = cell(recipe=Recipe(lr=0.05))
    new = NextCell(
        model=LENET,
        data=NextData(name="digits", resolution=28, validation_size=200),
        recipe=NextRecipe(lr=0.05),
        seed=0,
    )
    assert new.cell_id == old.cell_id
    assert new.variant_id == old.variant_id
    assert NextRecipe(lr=0.05, ema=0.9).identity() == {"lr": 0.05, "ema": 0.9}


def test_a_new_argument_renames_no_old_result_and_a_new_revision_does():
    arguments, defaults = LENET.arguments, LENET.defaults
    wider = ModelSpec(name="lenet", arguments={**arguments, "bias": True}, defaults={**defaults, "bias": True})
    assert cell(model=wider).cell_id == cell().cell_id
    assert cell(model=LENET.model_copy(update={"revision": 2})).cell_id != cell().cell_id


def test_what_cannot_change_the_result_is_no_part_of_the_identity():
    assert cell(label="lenet").cell_id == cell(label="another name").cell_id
    assert cell().variant_id == cell(seed=7).variant_id
    assert cell().cell_id != cell(seed=7).cell_id


@pytest.mark.parametrize(
    "change",
    [
        {"data": DIGITS.model_copy(update={"resolution": 32})},
        {"data": DIGITS.model_copy(update={"normalize": "dataset"})},
        {"data": DIGITS.model_copy(update={"train_size": 500})},
        {"recipe": Recipe(epochs=11)},
        {"recipe": Recipe(precision="bf16")},
        {"recipe": Recipe(micro_batch=16)},
        {"recipe": Recipe(compile=True)},
        {"model": LENET.model_copy(update={"name": "mlp"})},
    ],
)
def test_whatever_can_change_the_result_changes_the_ids(change):
    assert cell(**change).cell_id != cell().cell_id
    assert cell(**change).variant_id != cell().variant_id


def test_a_record_keeps_the_whole_cell():
    assert cell(recipe=Recipe(lr=0.05)).as_dict() == {
        "model": {"name": "lenet", "revision": 1, "activation": "sigmoid", "width": 1.0, "batch_norm": False},
        "data": {
            "name": "digits",
            "folder": None,
            "content": None,
            "resolution": 28,
            "normalize": "none",
            "train_size": None,
            "validation_size": 200,
        },
        "recipe": {
            "epochs": 10,
            "early_stop": None,
            "patience": 5,
            "batch_size": 128,
            "micro_batch": None,
            "optimizer": "sgd",
            "lr": 0.05,
            "momentum": 0.0,
            "nesterov": False,
            "beta1": None,
            "beta2": None,
            "eps": None,
            "weight_decay": 0.0,
            "clip_norm": None,
            "ema": 0.0,
            "schedule": "constant",
            "warmup_epochs": 0.0,
            "step_epochs": 10,
            "step_factor": 0.1,
            "init": "default",
            "init_std": 0.01,
            "augmentation": "none",
            "rand_augment": 0,
            "rand_augment_magnitude": 9,
            "random_erasing": 0.0,
            "mixup": 0.0,
            "cutmix": 0.0,
            "label_smoothing": 0.0,
            "precision": "fp32",
            "compile": False,
            "test_every_epoch": False,
        },
        "seed": 0,
    }


def test_ids_are_the_same_in_every_process():
    code = (
        "from nin_bench.cell import *\n"
        "lenet = ModelSpec(name='lenet', arguments=dict.fromkeys({'a', 'b', 'c', 'd', 'e'}, 1))\n"
        "print(Cell(model=lenet, data=DataSpec(name='digits'), recipe=Recipe(lr=0.05), seed=0).cell_id)"
    )
    ids = {
        subprocess.run(
            [sys.executable, "-c", code],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
        ).stdout
        for seed in ("0", "1", "12345")
    }
    assert len(ids) == 1


def test_a_cell_goes_to_a_worker_and_comes_back():
    assert pickle.loads(pickle.dumps(cell(label="lenet"))) == cell(label="lenet")


def test_a_cell_cannot_be_changed():
    for target, field in [(cell(), "seed"), (Recipe(), "lr"), (DIGITS, "name"), (LENET, "revision")]:
        with pytest.raises(ValidationError, match="frozen"):
            setattr(target, field, 1)


@pytest.mark.parametrize(
    ("fields", "field", "message"),
    [
        ({"nesterov": True}, "nesterov", "needs a momentum above 0; give one, or leave it out"),
        (
            {"optimizer": "adam", "momentum": 0.9},
            "momentum",
            "0.9, but adam has none; use 0, or optimizer sgd",
        ),
        (
            {"optimizer": "adamw", "momentum": 0.5, "nesterov": True},
            "momentum",
            "0.5, but adamw has none; use 0, or optimizer sgd",
        ),
        ({"beta2": 0.9, "momentum": 0.9}, "beta2", "0.9, but sgd has none; leave it out, or optimizer adam"),
        (
            {"optimizer": "adagrad", "beta1": 0.0},
            "beta1",
            "0.0, but adagrad has none; leave it out, or optimizer adam",
        ),
        (
            {"optimizer": "rmsprop", "momentum": 0.9, "nesterov": True},
            "nesterov",
            "true, but rmsprop has none; use false, or optimizer sgd",
        ),
        (
            {"compile": True, "micro_batch": "auto"},
            "compile",
            "does not go with micro_batch auto; leave one of the two out",
        ),
        ({"epochs": 2, "warmup_epochs": 2.0}, "warmup_epochs", "2 leaves nothing of 2 epochs; use fewer"),
        (
            {"batch_size": 32, "micro_batch": 64},
            "micro_batch",
            "64 exceeds the batch of 32 images; use as many or fewer",
        ),
        (
            {"compile": True, "micro_batch": 16},
            "compile",
            "does not go with micro_batch 16; leave one of the two out",
        ),
    ],
)
def test_fields_that_do_not_fit_together_are_refused(fields, field, message):
    with pytest.raises(SpecError) as caught:
        Recipe(**fields)
    assert (caught.value.field, caught.value.message) == (field, message)


@pytest.mark.parametrize(
    "fields",
    [
        {"epochs": 0},
        {"epochs": 2.0},
        {"epochs": True},
        {"lr": 0},
        {"lr": float("nan")},
        {"lr": float("inf")},
        {"lr": "0.1"},
        {"momentum": 1},
        {"label_smoothing": -0.1},
        {"nesterov": 1},
        {"optimizer": "sdg"},
        {"micro_batch": "all"},
        {"micro_batch": 0},
        {"random_erasing": 1.1},
        {"rand_augment_magnitude": 31},
        {"mixup": -0.1},
        {"early_stop": "test_loss"},
        {"ema": 1.0},
        {"learning_rate": 0.1},
    ],
)
def test_a_wrong_value_is_refused(fields):
    with pytest.raises(ValidationError):
        Recipe(**fields)


def test_a_whole_number_will_do_for_a_float():
    assert Recipe(lr=1).identity() == {"lr": 1.0}
    assert type(Recipe(lr=1).lr) is float
