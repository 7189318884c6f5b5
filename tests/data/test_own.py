"""Datasets of a user's own file and of other packages: registered, checked, kept, trained on."""

import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from nin_bench.cell import DataSpec
from nin_bench.data import class_names, count_images, describe_data, own, register_dataset, resolve_data
from nin_bench.data.dataset import load_dataset
from nin_bench.data.kept import FOLDER
from nin_bench.errors import InputError, SpecError
from nin_bench.models import ImageSpec, list_models, registry, unavailable_packages, use_own_file
from nin_bench.plugins import registered
from nin_bench.results import load_results

STRIPES = """
import numpy as np

from nin_bench import register_dataset


@register_dataset(classes=["lying", "standing"])
def stripes(split, folder):
    \"\"\"Stripes that lie or stand, in noise.\"\"\"
    rng = np.random.default_rng(["train", "test"].index(split))
    labels = np.arange({size} if split == "train" else 20) % 2
    stripe = np.tile([[255], [0]], (4, 8))
    images = np.stack([stripe.T if label else stripe for label in labels])
    noise = rng.integers(0, 40, images.shape)
    return np.abs(images - noise).astype(np.uint8)[:, None], labels
"""


@pytest.fixture
def forgotten(monkeypatch):
    """What a test registers is forgotten after it."""
    list_models()
    for kind, table in registered.items():
        monkeypatch.setitem(registered, kind, dict(table))
    monkeypatch.setenv("NIN_BENCH_MODELS", "")
    monkeypatch.delenv("NIN_BENCH_MODELS")
    own._read.cache_clear()
    yield
    sys.modules.pop("own_models.my_data", None)


def as_in_a_worker() -> None:
    """Another process has read nothing yet."""
    own._read.cache_clear()


@pytest.fixture
def stripes(forgotten, tmp_path: Path) -> Path:
    """A data directory, and the dataset `stripes` of 60 training images in a user's file."""
    path = tmp_path / "my_data.py"
    path.write_text(STRIPES.format(size=60))
    use_own_file(path)
    return tmp_path


def test_a_registered_dataset_is_described_by_what_its_function_returns(stripes: Path):
    spec = resolve_data(DataSpec(name="stripes"), stripes)
    assert (spec.resolution, spec.validation_size, len(spec.content)) == (8, 6, 16)
    assert describe_data(spec, stripes) == ImageSpec(channels=1, resolution=8, num_classes=2)
    assert count_images(spec, stripes) == (54, 6, 20)
    assert class_names(spec, stripes) == ("lying", "standing")
    assert resolve_data(spec, stripes) == spec
    images, labels = registered["dataset"]["stripes"].read("test", stripes)
    as_in_a_worker()
    dataset = load_dataset(spec, stripes)
    test_images, test_labels = dataset.load_test()
    assert np.array_equal(test_images.numpy(), images)
    assert test_labels.tolist() == labels.tolist()
    assert dataset.labels.dtype == torch.int64
    assert dataset.batches("cpu").take(torch.arange(5))[0].shape == (5, 1, 8, 8)


def test_a_worker_reads_what_was_kept_and_does_not_call_the_function(stripes: Path, monkeypatch):
    spec = resolve_data(DataSpec(name="stripes", resolution=12), stripes)
    expected = [array.tolist() for array in registered["dataset"]["stripes"].read("train", stripes)]
    as_in_a_worker()
    monkeypatch.setattr(own, "_checked", lambda *_: pytest.fail("the function was called"))
    dataset = load_dataset(spec, stripes)
    assert [dataset.images.tolist(), dataset.labels.tolist()] == expected
    assert describe_data(spec, stripes).resolution == 12


def test_other_images_are_another_content_and_not_trained_on(stripes: Path):
    spec = resolve_data(DataSpec(name="stripes"), stripes)
    kept = set((stripes / FOLDER).rglob("*.npy"))
    assert len(kept) == 4
    dataset = registered["dataset"]["stripes"]

    def inverted(split: str, folder: Path) -> Any:
        images, labels = dataset.read(split, folder)
        return 255 - images, labels

    registered["dataset"]["stripes"] = own.OwnDataset("stripes", inverted, dataset.classes)
    changed = resolve_data(DataSpec(name="stripes"), stripes)
    assert changed.content != spec.content
    assert not kept & set((stripes / FOLDER).rglob("*.npy"))
    with pytest.raises(SpecError) as refusal:
        resolve_data(spec, stripes)
    assert refusal.value.field == "content"
    with pytest.raises(InputError, match="'stripes': its images have changed since the plan"):
        load_dataset(spec, stripes)


def test_damaged_arrays_are_made_again(stripes: Path):
    spec = resolve_data(DataSpec(name="stripes"), stripes)
    expected = load_dataset(spec, stripes).images.clone()
    (path,) = (stripes / FOLDER).rglob(f"{spec.content}-train-*.npy")
    damaged = bytearray(path.read_bytes())
    damaged[-1] ^= 1
    path.write_bytes(damaged)
    as_in_a_worker()
    assert torch.equal(load_dataset(spec, stripes).images, expected)


def test_where_nothing_can_be_kept_every_process_calls_the_function(stripes: Path):
    (stripes / FOLDER).write_text("in the way")
    spec = resolve_data(DataSpec(name="stripes"), stripes)
    as_in_a_worker()
    assert len(load_dataset(spec, stripes).images) == 60


IMAGES, LABELS = np.zeros((4, 1, 8, 8), np.uint8), np.array([0, 1, 0, 1])


@pytest.mark.parametrize(
    ("returned", "message"),
    [
        (
            (IMAGES / 255, LABELS),
            "the images of train are float64 of the shape (4, 1, 8, 8); give uint8 from 0 to 255",
        ),
        ((IMAGES[:, 0], LABELS), "the images of train are uint8 of the shape (4, 8, 8); give uint8"),
        ((IMAGES[:, :, :4], LABELS), "the images of train are uint8 of the shape (4, 1, 4, 8); give uint8"),
        ((IMAGES[:0], LABELS[:0]), "the images of train are uint8 of the shape (0, 1, 8, 8); give uint8"),
        (
            (IMAGES, LABELS[:3]),
            "the labels of train are int64 of the shape (3,); give a whole number for each of the 4",
        ),
        ((IMAGES, LABELS / 2), "the labels of train are float64 of the shape (4,); give a whole number"),
        ((IMAGES, LABELS + 1), "a label of train is 2, and the 2 classes are numbered from 0; mend it"),
        ((IMAGES, LABELS - 1), "a label of train is -1, and the 2 classes are numbered from 0; mend it"),
        (IMAGES, "reading train raised ValueError: too many values to unpack"),
    ],
)
def test_what_cannot_be_used_is_refused_with_what_would_be_right(forgotten, tmp_path: Path, returned, message):
    @register_dataset(classes=["one", "other"])
    def mine(split, folder):
        return returned

    with pytest.raises(SpecError) as refusal:
        resolve_data(DataSpec(name="mine"), tmp_path)
    assert refusal.value.field == "name"
    assert refusal.value.message.startswith(f"dataset 'mine': {message}")


def test_tensors_will_do_and_splits_have_to_be_alike(forgotten, tmp_path: Path):
    sizes = {"train": 8, "test": 8}

    @register_dataset(classes=["one", "other"])
    def mine(split, folder):
        assert folder == tmp_path
        return torch.zeros(4, 3, sizes[split], sizes[split], dtype=torch.uint8), torch.tensor([0, 1, 0, 1])

    spec = DataSpec(name="mine", validation_size=0)
    assert describe_data(resolve_data(spec, tmp_path), tmp_path) == ImageSpec(3, 8, 2)
    as_in_a_worker()
    sizes["test"] = 9
    with pytest.raises(
        SpecError, match=r"the images of train are \(3, 8, 8\), of test \(3, 9, 9\); make them alike"
    ):
        resolve_data(spec, tmp_path)


def test_a_class_without_enough_images_is_named(forgotten, tmp_path: Path):
    @register_dataset(classes=["common", "rare"])
    def mine(split, folder):
        return np.zeros((60, 1, 4, 4), np.uint8), np.arange(60) // 59

    with pytest.raises(
        SpecError, match=r"validation_size: 6 images .* hold none of 'rare', which has 1 of the 60"
    ):
        resolve_data(DataSpec(name="mine"), tmp_path)


def test_what_a_users_function_raises_is_told_with_its_line(forgotten, tmp_path: Path):
    path = tmp_path / "my_data.py"
    path.write_text(
        "from nin_bench import register_dataset\n\n\n@register_dataset(classes=['a', 'b'])\n"
        "def mine(split, folder):\n    return (folder / 'none.npy').read_bytes()\n"
    )
    use_own_file(path)
    with pytest.raises(
        SpecError, match=r"reading train raised FileNotFoundError: .*none\.npy.* \(my_data\.py:6\)"
    ):
        resolve_data(DataSpec(name="mine"), tmp_path)


@pytest.mark.parametrize(
    ("name", "classes", "message"),
    [
        ("digits", ["a", "b"], "dataset 'digits' comes with nin_bench; rename the function"),
        ("image_folder", ["a", "b"], "dataset 'image_folder' comes with nin_bench; rename the function"),
        ("mine", ["a"], "dataset 'mine': give 2 to 32,768 classes, each with a name of its own"),
        ("mine", ["a", "a"], "dataset 'mine': give 2 to 32,768 classes, each with a name of its own"),
        ("mine", range(32_769), "dataset 'mine': give 2 to 32,768 classes, each with a name of its own"),
    ],
)
def test_a_registration_that_cannot_stand_is_refused(forgotten, name, classes, message):
    def read(split, folder):
        return IMAGES, LABELS

    read.__name__ = name
    with pytest.raises(ValueError, match=message):
        register_dataset(classes=classes)(read)
    assert name not in registered["dataset"]


def test_a_name_can_be_taken_once_and_unknown_ones_are_answered_with_the_known(stripes: Path):
    with pytest.raises(ValueError, match="dataset 'stripes' is registered twice; rename one of the two functions"):
        register_dataset(classes=["a", "b"])(registered["dataset"]["stripes"].read)
    with pytest.raises(SpecError, match="unknown dataset 'stripe'; did you mean 'stripes'"):
        resolve_data(DataSpec(name="stripe"), stripes)


def test_another_package_brings_datasets_by_an_entry_point(forgotten, tmp_path: Path, monkeypatch):
    (tmp_path / "their_data.py").write_text(STRIPES.format(size=60))
    about = tmp_path / "theirs-1.2.dist-info"
    about.mkdir()
    (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
    (about / "entry_points.txt").write_text("[nin_bench.datasets]\ntheirs = their_data\nbroken = not_there\n")
    monkeypatch.syspath_prepend(tmp_path)
    registry._import_all.cache_clear()
    try:
        assert class_names(resolve_data(DataSpec(name="stripes"), tmp_path), tmp_path) == ("lying", "standing")
        (told,) = unavailable_packages()
        assert told.startswith("datasets of package theirs 1.2 (not_there) cannot be had: ModuleNotFoundError")
    finally:
        registry._import_all.cache_clear()
        sys.modules.pop("their_data", None)


GRID = """
schema: 1
name: own
data: {name: stripes}
recipe: {epochs: 3, batch_size: 18, lr: 0.1}
seeds: 1
models: [{name: mlp, hidden: 16}]
"""


def test_a_grid_is_trained_on_it_in_processes_of_its_own(tmp_path: Path):
    (tmp_path / "grid.yaml").write_text(GRID)
    (tmp_path / "my_data.py").write_text(STRIPES.format(size=60))
    options = ["--models", "my_data.py", "--data-dir", "data", "--device", "cpu", "--workers", "1", "--no-measure"]
    command = [sys.executable, "-m", "nin_bench", "run", "grid.yaml", *options]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    results = load_results(tmp_path / "results" / "own" / "full")
    assert results.grid.class_names == ("lying", "standing")
    (record,) = results.records
    assert record.metrics.test_accuracy == 1.0
    assert len(record.cell.data.content) == 16
