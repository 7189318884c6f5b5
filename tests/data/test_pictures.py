from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from nin_bench.data.kept import FOLDER
from nin_bench.data.pictures import PictureFolder
from nin_bench.errors import InputError, SpecError


def picture(width: int, height: int) -> Image.Image:
    return Image.fromarray(np.random.default_rng(width).integers(0, 256, (height, width, 3), np.uint8))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    """Four training and two test pictures of two classes, in several sizes, modes and formats."""
    path = tmp_path / "pets"
    for folder in ("train/dog", "train/cat", "test/cat", "test/dog"):
        (path / folder).mkdir(parents=True)
    picture(20, 30).save(path / "train/cat/b.png")
    picture(41, 17).save(path / "train/cat/a.JPG", "jpeg")
    picture(16, 16).convert("L").save(path / "train/dog/grey.png")
    picture(50, 16).convert("P").save(path / "train/dog/palette.png")
    picture(9, 9).save(path / "test/cat/a.webp")
    picture(10, 10).save(path / "test/dog/a.bmp")
    (path / "train/cat/notes.txt").write_text("no picture")
    (path / "train/cat/.hidden.png").write_text("no picture either")
    (path / "train/.cache").mkdir()
    return path


def test_classes_are_the_sorted_folders_and_other_files_are_passed_over(pets: Path):
    assert PictureFolder.find(pets) == PictureFolder(pets, ("cat", "dog"), train_counts=(2, 2), test_counts=(1, 1))


def test_pictures_of_all_sizes_and_modes_come_as_rgb_of_one_size(pets: Path):
    images, labels = PictureFolder.find(pets).read("train", 24)
    assert (images.shape, images.dtype) == ((4, 3, 24, 24), np.uint8)
    assert labels.tolist() == [0, 0, 1, 1]
    for image, name in zip(images, ("cat/a.JPG", "cat/b.png", "dog/grey.png", "dog/palette.png"), strict=True):
        with Image.open(pets / "train" / name) as opened:
            pixels = v2.functional.pil_to_tensor(opened.convert("RGB"))
        expected = v2.Resize((24, 24))(pixels)
        assert (torch.from_numpy(image).int() - expected.int()).abs().max() <= 1, name
    assert PictureFolder.find(pets).read("test", 8)[1].tolist() == [0, 1]


def test_a_grey_picture_has_three_equal_channels(pets: Path):
    grey = PictureFolder.find(pets).read("train", 16)[0][2]
    assert np.array_equal(grey, np.broadcast_to(np.asarray(picture(16, 16).convert("L")), (3, 16, 16)))


def test_a_picture_taken_sideways_is_turned_upright(pets: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's top is on the picture's right
    picture(12, 12).save(pets / "train/cat/b.png", exif=exif)
    upright = PictureFolder.find(pets).read("train", 12)[0][1]
    assert np.array_equal(upright.transpose(1, 2, 0), np.rot90(np.asarray(picture(12, 12)), -1))


def test_transparency_is_dropped(pets: Path):
    transparent = picture(16, 16).convert("P")
    transparent.save(pets / "train/cat/b.png", transparency=bytes([0, 128, 255]))
    image = PictureFolder.find(pets).read("train", 16)[0][1]
    assert np.array_equal(image.transpose(1, 2, 0), np.asarray(transparent.convert("RGB")))


@pytest.mark.parametrize("name", ["cat/b.png", "cat/a.JPG"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_picture_is_refused_by_name(pets: Path, name: str, damage: str):
    path = pets / "train" / name
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"no picture"}[damage])
    with pytest.raises(InputError, match="replace or delete it") as refusal:
        PictureFolder.find(pets).read("train", 8)
    assert str(path) in str(refusal.value)


def test_a_picture_of_sixteen_bits_is_refused_rather_than_clipped(pets: Path):
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(pets / "train/cat/deep.png")
    with pytest.raises(InputError, match=r"deep\.png: has more than 8 bits per pixel"):
        PictureFolder.find(pets).read("train", 8)


def write_all(path: Path, files: dict[str, bytes]) -> PictureFolder:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return PictureFolder.find(path)


def test_content_is_that_of_paths_and_bytes_wherever_the_folder_lies(tmp_path: Path):
    files = {"train/a/1.png": b"one", "train/b/1.png": b"two", "test/a/2.jpg": b"three"}
    # printf '{"test/a/2.jpg":"8b5b9db0…","train/a/1.png":"7692c3ad…","train/b/1.png":"3fc4ccfe…"}' | sha256sum,
    # each value being the whole of printf three | sha256sum, of one, and of two
    assert write_all(tmp_path / "here", files).content() == "69a27b5a50f06921"
    backwards = dict(reversed(files.items())) | {"train/a/notes.txt": b"no picture", "train/a/.1.png": b"hidden"}
    assert write_all(tmp_path / "there" / "renamed", backwards).content() == "69a27b5a50f06921"


@pytest.mark.parametrize(
    "change",
    [
        {"train/a/1.png": b"One"},
        {"test/a/2.jpg": b"Three"},
        {"train/a/2.png": b"one"},
        {"test/b/2.jpg": b"three"},
        {"train/a/1.png": b"two", "train/b/1.png": b"one"},
    ],
)
def test_content_changes_with_any_picture(tmp_path: Path, change: dict[str, bytes]):
    files = {"train/a/1.png": b"one", "train/b/1.png": b"two", "test/a/2.jpg": b"three"}
    before = write_all(tmp_path, files).content()
    assert write_all(tmp_path, change).content() != before
    assert write_all(tmp_path, files | change).content() != before


def test_a_picture_that_cannot_be_read_has_no_content(pets: Path):
    (pets / "train/cat/broken.png").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"train/cat/broken\.png: cannot be read"):
        PictureFolder.find(pets).content()


def test_the_test_pictures_are_not_opened_before_they_are_read(pets: Path):
    (pets / "test/cat/a.webp").write_bytes(b"")
    folder = PictureFolder.find(pets)
    assert len(folder.read("train", 8)[0]) == 4
    with pytest.raises(InputError, match=r"a\.webp"):
        folder.read("test", 8)


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("", "'pets' is not a folder in the data directory"),
        ("train", "'pets' has no train/; put pictures into train/<class>/, test/<class>/"),
        ("test", "'pets' has no test/; put pictures into train/<class>/, test/<class>/"),
        ("train/dog", "'pets' has 1 class folders in train/; two or more can be told apart"),
        ("train/dog/*.png", "'pets' has no picture in train/dog; add some or remove it"),
        ("test/*/a*", "'pets' has no picture in test/<class>/; put those to test with there"),
    ],
)
def test_a_folder_that_cannot_serve_is_refused_with_the_remedy(pets: Path, missing: str, message: str):
    for path in [pets] if not missing else list(pets.glob(missing)):
        path.rename(pets.parent / f"elsewhere-{path.parent.name}-{path.name}")
    with pytest.raises(SpecError) as refusal:
        PictureFolder.find(pets)
    assert refusal.value.field == "folder"
    assert refusal.value.message.startswith(message)


def test_a_test_class_that_nothing_is_trained_on_is_refused(pets: Path):
    (pets / "test/bird").mkdir()
    with pytest.raises(SpecError, match="'pets' has test/bird but no train/bird; name the classes alike in both"):
        PictureFolder.find(pets)


# Decoded once


def test_what_was_prepared_is_read_without_opening_a_picture(pets: Path, monkeypatch: pytest.MonkeyPatch):
    folder = PictureFolder.find(pets)
    content = folder.content()
    expected = {split: folder.read(split, 8) for split in ("train", "test")}
    assert not folder.is_kept(content, 8)
    folder.prepare(content, 8)
    assert folder.is_kept(content, 8)
    assert not folder.is_kept(content, 9)
    monkeypatch.setattr(Image, "open", None)
    for split, (images, labels) in expected.items():
        again, same = folder.read(split, 8, content)
        assert np.array_equal(again, images)
        assert np.array_equal(same, labels)
        again[0] = 0  # it is the reader's own
    assert np.array_equal(folder.read("train", 8, content)[0], expected["train"][0])
    folder.prepare(content, 8)


def test_what_was_kept_of_other_pictures_or_is_damaged_is_passed_over_and_replaced(pets: Path):
    folder = PictureFolder.find(pets)
    content = folder.content()
    folder.prepare(content, 8)
    kept = sorted((pets.parent / FOLDER).rglob("*.npy"))
    assert len(kept) == 2
    damaged = bytearray(kept[1].read_bytes())
    damaged[-1] ^= 1
    kept[1].write_bytes(damaged)
    assert np.array_equal(folder.read("train", 8, content)[0], folder.read("train", 8)[0])
    picture(20, 31).save(pets / "train/cat/b.png")
    assert not folder.is_kept(content, 8)
    changed = folder.content()
    assert changed != content
    folder.prepare(changed, 8)
    assert folder.is_kept(changed, 8)
    assert not set(kept) & set((pets.parent / FOLDER).rglob("*.npy"))


def test_all_pictures_that_cannot_be_read_are_told_at_once(pets: Path):
    (pets / "train/cat/a.JPG").write_bytes(b"")
    (pets / "test/dog/a.bmp").write_bytes(b"no picture")
    Image.fromarray(np.full((4, 4), 40_000, np.uint16)).save(pets / "train/dog/deep.png")
    folder = PictureFolder.find(pets)
    with pytest.raises(SpecError) as refusal:
        folder.prepare(folder.content(), 8)
    assert refusal.value.field == "folder"
    assert refusal.value.message.startswith("3 pictures cannot be read: ")
    for name in ("train/cat/a.JPG", "test/dog/a.bmp", "train/dog/deep.png"):
        assert name in refusal.value.message
    assert list((pets.parent / FOLDER).rglob("*.npy")) == []


def test_where_nothing_can_be_kept_pictures_are_read_each_time(pets: Path):
    (pets.parent / FOLDER).write_text("in the way")
    folder = PictureFolder.find(pets)
    content = folder.content()
    folder.prepare(content, 8)
    assert not folder.is_kept(content, 8)
    assert np.array_equal(folder.read("train", 8, content)[0], folder.read("train", 8)[0])
    (pets / "test/dog/a.bmp").write_bytes(b"no picture")
    with pytest.raises(SpecError, match=r"test/dog/a\.bmp"):
        folder.prepare(folder.content(), 8)
