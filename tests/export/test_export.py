"""Networks of a real run, exported, and read by ONNX Runtime, safetensors and whoever copies from the card."""

import json
import re
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from PIL import Image

pytest.importorskip("onnxruntime", reason="needs the group extras")

import onnxruntime
from safetensors import safe_open
from safetensors.torch import load_file

from nin_bench import load_results
from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import DataSpec
from nin_bench.cli import main
from nin_bench.data.dataset import load_dataset
from nin_bench.errors import InputError, ResultsError
from nin_bench.export.choice import best_of_variant, named_cell
from nin_bench.grid import Grid
from nin_bench.results import Record, ResultsFolder
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions
from tests.report_fixture import metrics, record, write_results

pytestmark = pytest.mark.extra

GRID = """
schema: 1
name: tiny
data: {name: digits, resolution: 12, normalize: dataset}
recipe: {epochs: 3, batch_size: 32, optimizer: adam, lr: 5.0e-3}
seeds: 2
models:
  - {name: nin_mnist, pointwise: 1, width: 0.25, dropout: 0.1, final_relu: false, label: small NiN}
  - {name: lenet, activation: relu, recipe: {precision: bf16}}
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("export")
    (root / "grid.yaml").write_text(GRID)
    grid = Grid.load(root / "grid.yaml", RegistryCatalog())
    options = RunOptions(device="cpu", workers=2, measure=False, keep_weights=True)
    run_grid(grid, ResultsFolder(root / "tiny"), options, lambda event: None)
    return root / "tiny"


def pixels_of_test() -> tuple[np.ndarray, np.ndarray]:
    """The test images as the network takes them, computed here: (359, 1, 12, 12) float32, and as uint8."""
    spec = RegistryCatalog().resolve_data(DataSpec(name="digits", resolution=12))
    dataset = load_dataset(spec, None)
    test, _ = dataset.load_test()
    train = dataset.images.double() / 255
    resized = torch.nn.functional.interpolate(test.double() / 255, size=(12, 12), mode="bilinear", antialias=True)
    return ((resized - train.mean()) / train.std(correction=0)).float().numpy(), test.numpy()


def run_command(*arguments: str | Path) -> int:
    with pytest.raises(SystemExit) as ended:
        main([str(one) for one in arguments])
    return ended.value.code or 0


def best(records: list[Record]) -> Record:
    return max(records, key=lambda one: (one.metrics.validation_accuracy, -one.metrics.validation_loss))


@pytest.fixture(scope="module")
def exported(trained: Path, tmp_path_factory: pytest.TempPathFactory) -> SimpleNamespace:
    out = tmp_path_factory.mktemp("out") / "network"
    assert run_command("export", trained, "--variant", "small NiN", "--out", out) == 0
    of_variant = [one for one in load_results(trained).records if one.label == "small NiN"]
    return SimpleNamespace(out=out, folder=ResultsFolder(trained), record=best(of_variant), others=of_variant)


def test_onnx_runtime_says_of_every_test_image_what_the_record_says(exported):
    session = onnxruntime.InferenceSession(exported.out / "model.onnx")
    images, _ = pixels_of_test()
    found = np.concatenate([session.run(None, {"images": part})[0] for part in np.split(images, [1, 8, 100])])
    predictions = exported.folder.read_predictions(exported.record.cell_id)
    assert found.shape == (359, 10)
    assert (found.argmax(1) == predictions["predicted"]).all()
    probability = torch.tensor(found).softmax(1).amax(1).numpy()
    np.testing.assert_allclose(probability, predictions["probability"], rtol=1e-4)
    about = session.get_modelmeta().custom_metadata_map
    assert about["cell_id"] == exported.record.cell_id
    assert json.loads(about["classes"]) == [str(number) for number in range(10)]


def test_safetensors_hold_the_weights_that_were_kept(exported):
    kept = torch.load(exported.folder.weights_path(exported.record.cell_id), weights_only=True)
    found = load_file(exported.out / "model.safetensors")
    assert found.keys() == kept.keys()
    assert all(torch.equal(found[name], kept[name]) for name in kept)
    with safe_open(exported.out / "model.safetensors", "pt") as file:
        assert json.loads(file.metadata()["model"]) == exported.record.cell.model.as_dict()


def test_what_the_card_says_to_type_works(exported, monkeypatch, capsys):
    card = (exported.out / "README.md").read_text()
    predict, load = re.findall(r"```python\n(.*?)```", card, re.DOTALL)
    monkeypatch.chdir(exported.out)
    _, raw = pixels_of_test()
    predicted = exported.folder.read_predictions(exported.record.cell_id)["predicted"]
    for number in range(5):
        Image.fromarray(raw[number, 0]).save(exported.out / "picture.png")
        exec(compile(predict, "card", "exec"), {})
        assert capsys.readouterr().out == f"{predicted[number]}\n"
    names: dict = {}
    exec(compile(load, "card", "exec"), names)
    images, _ = pixels_of_test()
    assert (names["network"](torch.tensor(images)).argmax(1).numpy() == predicted).all()


def test_the_card_s_numbers_are_those_of_the_records(exported):
    card = (exported.out / "README.md").read_text()
    assert yaml.safe_load(card.split("---")[1])["pipeline_tag"] == "image-classification"
    accuracies = [100 * one.metrics.test_accuracy for one in exported.others]
    own = 100 * exported.record.metrics.test_accuracy
    spread = f"{np.mean(accuracies):.1f} % ± {np.std(accuracies, ddof=1):.1f} (n=2)"
    assert f"| test accuracy, % | {own:.1f} | {spread} |" in card
    assert own > 50
    predictions = exported.folder.read_predictions(exported.record.cell_id)
    for number in range(10):
        of_class = predictions["label"] == number
        share = 100 * (predictions["predicted"][of_class] == number).mean()
        assert f"| {number} | {of_class.sum()} | {share:.1f} |" in card
    assert "1,238 to train on, 200 to validate, 359 to test" in card
    assert "as recorded for 359 of 359 test images" in card
    assert exported.record.cell_id in card


def test_a_network_of_bfloat16_is_exported_by_its_cell(trained, tmp_path, capsys):
    chosen = next(one for one in load_results(trained).records if one.cell.model.name == "lenet")
    assert run_command("export", trained, "--cell", chosen.cell_id[:9], "--out", tmp_path) == 0
    assert f"network: {chosen.label} seed {chosen.cell.seed}\n" in capsys.readouterr().out
    assert "named by hand" in (tmp_path / "README.md").read_text()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["README.md", "model.onnx", "model.safetensors"]


@pytest.fixture
def copy(trained: Path, tmp_path: Path) -> SimpleNamespace:
    """Results that may be damaged, and a cell in them."""
    folder = ResultsFolder(tmp_path / "copy")
    shutil.copytree(trained, folder.path)
    first, second, *_ = load_results(folder.path).records
    return SimpleNamespace(folder=folder, first=first, second=second, out=tmp_path / "out")


def refusal(copy: SimpleNamespace, capsys: pytest.CaptureFixture[str]) -> str:
    assert run_command("export", copy.folder.path, "--cell", copy.first.cell_id, "--out", copy.out) == 2
    assert not copy.out.exists()
    [line] = capsys.readouterr().err.splitlines()
    return line


def test_weights_that_were_not_kept_are_a_clear_refusal(copy, capsys):
    copy.folder.weights_path(copy.first.cell_id).unlink()
    assert re.search(r"\.pt: the cell's weights were not kept; train it again with run ", refusal(copy, capsys))


def test_weights_of_another_network_are_found_out(copy, capsys):
    shutil.copy(copy.folder.weights_path(copy.second.cell_id), copy.folder.weights_path(copy.first.cell_id))
    assert re.search(r": \d+ of 359 test images are classified otherwise than recorded; ", refusal(copy, capsys))


@pytest.mark.parametrize(
    ("content", "reason"), [(b"torn", "holds no weights"), (None, "is a link, and links are not followed")]
)
def test_damaged_weights_are_refused(copy, capsys, content, reason):
    path = copy.folder.weights_path(copy.first.cell_id)
    path.unlink()
    if content is None:
        path.symlink_to(copy.folder.weights_path(copy.second.cell_id))
    else:
        path.write_bytes(content)
    assert reason in refusal(copy, capsys)


def test_weights_of_another_shape_are_refused(copy, capsys):
    torch.save({"weight": torch.zeros(3)}, copy.folder.weights_path(copy.first.cell_id))
    assert "holds no weights of it" in refusal(copy, capsys)


def test_predictions_that_are_gone_or_damaged_are_refused(copy, capsys):
    path = copy.folder.predictions_path(copy.first.cell_id)
    path.write_bytes(b"torn")
    assert "is no whole archive" in refusal(copy, capsys)
    path.unlink()
    assert "nothing shows that the weights are the record's" in refusal(copy, capsys)


def test_one_network_has_to_be_named(trained, tmp_path, capsys):
    for names in ([], ["--cell", "0", "--variant", "small NiN"]):
        assert run_command("export", trained, "--out", tmp_path, *names) == 2
        assert "name one network" in capsys.readouterr().err


def test_the_choice_is_by_validation_then_loss_then_seed(tmp_path):
    def cell(accuracy: float | None, loss: float, test: float) -> dict:
        return record(metrics=metrics(test, validation_accuracy=accuracy, validation_loss=loss))

    by_loss = [cell(0.8, 0.5, 0.99), cell(0.9, 0.4, 0.7), cell(0.9, 0.3, 0.6), cell(0.9, 0.3, 0.9)]
    variants = {
        "a": [*by_loss, None, record("crashed")],
        "b": [cell(None, 0.1, 0.9)],
        "c": [record("crashed"), record("diverged"), record("crashed")],
        "e": [None],
    }
    results = load_results(write_results(tmp_path / "r", variants))
    choice = best_of_variant(results, "a")
    assert (choice.record.cell.seed, choice.num_candidates) == (2, 4)
    with pytest.raises(InputError, match="b: has no validation images to choose a seed by; name a cell"):
        best_of_variant(results, "b")
    with pytest.raises(ResultsError, match=r"^c: no cell of it ended trained \(2 crashed, 1 diverged\)"):
        best_of_variant(results, "c")
    with pytest.raises(ResultsError, match=r"\(none has a record; run its grid\)"):
        best_of_variant(results, "e")
    with pytest.raises(InputError, match="--variant: unknown variant 'd'"):
        best_of_variant(results, "d")
    with pytest.raises(ResultsError, match="ended crashed"):
        named_cell(results, "c02s0")
    assert named_cell(results, "c00s3").num_candidates == 1
