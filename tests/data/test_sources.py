import gc
import gzip
import hashlib
import io
import pickle
import shutil
import subprocess
import sys
import tarfile
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import numpy as np
import pytest
import torchvision
from scipy.io import savemat

from nin_bench.data import sources
from nin_bench.data.sources import DATASETS, data_root
from nin_bench.errors import InputError

IMAGES = np.random.default_rng(0).integers(0, 256, (20, 1, 28, 28), np.uint8)
LABELS = np.arange(20) % 10
COLOURS = np.random.default_rng(1).integers(0, 256, (10, 3, 32, 32), np.uint8)


def md5(content: bytes) -> str:
    return hashlib.md5(content).hexdigest()


def idx_files() -> dict[str, bytes]:
    """Twenty training images and ten test images as idx files, by name."""
    files = {}
    for prefix, size in (("train", 20), ("t10k", 10)):
        files[f"{prefix}-images-idx3-ubyte"] = idx(IMAGES[:size, 0])
        files[f"{prefix}-labels-idx1-ubyte"] = idx(LABELS[:size])
    return files


def idx(values: np.ndarray) -> bytes:
    """A type and number of dimensions, the dimensions, the values as bytes."""
    header = [0x800 + values.ndim, *values.shape]
    return b"".join(number.to_bytes(4) for number in header) + values.astype(np.uint8).tobytes()


class Server:
    """Serves a folder on loopback, as a mirror would, and counts what it is asked for."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.answer: Callable[[SimpleHTTPRequestHandler], bool] = lambda _request: False
        self.num_requests = 0
        self.http = ThreadingHTTPServer(("127.0.0.1", 0), partial(self._handler(), directory=str(folder)))
        self.url = f"http://127.0.0.1:{self.http.server_port}/"

    def _handler(server) -> type[SimpleHTTPRequestHandler]:  # noqa: N805
        class Handler(SimpleHTTPRequestHandler):
            def do_GET(self) -> None:
                server.num_requests += 1
                if not server.answer(self):
                    super().do_GET()

            def log_message(self, *_: object) -> None:
                pass

        return Handler


def cut_short(request: SimpleHTTPRequestHandler) -> bool:
    """Announce the whole file, send half, and hang up."""
    content = Path(request.translate_path(request.path)).read_bytes()
    request.send_response(200)
    request.send_header("Content-Length", str(len(content)))
    request.end_headers()
    request.wfile.write(content[: len(content) // 2])
    request.close_connection = True
    return True


def refuse(status: int, request: SimpleHTTPRequestHandler) -> bool:
    request.send_error(status)
    return True


@pytest.fixture
def server(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """A mirror of synthetic Fashion-MNIST and KMNIST, whose digests stand in for the published ones."""
    folder = tmp_path / "mirror"
    folder.mkdir()
    resources = []
    for name, content in idx_files().items():
        packed = gzip.compress(content)
        (folder / f"{name}.gz").write_bytes(packed)
        resources.append((f"{name}.gz", md5(packed)))
    served = Server(folder)
    for published in (torchvision.datasets.FashionMNIST, torchvision.datasets.KMNIST):
        monkeypatch.setattr(published, "mirrors", [served.url])
        monkeypatch.setattr(published, "resources", resources)
    digests = {name: md5(content) for name, content in idx_files().items()}
    monkeypatch.setitem(sources.IDX_MD5, "FashionMNIST", digests)
    monkeypatch.setattr(sources, "DEBIAN_FASHION_MNIST", tmp_path / "no-debian")
    monkeypatch.setenv("no_proxy", "127.0.0.1")
    thread = Thread(target=served.http.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield served
    served.http.shutdown()
    served.http.server_close()
    thread.join()


@pytest.fixture
def raw(tmp_path: Path, server: Server) -> Path:
    """Where torchvision keeps Fashion-MNIST, filled with extracted files."""
    folder = tmp_path / "data" / "FashionMNIST" / "raw"
    folder.mkdir(parents=True)
    for name, content in idx_files().items():
        (folder / name).write_bytes(content)
    return folder


def test_the_data_directory_is_the_one_given_then_the_environments_then_a_cache(
    monkeypatch: pytest.MonkeyPatch,
):
    monkeypatch.setenv("NIN_BENCH_DATA", "/from/environment")
    monkeypatch.setenv("HOME", "/home/someone")
    assert data_root(Path("/given")) == Path("/given")
    assert data_root(None) == Path("/from/environment")
    monkeypatch.delenv("NIN_BENCH_DATA")
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    assert data_root(None).is_relative_to("/home/someone")
    assert data_root(None).name == "nin_bench"


@pytest.mark.parametrize("name", DATASETS)
def test_class_names_are_as_many_as_the_classes(name: str):
    assert len(set(DATASETS[name].classes)) == (100 if name == "cifar100" else 10)


def test_class_names_and_file_names_agree_with_torchvision():
    known = torchvision.datasets
    assert list(DATASETS["fashion_mnist"].classes) == known.FashionMNIST.classes
    assert list(DATASETS["kmnist"].classes) == known.KMNIST.classes
    assert DATASETS["cifar100"].classes == tuple(sorted(DATASETS["cifar100"].classes))
    for dataset in sources.IDX_MD5:
        assert {f"{name}.gz" for name in sources.IDX_MD5[dataset]} == dict(
            getattr(known, dataset).resources
        ).keys()


def test_the_digests_of_mnist_are_those_of_its_published_files():
    # md5sum of the files from yann.lecun.com/exdb/mnist, after gunzip
    assert sources.IDX_MD5["MNIST"] == {
        "train-images-idx3-ubyte": "6bbc9ace898e44ae57da46a324031adb",
        "train-labels-idx1-ubyte": "a25bea736e30d166cdddb491f175f624",
        "t10k-images-idx3-ubyte": "2646ac647ad5339dbf082846283269ea",
        "t10k-labels-idx1-ubyte": "27ae3e4e09519cfbb04c329615203637",
    }


def test_digits_keep_a_stratified_fifth_for_testing(tmp_path: Path):
    images, labels = DATASETS["digits"].read("train", tmp_path)
    test_images, test_labels = DATASETS["digits"].read("test", tmp_path)
    assert (len(images), len(test_images)) == (DATASETS["digits"].num_train, DATASETS["digits"].num_test)
    assert (images.min(), images.max(), images.dtype) == (0, 255, np.uint8)
    # Per class, scikit-learn's digits number 178, 182, 177, 183, 181, 182, 181, 179, 174 and 180.
    assert np.bincount(test_labels).tolist() == [36, 36, 35, 37, 36, 36, 36, 36, 35, 36]
    assert np.bincount(labels).tolist() == [142, 146, 142, 146, 145, 146, 145, 143, 139, 144]


@pytest.mark.fashion
def test_fashion_mnist_is_read_as_torchvision_reads_it(tmp_path: Path):
    raw = tmp_path / "FashionMNIST" / "raw"
    raw.mkdir(parents=True)
    source = DATASETS["fashion_mnist"]
    read = {split: source.read(split, data_root(None)) for split in ("train", "test")}
    for prefix, split in (("train", "train"), ("t10k", "test")):
        (raw / f"{prefix}-images-idx3-ubyte").write_bytes(idx(read[split][0][:, 0]))
        (raw / f"{prefix}-labels-idx1-ubyte").write_bytes(idx(read[split][1]))
    for split, size in (("train", 60_000), ("test", 10_000)):
        images, labels = source.read(split, tmp_path)
        expected = torchvision.datasets.FashionMNIST(tmp_path, train=split == "train")
        assert len(images) == size
        assert np.array_equal(images[:, 0], expected.data.numpy())
        assert np.array_equal(labels, expected.targets.numpy())


def test_digits_are_read_without_scikit_learn():
    code = (
        "import sys; from nin_bench.data.sources import DATASETS; DATASETS['digits'].read('test', None);"
        "sys.exit(bool({'sklearn', 'pandas', 'scipy'} & set(sys.modules)))"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


@pytest.mark.fashion
def test_fashion_mnist_from_disk_needs_no_torchvision():
    code = (
        "import sys; from nin_bench.data.sources import DATASETS, data_root;"
        "DATASETS['fashion_mnist'].read('test', data_root(None));"
        "sys.exit('torchvision' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_reading_one_split_opens_no_file_of_the_other(raw: Path, server: Server):
    for path in raw.glob("t10k-*"):
        path.unlink()
    images, labels = DATASETS["fashion_mnist"].read("train", raw.parents[1])
    assert np.array_equal(images, IMAGES)
    assert np.array_equal(labels, LABELS)
    assert server.num_requests == 0


@pytest.mark.parametrize("packed", [True, False])
@pytest.mark.parametrize("damage", ["altered", "truncated", "empty"])
@pytest.mark.parametrize("name", idx_files())
def test_a_damaged_file_is_refused_by_name_and_digest(raw: Path, name: str, damage: str, packed: bool):
    path, content = raw / name, idx_files()[name]
    expected = md5(content)
    if packed:
        path.unlink()
        path, content = raw / f"{name}.gz", gzip.compress(content)
    middle = len(content) // 2
    altered = content[:middle] + bytes([content[middle] ^ 1]) + content[middle + 1 :]
    path.write_bytes({"altered": altered, "truncated": content[:middle], "empty": b""}[damage])
    with pytest.raises(InputError, match="delete") as refusal:
        DATASETS["fashion_mnist"].read("train" if name.startswith("train") else "test", raw.parents[1])
    message = str(refusal.value)
    assert str(path) in message
    assert "MD5" in message
    assert expected in message
    assert "\n" not in message


def test_a_half_extracted_file_is_refused_and_read_from_its_archive_once_deleted(raw: Path, server: Server):
    extracted = raw / "train-images-idx3-ubyte"
    shutil.copy(server.folder / "train-images-idx3-ubyte.gz", raw)
    extracted.write_bytes(extracted.read_bytes()[:5_000])
    with pytest.raises(InputError, match="train-images-idx3-ubyte: content has MD5"):
        DATASETS["fashion_mnist"].read("train", raw.parents[1])
    extracted.unlink()
    assert np.array_equal(DATASETS["fashion_mnist"].read("train", raw.parents[1])[0], IMAGES)
    assert server.num_requests == 0


@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_missing_test_file_that_cannot_be_had_is_refused(raw: Path, server: Server):
    (raw / "t10k-labels-idx1-ubyte").unlink()
    server.answer = partial(refuse, 404)
    with pytest.raises(InputError, match=r"^FashionMNIST is not in .* could not be downloaded .*--data-dir"):
        DATASETS["fashion_mnist"].read("test", raw.parents[1])
    gc.collect()  # torchvision leaves its failed connections open; their warnings belong here


def test_an_archive_that_is_none_is_refused_by_name(raw: Path):
    (raw / "train-images-idx3-ubyte").rename(raw / "train-images-idx3-ubyte.gz")
    with pytest.raises(InputError, match=r"train-images-idx3-ubyte\.gz"):
        DATASETS["fashion_mnist"].read("train", raw.parents[1])


@pytest.mark.parametrize(("name", "folder"), [("fashion_mnist", "FashionMNIST"), ("kmnist", "KMNIST")])
def test_a_download_fills_torchvisions_folder_once(tmp_path: Path, server: Server, name: str, folder: str):
    root = tmp_path / "new" / "data"
    for _ in range(2):
        images, labels = DATASETS[name].read("train", root)
        assert np.array_equal(images, IMAGES)
        assert np.array_equal(labels, LABELS)
        assert np.array_equal(DATASETS[name].read("test", root)[0], IMAGES[:10])
    files = {path.name for path in (root / folder / "raw").iterdir()}
    assert files == {name + suffix for name in idx_files() for suffix in ("", ".gz")}
    assert {path.name for path in root.iterdir()} <= {folder, ".download.lock"}
    num_requests = server.num_requests
    getattr(torchvision.datasets, folder)(root, download=True)
    assert server.num_requests == num_requests


def test_a_download_fetches_what_is_missing_and_leaves_the_rest(raw: Path, server: Server):
    (raw / "train-labels-idx1-ubyte").unlink()
    (raw / "t10k-images-idx3-ubyte").write_bytes(b"damaged")
    assert np.array_equal(DATASETS["fashion_mnist"].read("train", raw.parents[1])[1], LABELS)
    assert (raw / "t10k-images-idx3-ubyte").read_bytes() == b"damaged"


@pytest.mark.parametrize(
    ("answer", "reason"),
    [(cut_short, "corrupted"), (partial(refuse, 404), "404"), (partial(refuse, 503), "503")],
)
@pytest.mark.filterwarnings("ignore:unclosed:ResourceWarning")
def test_a_failed_download_says_why_and_leaves_nothing(
    tmp_path: Path, server: Server, answer: Callable[[SimpleHTTPRequestHandler], bool], reason: str
):
    server.answer = answer
    with pytest.raises(InputError, match=rf"^FashionMNIST .* could not be downloaded .*{reason}.*--data-dir"):
        DATASETS["fashion_mnist"].read("train", tmp_path / "data")
    gc.collect()  # torchvision leaves its failed connections open; their warnings belong here
    assert {path.name for path in (tmp_path / "data").iterdir()} <= {".download.lock"}
    server.answer = lambda _request: False
    assert np.array_equal(DATASETS["fashion_mnist"].read("train", tmp_path / "data")[0], IMAGES)


def test_a_download_needs_a_folder_that_can_be_written(tmp_path: Path, server: Server):
    (tmp_path / "data").write_text("a file, where a folder should be")
    with pytest.raises(InputError, match=r"cannot be written for a download .*--data-dir"):
        DATASETS["fashion_mnist"].read("train", tmp_path / "data")
    assert server.num_requests == 0


def test_kmnist_is_checked_against_torchvisions_digests_of_the_archives(tmp_path: Path, server: Server):
    DATASETS["kmnist"].read("train", tmp_path)
    archive = tmp_path / "KMNIST" / "raw" / "train-labels-idx1-ubyte.gz"
    archive.write_bytes(gzip.compress(b"something else"))
    with pytest.raises(InputError, match=r"train-labels-idx1-ubyte\.gz: content has MD5"):
        DATASETS["kmnist"].read("train", tmp_path)


class OldPickler(pickle._Pickler):
    """Pickles arrays in the form that Python 2 gave the CIFAR files."""

    def reducer_override(self, value: object) -> object:
        if isinstance(value, np.dtype):
            return np.dtype, ("u1", 0, 1), (3, "|", None, None, None, -1, -1, 0)
        return NotImplemented


def cifar_batch(labels: str, images: np.ndarray) -> bytes:
    stream = io.BytesIO()
    batch = {"data": images.reshape(len(images), -1), labels: list(range(len(images)))}
    OldPickler(stream, protocol=2).dump(batch)
    return stream.getvalue()


@pytest.fixture
def cifar(tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Archives of synthetic CIFAR-10 and CIFAR-100 on the server; returns the data directory."""
    for published, key in (
        (torchvision.datasets.CIFAR10, "labels"),
        (torchvision.datasets.CIFAR100, "fine_labels"),
    ):
        meta = pickle.dumps({published.meta["key"]: ["a", "b"]})
        packed = io.BytesIO()
        digests = {published.meta["filename"]: md5(meta)}
        with tarfile.open(fileobj=packed, mode="w:gz") as archive:
            for name, _ in [*published.train_list, *published.test_list, (published.meta["filename"], "")]:
                content = meta if name == published.meta["filename"] else cifar_batch(key, COLOURS)
                digests[name] = md5(content)
                member = tarfile.TarInfo(f"{published.base_folder}/{name}")
                member.size = len(content)
                archive.addfile(member, io.BytesIO(content))
        (server.folder / published.filename).write_bytes(packed.getvalue())
        monkeypatch.setattr(published, "url", server.url + published.filename)
        monkeypatch.setattr(published, "tgz_md5", md5(packed.getvalue()))
        monkeypatch.setattr(published, "meta", {**published.meta, "md5": md5(meta)})
        for split in ("train_list", "test_list"):
            table = [[name, digests[name]] for name, _ in getattr(published, split)]
            monkeypatch.setattr(published, split, table)
    return tmp_path / "data"


@pytest.mark.filterwarnings("ignore::numpy.exceptions.VisibleDeprecationWarning:torchvision")
@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning:tarfile")
@pytest.mark.parametrize(("name", "num_batches"), [("cifar10", 5), ("cifar100", 1)])
def test_cifar_is_downloaded_and_read(cifar: Path, name: str, num_batches: int):
    images, labels = DATASETS[name].read("train", cifar)
    assert np.array_equal(images, np.concatenate([COLOURS] * num_batches))
    assert labels.tolist() == list(range(10)) * num_batches
    assert np.array_equal(DATASETS[name].read("test", cifar)[0], COLOURS)


@pytest.mark.filterwarnings("ignore::numpy.exceptions.VisibleDeprecationWarning:torchvision")
@pytest.mark.filterwarnings("ignore:Python 3.14 will:DeprecationWarning:tarfile")
def test_a_cifar_file_is_verified_before_it_is_unpickled(cifar: Path):
    DATASETS["cifar10"].read("train", cifar)
    # Unpickling this raises ZeroDivisionError.
    (cifar / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"cbuiltins\neval\n(V1/0\ntR.")
    with pytest.raises(InputError, match="data_batch_3: content has MD5"):
        DATASETS["cifar10"].read("train", cifar)
    assert len(DATASETS["cifar10"].read("test", cifar)[0]) == 10


def test_svhn_is_downloaded_and_read_with_ten_as_zero(
    tmp_path: Path, server: Server, monkeypatch: pytest.MonkeyPatch
):
    table = {}
    for split in ("train", "test"):
        path = server.folder / f"{split}_32x32.mat"
        savemat(path, {"X": COLOURS.transpose(2, 3, 1, 0), "y": np.arange(1, 11, dtype=np.uint8)[:, None]})
        table[split] = [server.url + path.name, path.name, md5(path.read_bytes())]
    monkeypatch.setattr(torchvision.datasets.SVHN, "split_list", table)
    root = tmp_path / "data"
    images, labels = DATASETS["svhn"].read("train", root)
    assert np.array_equal(images, COLOURS)
    assert labels.tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]
    (root / "test_32x32.mat").write_bytes(b"")
    with pytest.raises(InputError, match=r"test_32x32\.mat: content has MD5 d41d8cd98f00b204e9800998ecf8427e"):
        DATASETS["svhn"].read("test", root)
