import os
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torchvision.transforms import v2

from nin_bench.data import pictures
from nin_bench.data.kept import FOLDER
from nin_bench.data.pictures import PictureFolder, PictureForm
from nin_bench.errors import InputError, SpecError


def quiet(*_: object) -> None:
    """Watches, and says nothing."""


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
    images, labels = PictureFolder.find(pets).read("train", PictureForm(24))
    assert (images.shape, images.dtype) == ((4, 3, 24, 24), np.uint8)
    assert labels.tolist() == [0, 0, 1, 1]
    for image, name in zip(images, ("cat/a.JPG", "cat/b.png", "dog/grey.png", "dog/palette.png"), strict=True):
        with Image.open(pets / "train" / name) as opened:
            pixels = v2.functional.pil_to_tensor(opened.convert("RGB"))
        expected = v2.Resize((24, 24))(pixels)
        assert (torch.from_numpy(image).int() - expected.int()).abs().max() <= 1, name
    assert PictureFolder.find(pets).read("test", PictureForm(8))[1].tolist() == [0, 1]


def test_a_grey_picture_has_three_equal_channels(pets: Path):
    grey = PictureFolder.find(pets).read("train", PictureForm(16))[0][2]
    assert np.array_equal(grey, np.broadcast_to(np.asarray(picture(16, 16).convert("L")), (3, 16, 16)))


def test_a_picture_taken_sideways_is_turned_upright(pets: Path):
    exif = Image.Exif()
    exif[0x0112] = 6  # the camera's top is on the picture's right
    picture(12, 12).save(pets / "train/cat/b.png", exif=exif)
    upright = PictureFolder.find(pets).read("train", PictureForm(12))[0][1]
    assert np.array_equal(upright.transpose(1, 2, 0), np.rot90(np.asarray(picture(12, 12)), -1))


def test_transparency_is_dropped(pets: Path):
    transparent = picture(16, 16).convert("P")
    transparent.save(pets / "train/cat/b.png", transparency=bytes([0, 128, 255]))
    image = PictureFolder.find(pets).read("train", PictureForm(16))[0][1]
    assert np.array_equal(image.transpose(1, 2, 0), np.asarray(transparent.convert("RGB")))


@pytest.mark.parametrize("name", ["cat/b.png", "cat/a.JPG"])
@pytest.mark.parametrize("damage", ["truncated", "empty", "text"])
def test_a_damaged_picture_is_refused_by_name(pets: Path, name: str, damage: str):
    path = pets / "train" / name
    content = path.read_bytes()
    path.write_bytes({"truncated": content[: len(content) // 2], "empty": b"", "text": b"no picture"}[damage])
    with pytest.raises(InputError, match="replace or delete it") as refusal:
        PictureFolder.find(pets).read("train", PictureForm(8))
    assert str(path) in str(refusal.value)


DEEP = np.arange(0, 2**16, 2**8, dtype=np.uint16).reshape(16, 16) + np.uint16(77)


@pytest.mark.parametrize("name", ["deep.png", "deep.tif", "deep.pgm"])
def test_of_sixteen_bits_the_upper_eight_are_taken(pets: Path, name: str):
    path = pets / "train/cat" / name
    if name == "deep.pgm":
        path.write_bytes(b"P5 16 16 65535\n" + DEEP.astype(">u2").tobytes())
    else:
        Image.fromarray(DEEP).save(path)
    image = PictureFolder.find(pets).read("train", PictureForm(16, channels=1))[0][2]
    assert np.array_equal(image[0], DEEP >> 8)


def test_a_picture_of_more_than_sixteen_bits_is_refused_rather_than_clipped(pets: Path):
    for name, values in (("real", np.full((4, 4), 0.5, np.float32)), ("whole", np.full((4, 4), 70_000, np.int32))):
        path = pets / "train/cat" / f"{name}.tif"
        Image.fromarray(values).save(path)
        with pytest.raises(
            InputError, match=rf"{name}\.tif: not a whole picture \(its pixels have more than 16 bits"
        ):
            PictureFolder.find(pets).read("train", PictureForm(8))
        path.unlink()


def test_what_was_printed_in_four_inks_comes_in_three_colours(pets: Path):
    inks = Image.merge("CMYK", [picture(12 + number, 12).convert("L").crop((0, 0, 12, 12)) for number in range(4)])
    inks.save(pets / "train/cat/c.tif")
    image = PictureFolder.find(pets).read("train", PictureForm(12))[0][2]
    light = 1 - np.asarray(inks).astype(float) / 255
    expected = 255 * light[..., :3] * light[..., 3:]
    assert np.abs(image.transpose(1, 2, 0) - expected).max() <= 1.01


# A picture that is not square, by the rule that was chosen; torchvision's transforms are the reference


def oracle(opened: Image.Image, form: PictureForm) -> torch.Tensor:
    pixels = v2.functional.pil_to_tensor(opened.convert("RGB" if form.channels == 3 else "L"))
    height, width = pixels.shape[-2:]
    if form.resize == "squash":
        return v2.Resize((form.resolution, form.resolution))(pixels)
    if form.resize == "crop":
        return v2.CenterCrop(form.resolution)(v2.Resize(form.resolution)(pixels))
    scale = form.resolution / max(height, width)
    pixels = v2.Resize((round(height * scale), round(width * scale)))(pixels)
    missing = [form.resolution - size for size in reversed(pixels.shape[-2:])]
    return v2.Pad([*(one // 2 for one in missing), *(one - one // 2 for one in missing)])(pixels)


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize(("width", "height"), [(48, 24), (24, 48), (30, 30)])
def test_a_picture_becomes_square_by_the_rule(pets: Path, resize, channels, width, height):
    picture(width, height).save(pets / "train/cat/b.png")
    form = PictureForm(12, resize, channels)
    image = PictureFolder.find(pets).read("train", form)[0][1]
    expected = oracle(picture(width, height), form)
    assert image.shape == (channels, 12, 12)
    assert (torch.from_numpy(image).int() - expected.int()).abs().max() <= 1


@pytest.mark.parametrize("resize", ["squash", "crop", "pad"])
def test_a_line_of_pixels_is_a_picture_too(pets: Path, resize):
    picture(900, 1).save(pets / "train/cat/b.png")
    assert PictureFolder.find(pets).read("train", PictureForm(8, resize))[0].shape == (4, 3, 8, 8)


def write_all(path: Path, files: dict[str, bytes]) -> PictureFolder:
    for name, content in files.items():
        (path / name).parent.mkdir(parents=True, exist_ok=True)
        (path / name).write_bytes(content)
    return PictureFolder.find(path)


def test_content_is_that_of_paths_and_bytes_wherever_the_folder_lies(tmp_path: Path):
    files = {"train/a/1.png": b"one", "train/b/1.png": b"two", "test/a/2.jpg": b"three"}
    # printf '{"test/a/2.jpg":"8b5b9db0…","train/a/1.png":"7692c3ad…","train/b/1.png":"3fc4ccfe…"}' | sha256sum,
    # each value being the whole of printf three | sha256sum, of one, and of two
    assert write_all(tmp_path / "here", files).content(quiet) == "69a27b5a50f06921"
    backwards = dict(reversed(files.items())) | {"train/a/notes.txt": b"no picture", "train/a/.1.png": b"hidden"}
    assert write_all(tmp_path / "there" / "renamed", backwards).content(quiet) == "69a27b5a50f06921"


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
    before = write_all(tmp_path, files).content(quiet)
    assert write_all(tmp_path, change).content(quiet) != before
    assert write_all(tmp_path, files | change).content(quiet) != before


def test_a_picture_that_cannot_be_read_has_no_content(pets: Path):
    (pets / "train/cat/broken.png").symlink_to("nowhere")
    with pytest.raises(InputError, match=r"train/cat/broken\.png: cannot be read"):
        PictureFolder.find(pets).content(quiet)


def test_the_test_pictures_are_not_opened_before_they_are_read(pets: Path):
    (pets / "test/cat/a.webp").write_bytes(b"")
    folder = PictureFolder.find(pets)
    assert len(folder.read("train", PictureForm(8))[0]) == 4
    with pytest.raises(InputError, match=r"a\.webp"):
        folder.read("test", PictureForm(8))


@pytest.mark.parametrize(
    ("missing", "message"),
    [
        ("", "'pets' is not a folder in the data directory"),
        ("train", "'pets' has no train/; put pictures into train/<class>/, test/<class>/"),
        ("test", "'pets' has no test/; put pictures into train/<class>/, test/<class>/"),
        ("train/dog", "'pets' has 1 class folder in train/; use 2 to 32,768"),
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


def test_more_classes_than_predictions_tell_apart_are_refused(pets: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("nin_bench.data.pictures.MAX_CLASSES", 2)
    PictureFolder.find(pets)
    (pets / "train/bird").mkdir()
    with pytest.raises(SpecError, match="'pets' has 3 class folders in train/; use 2 to 2"):
        PictureFolder.find(pets)


# Decoded once


def test_what_was_prepared_is_read_without_opening_a_picture(pets: Path, monkeypatch: pytest.MonkeyPatch):
    folder = PictureFolder.find(pets)
    content = folder.content(quiet)
    expected = {split: folder.read(split, PictureForm(8)) for split in ("train", "test")}
    assert not folder.is_kept(content, PictureForm(8))
    folder.prepare(content, PictureForm(8), quiet)
    assert folder.is_kept(content, PictureForm(8))
    assert not folder.is_kept(content, PictureForm(9))
    monkeypatch.setattr(Image, "open", None)
    for split, (images, labels) in expected.items():
        again, same = folder.read(split, PictureForm(8), content)
        assert np.array_equal(again, images)
        assert np.array_equal(same, labels)
        again[0] = 0  # it is the reader's own
    assert np.array_equal(folder.read("train", PictureForm(8), content)[0], expected["train"][0])
    folder.prepare(content, PictureForm(8), quiet)


def test_what_was_kept_of_other_pictures_or_is_damaged_is_passed_over_and_replaced(pets: Path):
    folder = PictureFolder.find(pets)
    content = folder.content(quiet)
    folder.prepare(content, PictureForm(8), quiet)
    kept = sorted((pets.parent / FOLDER).rglob("*.npy"))
    assert len(kept) == 2
    damaged = bytearray(kept[1].read_bytes())
    damaged[-1] ^= 1
    kept[1].write_bytes(damaged)
    assert np.array_equal(
        folder.read("train", PictureForm(8), content)[0], folder.read("train", PictureForm(8))[0]
    )
    picture(20, 31).save(pets / "train/cat/b.png")
    assert not folder.is_kept(content, PictureForm(8))
    changed = folder.content(quiet)
    assert changed != content
    folder.prepare(changed, PictureForm(8), quiet)
    assert folder.is_kept(changed, PictureForm(8))
    assert not set(kept) & set((pets.parent / FOLDER).rglob("*.npy"))


def test_all_pictures_that_cannot_be_read_are_told_at_once(pets: Path):
    (pets / "train/cat/a.JPG").write_bytes(b"")
    (pets / "test/dog/a.bmp").write_bytes(b"no picture")
    Image.fromarray(np.full((4, 4), 0.5, np.float32)).save(pets / "train/dog/deep.tif")
    folder = PictureFolder.find(pets)
    with pytest.raises(SpecError) as refusal:
        folder.prepare(folder.content(quiet), PictureForm(8), quiet)
    assert refusal.value.field == "folder"
    assert refusal.value.message.startswith("3 pictures cannot be read: ")
    for name in ("train/cat/a.JPG", "test/dog/a.bmp", "train/dog/deep.tif"):
        assert name in refusal.value.message
    assert list((pets.parent / FOLDER).rglob("*.npy")) == []


def test_where_nothing_can_be_kept_pictures_are_read_each_time(pets: Path):
    (pets.parent / FOLDER).write_text("in the way")
    folder = PictureFolder.find(pets)
    content = folder.content(quiet)
    folder.prepare(content, PictureForm(8), quiet)
    assert not folder.is_kept(content, PictureForm(8))
    assert np.array_equal(
        folder.read("train", PictureForm(8), content)[0], folder.read("train", PictureForm(8))[0]
    )
    (pets / "test/dog/a.bmp").write_bytes(b"no picture")
    with pytest.raises(SpecError, match=r"test/dog/a\.bmp"):
        folder.prepare(folder.content(quiet), PictureForm(8), quiet)


def test_a_picture_is_read_once_as_long_as_it_looks_the_same(pets: Path, monkeypatch: pytest.MonkeyPatch):
    read: list[str] = []

    def content() -> str:
        read.clear()
        monkeypatch.setattr(pictures, "_known", {})  # as in another process
        return PictureFolder.find(pets).content(lambda what, done, total: read.append(f"{what} {done}/{total}"))

    for path in pets.rglob("*.*"):
        os.utime(path, (1_000, 1_000))
    first = content()
    assert read == [f"reading pets {number}/6" for number in range(1, 7)]
    assert content() == first
    assert read == []
    changed = pets / "train/dog/grey.png"
    picture(16, 16).save(changed)
    os.utime(changed, (2_000, 2_000))
    second = content()
    assert (read, second != first) == (["reading pets 1/1"], True)
    (pets / "train/cat/a.JPG").touch()  # a moment ago: it may change again, and look the same
    for _ in range(2):
        assert content() == second
        assert len(read) == 1
    (memory,) = (pets.parent / FOLDER).rglob("hashes.json")
    memory.write_text("{")
    assert content() == second
    assert len(read) == 6


def test_reading_again_finds_what_changed_without_looking_so(pets: Path):
    for path in pets.rglob("*.*"):
        os.utime(path, (1_000, 1_000))
    folder = PictureFolder.find(pets)
    content = folder.content(quiet)
    assert folder.verify() == (content, [])
    rotten = pets / "test/dog/a.bmp"
    damaged = bytearray(rotten.read_bytes())
    damaged[-1] ^= 1
    rotten.write_bytes(damaged)
    os.utime(rotten, (1_000, 1_000))
    assert folder.content(quiet) == content
    found, changed = folder.verify(remembers=False)
    assert (found != content, changed) == (True, ["test/dog/a.bmp"])
    assert folder.verify() == (found, ["test/dog/a.bmp"])
    assert folder.verify() == (found, [])


def test_one_folder_is_kept_in_several_forms(pets: Path):
    folder = PictureFolder.find(pets)
    content = folder.content(quiet)
    forms = [PictureForm(8), PictureForm(8, "crop"), PictureForm(8, channels=1), PictureForm(9)]
    for form in forms:
        folder.prepare(content, form, quiet)
    assert all(folder.is_kept(content, form) for form in forms)
    assert not folder.is_kept(content, PictureForm(8, "pad"))
    decoded: list[str] = []
    folder.prepare(content, PictureForm(7), lambda what, done, total: decoded.append(f"{what} {done}/{total}"))
    assert decoded == [f"decoding pets/train {n}/4" for n in range(1, 5)] + [
        f"decoding pets/test {n}/2" for n in (1, 2)
    ]
