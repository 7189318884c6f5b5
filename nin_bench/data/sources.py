"""Know, find, download, verify and read image datasets, as NumPy arrays.

Nothing is read whose content differs from what was published. Imports no torch; torchvision, which takes
seconds, only to download and for the digests of KMNIST, CIFAR and SVHN.
"""

import gzip
import hashlib
import http.client
import io
import os
import pickle
import warnings
import zlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any, Literal

import numpy as np
from filelock import FileLock
from numpy.typing import NDArray
from platformdirs import user_cache_path

from nin_bench.errors import InputError

Split = Literal["train", "test"]
SPLITS: tuple[Split, Split] = ("train", "test")
Labelled = tuple[NDArray[np.uint8], NDArray[np.int64]]
"""Images (N, C, H, W) and the class of each (N,)."""

Watch = Callable[[str, int, int], None]
"""Is told what is being done, how many images it is done with, and of how many."""

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")
"""Where Debian's package dataset-fashion-mnist puts its files: packed anew, the same content."""

IDX_MD5 = {
    "FashionMNIST": {
        "train-images-idx3-ubyte": "f4a8712d7a061bf5bd6d2ca38dc4d50a",
        "train-labels-idx1-ubyte": "9018921c3c673c538a1fc5bad174d6f9",
        "t10k-images-idx3-ubyte": "8181f5470baa50b63fa0f6fddb340f0a",
        "t10k-labels-idx1-ubyte": "15d484375f8d13e6eb1aabb0c3f46965",
    },
    "MNIST": {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    },
}
"""MD5 of the idx files after gunzip. KMNIST's are published packed only: torchvision has that table."""


OFFLINE = "NIN_BENCH_OFFLINE"
"""The environment variable that, if it is set, forbids downloads."""


@dataclass(frozen=True, kw_only=True)
class Source:
    """What is known of a dataset without reading its images, and how they are read."""

    channels: int
    resolution: int
    """Height and width in pixels of the images as read."""
    classes: tuple[str, ...]
    num_train: int
    num_test: int
    validation_size: int = 5_000
    """Training images kept for validation unless the grid says otherwise."""
    read: Callable[[Split, Path], Labelled]
    """Reads one split, given the data directory; opens no file of the other."""
    content: Callable[[Watch], str] | None = None
    """Digests images that nobody published; None where every file is verified as it is read."""
    prepare: Callable[[str, Watch], None] = lambda content, watch: None
    """Decodes all images of this content once, and keeps them if that spares others the work."""
    is_kept: Callable[[str], bool] = lambda content: False
    """Whether all images of this content are kept."""
    class_counts: tuple[int, ...] | None = None
    """Training images of each class, where they are known without reading."""
    needs_folder: bool = True
    """Whether the data directory is looked at; a package brings some images."""


def default_validation_size(num_train: int, num_classes: int) -> int:
    """Images to validate with, where nobody says: a tenth, at least one of each class, at most 5,000."""
    return min(5_000, max(num_classes, num_train // 10))


def data_root(data_dir: Path | None) -> Path:
    """The data directory: the one given, else NIN_BENCH_DATA, else nin_bench in the user's folder of caches.

    Raises:
        InputError: none is given, and the user has no home.
    """
    try:
        return data_dir or Path(os.environ.get("NIN_BENCH_DATA") or user_cache_path("nin_bench")).expanduser()
    except RuntimeError as error:
        raise InputError(
            "no folder for data: you have no home directory; give --data-dir or NIN_BENCH_DATA"
        ) from error


def _read_idx(dataset: str, split: Split, root: Path) -> Labelled:
    """The MNIST family: a header of 16 or 8 bytes, then one byte per pixel or label."""
    prefix = "train" if split == "train" else "t10k"
    images = _read_idx_content(dataset, f"{prefix}-images-idx3-ubyte", root)
    labels = _read_idx_content(dataset, f"{prefix}-labels-idx1-ubyte", root)
    pixels = np.frombuffer(images, np.uint8, offset=16).reshape(-1, 1, 28, 28)
    return pixels.copy(), np.frombuffer(labels, np.uint8, offset=8).astype(np.int64)


def _read_idx_content(dataset: str, name: str, root: Path) -> bytes:
    folder = root / dataset / "raw"
    if dataset not in IDX_MD5:
        path = _find(dataset, [folder / f"{name}.gz"], root)
        expected = dict(_torchvision_class(dataset).resources)[path.name]
        return gzip.decompress(_verify(path, read_bytes(path), expected))
    folders = [folder, DEBIAN_FASHION_MNIST] if dataset == "FashionMNIST" else [folder]
    path = _find(dataset, [place / file for place in folders for file in (name, f"{name}.gz")], root)
    content, expected = read_bytes(path), IDX_MD5[dataset][name]
    if path.suffix == ".gz":
        content = _unpack(path, content, expected)
    return _verify(path, content, expected)


def _read_cifar(dataset: str, split: Split, root: Path) -> Labelled:
    published = _torchvision_class(dataset)
    batches = []
    for name, expected in published.train_list if split == "train" else published.test_list:
        path = _find(dataset, [root / published.base_folder / name], root)
        # A pickle runs what it holds, so the bytes that were verified are the bytes that are unpickled.
        content = _verify(path, read_bytes(path), expected)
        with warnings.catch_warnings():
            # The files were pickled by Python 2, in a form that NumPy 2.4.0 to 2.4.4 warn of.
            warnings.simplefilter("ignore", np.exceptions.VisibleDeprecationWarning)
            batches.append(pickle.loads(content, encoding="latin1"))
    labels = chain.from_iterable(batch.get("labels") or batch["fine_labels"] for batch in batches)
    images = np.concatenate([batch["data"] for batch in batches]).reshape(-1, 3, 32, 32)
    return images, np.fromiter(labels, np.int64)


def _read_svhn(split: Split, root: Path) -> Labelled:
    from scipy.io import loadmat

    _, name, expected = _torchvision_class("SVHN").split_list[split]
    path = _find("SVHN", [root / name], root)
    file = io.BytesIO(_verify(path, read_bytes(path), expected))
    content = loadmat(file)  # type: ignore[arg-type]  # the stubs know no file objects
    images = np.ascontiguousarray(content["X"].transpose(3, 2, 0, 1))
    return images, content["y"].ravel().astype(np.int64) % 10  # the file calls the digit 0 "10"


def _read_digits(split: Split, root: Path) -> Labelled:
    """Scikit-learn's digits; the third of every five images of a class is a test image."""
    # Its file alone: to import it would bring pandas and SciPy into every worker, which needs neither.
    package = find_spec("sklearn")
    assert package is not None
    assert package.origin is not None
    table = np.loadtxt(Path(package.origin).parent / "datasets" / "data" / "digits.csv.gz", delimiter=",")
    pixels, labels = table[:, :-1], table[:, -1]
    images = np.rint(pixels * (255 / 16)).astype(np.uint8).reshape(-1, 1, 8, 8)
    chosen = np.zeros(len(labels), bool)
    for digit in range(10):
        chosen[np.flatnonzero(labels == digit)[2::5]] = True
    if split == "train":
        chosen = ~chosen
    return images[chosen], labels[chosen].astype(np.int64)


def _find(dataset: str, candidates: Iterable[Path], root: Path) -> Path:
    """The first of some places where a file lies; where it lies in none, the dataset is downloaded first."""

    def existing() -> Path | None:
        return next((path for path in candidates if path.is_file()), None)

    path = existing()
    if path is None:
        _download(dataset, root, until=lambda: existing() is not None)
        path = existing()
    assert path is not None
    return path


def _download(dataset: str, root: Path, until: Callable[[], bool]) -> None:
    """Let torchvision download what is missing of a dataset, into its own layout below the data directory.

    Only whole and verified files appear under their names, however a download ends; of several processes that
    miss a file, one downloads it. Files that exist are left as they are.
    """
    if os.environ.get(OFFLINE):
        raise InputError(
            f"{dataset} is not in {root}, and {OFFLINE} forbids downloads; "
            "give the folder that holds it with --data-dir or NIN_BENCH_DATA"
        )
    try:
        root.mkdir(parents=True, exist_ok=True)
        with FileLock(root / ".download.lock"):
            if until():
                return
            with TemporaryDirectory(prefix=".download-", dir=root) as folder:
                staging = Path(folder)
                _download_into(staging, dataset, root)
                for path in [path for path in staging.rglob("*") if path.is_file()]:
                    target = root / path.relative_to(staging)
                    if not target.exists():
                        target.parent.mkdir(parents=True, exist_ok=True)
                        path.replace(target)
    except OSError as error:
        raise InputError(
            f"{dataset} is not in {root}, which cannot be written for a download ({error.strerror}); "
            "give a folder that can with --data-dir or NIN_BENCH_DATA"
        ) from error


def _download_into(staging: Path, dataset: str, root: Path) -> None:
    download = partial(_torchvision_class(dataset), staging, download=True)
    try:
        if dataset == "SVHN":
            download(split="train")
            download(split="test")
        else:
            download()
    except (OSError, RuntimeError, http.client.HTTPException) as error:
        reason = " ".join(str(error).split())
        raise InputError(
            f"{dataset} is not in {root} and could not be downloaded ({reason}); "
            "check the network, or give the folder that holds it with --data-dir or NIN_BENCH_DATA"
        ) from error


def _torchvision_class(dataset: str) -> Any:
    from torchvision import datasets

    return getattr(datasets, dataset)


def read_bytes(path: Path) -> bytes:
    """The content of a file; InputError, by name, where the system refuses it."""
    try:
        return path.read_bytes()
    except OSError as error:
        raise unreadable(path, error) from error


def unreadable(path: Path, error: OSError) -> InputError:
    """What is told of a file that the system refuses."""
    return InputError(f"{path}: cannot be read ({error.strerror}); make it readable, or delete it")


def _unpack(path: Path, content: bytes, expected: str) -> bytes:
    try:
        # Not gzip.decompress: of a truncated file this gives what there is, whose digest then tells.
        return zlib.decompressobj(wbits=zlib.MAX_WBITS | 16).decompress(content)
    except zlib.error as error:
        found = hashlib.md5(content, usedforsecurity=False).hexdigest()
        raise InputError(
            f"{path}: file of MD5 {found} does not unpack ({error}) to content of MD5 {expected}, as published; "
            "delete the file and run again"
        ) from error


def _verify(path: Path, content: bytes, expected: str) -> bytes:
    found = hashlib.md5(content, usedforsecurity=False).hexdigest()
    if found != expected:
        raise InputError(
            f"{path}: content has MD5 {found} where {expected} was published; delete the file and run again"
        )
    return content


_DIGITS = tuple("0123456789")
_CLOTHES = "T-shirt/top,Trouser,Pullover,Dress,Coat,Sandal,Shirt,Sneaker,Bag,Ankle boot"
_KMNIST = "o ki su tsu na ha ma ya re wo"
_CIFAR10 = "airplane automobile bird cat deer dog frog horse ship truck"
_CIFAR100 = """
    apple aquarium_fish baby bear beaver bed bee beetle bicycle bottle bowl boy bridge bus butterfly camel
    can castle caterpillar cattle chair chimpanzee clock cloud cockroach couch crab crocodile cup dinosaur
    dolphin elephant flatfish forest fox girl hamster house kangaroo keyboard lamp lawn_mower leopard lion
    lizard lobster man maple_tree motorcycle mountain mouse mushroom oak_tree orange orchid otter
    palm_tree pear pickup_truck pine_tree plain plate poppy porcupine possum rabbit raccoon ray road
    rocket rose sea seal shark shrew skunk skyscraper snail snake spider squirrel streetcar sunflower
    sweet_pepper table tank telephone television tiger tractor train trout tulip turtle wardrobe whale
    willow_tree wolf woman worm
"""

_mnist_like = partial(Source, channels=1, resolution=28, num_train=60_000, num_test=10_000)
_cifar_like = partial(Source, channels=3, resolution=32, num_train=50_000, num_test=10_000)

DATASETS = {
    "fashion_mnist": _mnist_like(classes=tuple(_CLOTHES.split(",")), read=partial(_read_idx, "FashionMNIST")),
    "mnist": _mnist_like(classes=_DIGITS, read=partial(_read_idx, "MNIST")),
    "kmnist": _mnist_like(classes=tuple(_KMNIST.split()), read=partial(_read_idx, "KMNIST")),
    "cifar10": _cifar_like(classes=tuple(_CIFAR10.split()), read=partial(_read_cifar, "CIFAR10")),
    "cifar100": _cifar_like(classes=tuple(_CIFAR100.split()), read=partial(_read_cifar, "CIFAR100")),
    "svhn": Source(channels=3, resolution=32, classes=_DIGITS, num_train=73_257, num_test=26_032, read=_read_svhn),
    "digits": Source(
        channels=1,
        resolution=8,
        classes=_DIGITS,
        num_train=1_438,
        num_test=359,
        validation_size=200,
        read=_read_digits,
        needs_folder=False,
    ),
}
"""The datasets that come with a name; `image_folder` is what the user's folder holds."""
