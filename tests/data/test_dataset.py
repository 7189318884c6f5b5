import re
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from nin_bench.cell import DataSpec
from nin_bench.data import class_names, describe_data, resolve_data, sources
from nin_bench.data.dataset import Dataset, load_dataset
from nin_bench.data.sources import DATASETS
from nin_bench.errors import InputError, SpecError
from nin_bench.models.registry import ImageSpec

DIGITS = resolve_data(DataSpec(name="digits"), None)


def toy(counts: list[int], images: torch.Tensor | None = None) -> Dataset:
    """A dataset of as many images per class as the counts say, in class order."""
    labels = torch.arange(len(counts)).repeat_interleave(torch.tensor(counts))
    return Dataset(
        images=torch.zeros(len(labels), 1, 1, 1, dtype=torch.uint8) if images is None else images,
        labels=labels,
        classes=tuple(f"class {label}" for label in range(len(counts))),
        resolution=1,
        normalize="none",
        read_test=lambda: pytest.fail("the test images were read"),
    )


@pytest.fixture
def data_dir(tmp_path: Path) -> Path:
    """A data directory whose folder `tiles` holds 12 training and 2 test pictures of two classes."""
    for split, numbers in (("train", range(6)), ("test", range(1))):
        for name in ("blue", "red"):
            folder = tmp_path / "tiles" / split / name
            folder.mkdir(parents=True)
            for number in numbers:
                Image.new("RGB", (10 + number, 12), name).save(folder / f"{number}.png")
    return tmp_path


def test_classes_have_the_names_that_their_dataset_gives_them(data_dir: Path):
    names = {name: class_names(resolve_data(DataSpec(name=name), None), None) for name in DATASETS}
    assert {name: len(found) for name, found in names.items()} == {
        "fashion_mnist": 10, "mnist": 10, "kmnist": 10, "cifar10": 10, "cifar100": 100, "svhn": 10, "digits": 10,
    }  # fmt: skip
    assert all(len(set(found)) == len(found) for found in names.values())
    assert (names["fashion_mnist"][9], names["cifar10"][0], names["digits"][9]) == ("Ankle boot", "airplane", "9")
    assert (names["cifar100"][0], names["cifar100"][57], names["cifar100"][99]) == ("apple", "pear", "worm")
    tiles = resolve_data(DataSpec(name="image_folder", folder="tiles", resolution=8, validation_size=0), data_dir)
    assert class_names(tiles, data_dir) == ("blue", "red")


def test_names_and_sizes_are_known_without_torch():
    code = (
        "import sys; from nin_bench.cell import DataSpec; from nin_bench import data;"
        "spec = data.resolve_data(DataSpec(name='digits'), None);"
        "print(len(data.class_names(spec, None)), data.count_images(spec, None), 'torch' in sys.modules)"
    )
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout
    assert told == "10 (1238, 200, 359) False\n"


@pytest.mark.parametrize(
    ("name", "image", "validation_size"),
    [
        ("fashion_mnist", ImageSpec(channels=1, resolution=28, num_classes=10), 5_000),
        ("mnist", ImageSpec(channels=1, resolution=28, num_classes=10), 5_000),
        ("kmnist", ImageSpec(channels=1, resolution=28, num_classes=10), 5_000),
        ("cifar10", ImageSpec(channels=3, resolution=32, num_classes=10), 5_000),
        ("cifar100", ImageSpec(channels=3, resolution=32, num_classes=100), 5_000),
        ("svhn", ImageSpec(channels=3, resolution=32, num_classes=10), 5_000),
        ("digits", ImageSpec(channels=1, resolution=8, num_classes=10), 200),
    ],
)
def test_a_dataset_is_known_without_being_there(tmp_path: Path, name: str, image: ImageSpec, validation_size: int):
    resolved = resolve_data(DataSpec(name=name), tmp_path)
    assert (resolved.resolution, resolved.validation_size) == (image.resolution, validation_size)
    assert resolved.train_size is None
    assert describe_data(resolved, tmp_path) == image
    assert list(tmp_path.iterdir()) == []


def test_what_the_grid_says_is_kept():
    spec = DataSpec(name="fashion_mnist", resolution=131, normalize="dataset", train_size=6000, validation_size=0)
    assert resolve_data(spec, None) == spec
    assert describe_data(spec, None) == ImageSpec(channels=1, resolution=131, num_classes=10)


def test_an_image_folder_is_described_by_its_listing(data_dir: Path):
    resolved = resolve_data(DataSpec(name="image_folder", folder="tiles", resolution=16), data_dir)
    # A tenth of 12 images would be 1, which is too few for two classes.
    assert resolved.validation_size == 2
    assert describe_data(resolved, data_dir) == ImageSpec(channels=3, resolution=16, num_classes=2)
    grey = resolved.model_copy(update={"channels": 1})
    assert describe_data(grey, data_dir) == ImageSpec(channels=1, resolution=16, num_classes=2)
    assert grey.identity() == {**resolved.identity(), "channels": 1}


def test_the_pictures_of_an_image_folder_are_part_of_its_spec(
    data_dir: Path, tmp_path_factory: pytest.TempPathFactory
):
    spec = DataSpec(name="image_folder", folder="tiles", resolution=16)
    resolved = resolve_data(spec, data_dir)
    assert re.fullmatch("[0-9a-f]{16}", resolved.content)
    assert resolve_data(resolved, data_dir) == resolved
    elsewhere = tmp_path_factory.mktemp("elsewhere")
    shutil.copytree(data_dir / "tiles", elsewhere / "tiles")
    assert resolve_data(spec, elsewhere) == resolved
    Image.new("RGB", (9, 9), "blue").save(elsewhere / "tiles/test/blue/0.png")
    assert resolve_data(spec, elsewhere).content != resolved.content
    with pytest.raises(SpecError) as refusal:
        resolve_data(resolved, elsewhere)
    assert refusal.value.field == "content"
    assert f"'{resolved.content}' is not that of the pictures in 'tiles', which is '" in str(refusal.value)


def test_pictures_that_changed_after_the_plan_are_not_trained_on(data_dir: Path):
    spec = resolve_data(DataSpec(name="image_folder", folder="tiles", resolution=16), data_dir)
    (data_dir / "tiles/train/red/0.png").unlink()
    with pytest.raises(
        InputError, match=r"^'tiles': its images have changed since the plan; run again"
    ) as refusal:
        load_dataset(spec, data_dir)
    # A refused value is refused for good, but these pictures may come back.
    assert not isinstance(refusal.value, SpecError)


def test_a_published_dataset_has_no_content_of_its_own():
    assert DIGITS.content is None
    assert "content" not in DIGITS.identity()


@pytest.mark.parametrize(
    ("spec", "field", "message"),
    [
        ({"name": "fashon_mnist"}, "name", "unknown dataset 'fashon_mnist'; did you mean 'fashion_mnist'? "),
        ({"name": "mnist", "folder": "x"}, "folder", "'x' is of no use to mnist; use name: image_folder"),
        ({"name": "mnist", "resize": "pad"}, "resize", "'pad' is of no use to mnist; use name: image_folder"),
        ({"name": "mnist", "channels": 1}, "channels", "1 is of no use to mnist; use name: image_folder"),
        ({"name": "mnist", "content": "ab"}, "content", "'ab' is of no use to mnist; use name: image_folder"),
        (
            {"name": "image_folder", "folder": "tiles", "resolution": 8, "content": "ab"},
            "content",
            "'ab' is not that of the pictures in 'tiles', which is '",
        ),
        ({"name": "image_folder", "resolution": 8}, "folder", "missing; image_folder reads a subfolder"),
        ({"name": "image_folder", "folder": "tiles"}, "resolution", "missing; pictures of any size"),
        (
            {"name": "image_folder", "folder": "/etc", "resolution": 8},
            "folder",
            "'/etc' leaves the data directory",
        ),
        (
            {"name": "image_folder", "folder": "a/../..", "resolution": 8},
            "folder",
            "'a/../..' leaves the data directory",
        ),
        (
            {"name": "image_folder", "folder": "cats", "resolution": 8},
            "folder",
            "'cats' is not a folder in the data",
        ),
        ({"name": "digits", "train_size": 9}, "train_size", "9 is too few for 10 classes; use 10 or more"),
        (
            {"name": "digits", "validation_size": 9},
            "validation_size",
            "9 is too few for 10 classes; use 10 or more, or 0",
        ),
        (
            {"name": "digits", "validation_size": 1429},
            "validation_size",
            "1429 leaves too few of 1438 training images; use 1428 or fewer",
        ),
        (
            {"name": "digits", "train_size": 1300},
            "train_size",
            "1300 and 200 for validation exceed the 1438 training images; use 1238 or fewer",
        ),
    ],
)
def test_what_a_dataset_cannot_give_is_refused(data_dir: Path, spec: dict[str, object], field: str, message: str):
    with pytest.raises(SpecError) as refusal:
        resolve_data(DataSpec.model_validate(spec), data_dir)
    assert refusal.value.field == field
    assert refusal.value.message.startswith(message)


def test_digits_are_loaded_with_their_statistics():
    dataset = load_dataset(DIGITS, None)
    assert (dataset.images.shape, dataset.images.dtype) == ((1438, 1, 8, 8), torch.uint8)
    assert (dataset.labels.shape, dataset.labels.dtype) == ((1438,), torch.int64)
    assert dataset.classes == tuple("0123456789")
    pixels = dataset.images.double() / 255
    assert dataset.mean.tolist() == pytest.approx([pixels.mean().item()])
    assert dataset.std.tolist() == pytest.approx([pixels.std(correction=0).item()])
    test_images, test_labels = dataset.load_test()
    assert (test_images.shape, test_images.dtype) == ((359, 1, 8, 8), torch.uint8)
    assert (test_labels.shape, test_labels.dtype) == ((359,), torch.int64)


@pytest.mark.fashion
def test_fashion_mnist_has_its_published_statistics(tmp_path: Path):
    dataset = load_dataset(resolve_data(DataSpec(name="fashion_mnist"), tmp_path), tmp_path)
    assert dataset.images.shape == (60_000, 1, 28, 28)
    assert dataset.labels.bincount().tolist() == [6_000] * 10
    assert dataset.mean.tolist() == pytest.approx([0.2860], abs=5e-5)
    assert dataset.std.tolist() == pytest.approx([0.3530], abs=5e-5)


def test_statistics_are_per_channel():
    images = torch.tensor([[[[0]], [[51]]], [[[255]], [[153]]]], dtype=torch.uint8)
    dataset = toy([1, 1], images)
    assert dataset.mean.tolist() == pytest.approx([0.5, 0.4])
    assert dataset.std.tolist() == pytest.approx([0.5, 0.2])


def test_batches_have_the_specs_resolution_and_scale():
    dataset = load_dataset(DIGITS.model_copy(update={"resolution": 20, "normalize": "dataset"}), None)
    everything, labels = dataset.batches("cpu").take(torch.arange(1438))
    assert everything.shape == (1438, 1, 20, 20)
    assert torch.equal(labels, dataset.labels)
    plain = load_dataset(DIGITS, None).batches("cpu").take(torch.arange(1438))[0]
    assert (plain.min(), plain.max()) == (0, 1)
    native = load_dataset(DIGITS.model_copy(update={"normalize": "dataset"}), None)
    standardised = native.batches("cpu").take(torch.arange(1438))[0]
    assert standardised.mean().item() == pytest.approx(0, abs=1e-4)
    assert standardised.std(correction=0).item() == pytest.approx(1, abs=1e-4)
    # The test images are standardised as the training images are, not by their own statistics.
    test, _ = native.test_batches("cpu").take(torch.arange(359))
    assert torch.allclose(test, (native.load_test()[0] / 255 - native.mean) / native.std, atol=1e-6)


def test_an_image_folder_is_loaded_at_its_resolution(data_dir: Path):
    spec = resolve_data(DataSpec(name="image_folder", folder="tiles", resolution=16), data_dir)
    dataset = load_dataset(spec, data_dir)
    images, labels = dataset.batches("cpu").take(torch.arange(12))
    assert dataset.classes == ("blue", "red")
    assert images.shape == (12, 3, 16, 16)
    assert images.mean((2, 3))[labels == 1].unique(dim=0).tolist() == [[1, 0, 0]]
    assert len(dataset.test_batches("cpu")) == 2


@pytest.mark.fashion
def test_the_test_files_are_not_opened_before_they_are_asked_for(tmp_path: Path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    images, labels = sources.DATASETS["fashion_mnist"].read("train", sources.data_root(None))
    (raw / "train-images-idx3-ubyte").write_bytes(
        bytes.fromhex("00000803 0000ea60 0000001c 0000001c") + images.tobytes()
    )
    (raw / "train-labels-idx1-ubyte").write_bytes(
        bytes.fromhex("00000801 0000ea60") + labels.astype(np.uint8).tobytes()
    )
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"half")
    dataset = load_dataset(resolve_data(DataSpec(name="fashion_mnist"), tmp_path), tmp_path)
    assert len(dataset.images) == 60_000
    with pytest.raises(
        InputError, match=r"t10k-images-idx3-ubyte: content has MD5 .*8181f5470baa50b63fa0f6fddb340f0a"
    ):
        dataset.load_test()


@given(
    counts=st.lists(st.integers(20, 60), min_size=2, max_size=5),
    shares=st.tuples(st.floats(0.1, 0.6), st.floats(0.1, 0.4)),
    seed=st.integers(0, 2**32),
)
def test_a_split_is_disjoint_and_keeps_the_classes_shares(
    counts: list[int], shares: tuple[float, float], seed: int
):
    dataset, total = toy(counts), sum(counts)
    train_size, validation_size = (max(4 * len(counts), int(share * total)) for share in shares)
    train, validation = dataset.split(train_size, validation_size, seed)
    assert train.dtype == validation.dtype == torch.int64
    assert (len(train), len(validation)) == (train_size, validation_size)
    assert len(set(train.tolist()) | set(validation.tolist())) == train_size + validation_size
    assert min(train.min(), validation.min()) >= 0
    assert max(train.max(), validation.max()) < total

    kept = dataset.labels[validation].bincount(minlength=len(counts))
    rest = torch.tensor(counts) - kept
    used = dataset.labels[train].bincount(minlength=len(counts))
    assert (kept - torch.tensor(counts) * validation_size / total).abs().max() < 1
    assert (used - rest * train_size / rest.sum()).abs().max() < 1


@given(train_size=st.integers(10, 1_238) | st.none(), seed=st.integers(0, 100))
def test_the_validation_images_do_not_depend_on_the_number_trained_on(train_size: int | None, seed: int):
    dataset = toy([143, 144] * 4 + [145, 145])
    train, validation = dataset.split(train_size, 200, seed)
    again_train, again = dataset.split(500, 200, seed)
    assert torch.equal(validation, again)
    if train_size is None:
        assert torch.equal(torch.cat([train, validation]).sort().values, torch.arange(1438))
    else:
        # A smaller draw is part of a larger one, but for what rounding moves from class to class.
        smaller, larger = sorted((set(train.tolist()), set(again_train.tolist())), key=len)
        assert len(smaller - larger) <= 10


def test_a_split_depends_on_the_seed_and_repeats():
    dataset = toy([100, 100])
    first, other = dataset.split(50, 20, 0), dataset.split(50, 20, 1)
    assert all(torch.equal(*pair) for pair in zip(first, dataset.split(50, 20, 0), strict=True))
    assert not torch.equal(first[0], other[0])
    assert not torch.equal(first[1], other[1])
    # As drawn by NumPy 2.4: if these change, results of the same cell no longer compare.
    assert [part.tolist() for part in toy([6, 6]).split(4, 4, 0)] == [[1, 5, 10, 11], [2, 4, 7, 9]]


def test_without_validation_images_all_are_trained_on():
    train, validation = toy([3, 4]).split(None, 0, 0)
    assert train.tolist() == list(range(7))
    assert (validation.shape, validation.dtype) == ((0,), torch.int64)


@pytest.mark.parametrize(
    ("counts", "sizes", "field", "message"),
    [
        (
            [98, 2],
            (10, 0),
            "train_size",
            "10 images in the classes' proportions hold none of 'class 1', which has 2 of",
        ),
        ([98, 2], (None, 10), "validation_size", "10 images in the classes' proportions hold none of 'class 1'"),
        (
            [98, 1],
            (None, 90),
            "train_size",
            "9 images in the classes' proportions hold none of 'class 1', which has 0 of",
        ),
        ([5, 5], (8, 3), "train_size", "8 and 3 for validation exceed the 10 training images"),
    ],
)
def test_a_draw_that_would_miss_a_class_is_refused(
    counts: list[int], sizes: tuple[int | None, int], field: str, message: str
):
    with pytest.raises(SpecError) as refusal:
        toy(counts).split(*sizes, seed=0)
    assert refusal.value.field == field
    assert refusal.value.message.startswith(message)


def test_digits_are_stratified_to_within_one():
    dataset = load_dataset(DIGITS, None)
    train, validation = dataset.split(1000, 200, seed=3)
    total = dataset.labels.bincount()
    assert (dataset.labels[validation].bincount() - total * 200 / 1438).abs().max() < 1
    assert np.intersect1d(train, validation).size == 0


def test_a_class_with_too_few_pictures_to_split_is_refused_with_its_count(data_dir: Path):
    for path in sorted((data_dir / "tiles" / "train" / "blue").iterdir())[1:]:
        path.unlink()
    with pytest.raises(SpecError) as refusal:
        resolve_data(DataSpec(name="image_folder", folder="tiles", resolution=8), data_dir)
    assert refusal.value.field == "validation_size"
    assert "hold none of 'blue', which has 1 of" in refusal.value.message


def test_digits_need_no_home(monkeypatch: pytest.MonkeyPatch):
    def homeless(name: str) -> Path:
        raise RuntimeError("could not determine the home directory")

    monkeypatch.setattr(sources, "user_cache_path", homeless)
    monkeypatch.delenv("NIN_BENCH_DATA", raising=False)
    assert len(load_dataset(DIGITS, None).images) == 1438
    with pytest.raises(InputError, match=r"no folder for data: .*; give --data-dir or NIN_BENCH_DATA"):
        sources.data_root(None)
