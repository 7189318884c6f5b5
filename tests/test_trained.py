"""Back from results: networks with their weights, and the images that they saw."""

import subprocess
import sys
from pathlib import Path

import pytest
import torch
from torch.utils.data import DataLoader

import nin_bench
from nin_bench.catalog import RegistryCatalog
from nin_bench.errors import InputError, ResultsError
from nin_bench.grid import Grid
from nin_bench.models import ImageSpec
from nin_bench.results import ResultsFolder, load_results
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions

GRID = """
schema: 1
name: back
data: {name: digits, resolution: 12, normalize: dataset, train_size: 300}
recipe: {epochs: 2, batch_size: 50, lr: 0.05, momentum: 0.9, augmentation: flip}
seeds: 1
models: [{name: nin_mnist, width: 0.25}]
"""


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The results of one cell, weights kept."""
    path = tmp_path_factory.mktemp("back")
    (path / "grid.yaml").write_text(GRID)
    options = RunOptions(device="cpu", workers=1, data_dir=path, measure=False, keep_weights=True)
    grid = Grid.load(path / "grid.yaml", RegistryCatalog(path))
    run_grid(grid, ResultsFolder(path / "results"), options, lambda event: None)
    return path / "results"


def test_a_trained_network_says_of_its_test_images_what_its_run_said(folder: Path):
    (record,) = load_results(folder).records
    network, image = nin_bench.load_network(folder, record.cell_id)
    assert image == ImageSpec(channels=1, resolution=12, num_classes=10)
    assert not network.training
    images = nin_bench.load_images(record)
    assert images.classes == tuple("0123456789")
    with torch.inference_mode():
        logits = torch.cat([network(pixels) for pixels, _ in DataLoader(images, batch_size=100)])
    kept = ResultsFolder(folder).read_predictions(record.cell_id)
    assert logits.argmax(1).tolist() == kept["predicted"].tolist()
    assert [int(images[index][1]) for index in range(len(images))] == kept["label"].tolist()
    assert torch.allclose(logits.softmax(1).amax(1), torch.from_numpy(kept["probability"]), atol=1e-4)


def test_training_and_validation_images_are_those_of_the_cell(folder: Path):
    (record,) = load_results(folder).records
    network, _ = nin_bench.load_network(folder, record.cell_id)
    for split, size, loss in (
        ("train", 300, record.metrics.train_loss),
        ("validation", 200, record.metrics.validation_loss),
    ):
        images = nin_bench.load_images(record, split)
        assert len(images) == size
        (pixels, labels) = next(iter(DataLoader(images, batch_size=size)))
        with torch.inference_mode():
            assert torch.nn.functional.cross_entropy(network(pixels), labels).item() == pytest.approx(
                loss, rel=1e-4
            )


def test_what_cannot_be_had_is_told_with_the_remedy(folder: Path, tmp_path: Path):
    results = ResultsFolder(folder)
    (record,) = load_results(folder).records
    with pytest.raises(ResultsError, match=r"cells/none\.json: there is no such record; give the id of a cell"):
        nin_bench.load_network(folder, "none")

    other = ResultsFolder(tmp_path)
    record.write(other.record_path(record.cell_id))
    with pytest.raises(
        ResultsError, match=r"weights were not kept; train it again with run --keep-weights --fresh"
    ):
        nin_bench.load_network(tmp_path, record.cell_id)
    weights = other.weights_path(record.cell_id)
    weights.parent.mkdir()
    for content, reason in (
        (results.weights_path(record.cell_id).read_bytes()[:-100], "holds no weights of it"),
        (b"", "holds no weights of it"),
    ):
        weights.write_bytes(content)
        with pytest.raises(ResultsError, match=reason):
            nin_bench.load_network(tmp_path, record.cell_id)
    torch.save({"weight": torch.zeros(3)}, weights)
    with pytest.raises(ResultsError, match="holds no weights of it"):
        nin_bench.load_network(tmp_path, record.cell_id)
    weights.unlink()
    weights.symlink_to(results.weights_path(record.cell_id))
    with pytest.raises(ResultsError, match="is a link"):
        nin_bench.load_network(tmp_path, record.cell_id)

    record.model_copy(update={"code_digest": "0" * 16}).write(other.record_path(record.cell_id))
    with pytest.raises(
        ResultsError, match="the code of nin_mnist has changed since it was trained; bring that code"
    ):
        nin_bench.load_network(tmp_path, record.cell_id)
    other.record_path(record.cell_id).write_text("{")
    with pytest.raises(ResultsError, match=r"is not whole JSON .*; run `python -m nin_bench doctor"):
        nin_bench.load_network(tmp_path, record.cell_id)


def test_images_that_are_others_today_are_refused(folder: Path, tmp_path: Path):
    (record,) = load_results(folder).records
    pictures = {"name": "image_folder", "folder": "pets", "content": "0" * 16}
    spec = record.cell.data.model_copy(update=pictures)
    changed = record.model_copy(update={"cell": record.cell.model_copy(update={"data": spec})})
    with pytest.raises(InputError, match="'pets' is not a folder in the data directory"):
        nin_bench.load_images(changed, data_dir=str(tmp_path))


def test_importing_the_package_imports_no_torch():
    code = "import sys, nin_bench; sys.exit('torch' in sys.modules or 'numpy' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
