"""Recorded cells are trained again, by real workers on real images."""

import json
from pathlib import Path

import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.catalog import RegistryCatalog
from nin_bench.errors import InputError, ResultsError
from nin_bench.grid import Grid
from nin_bench.results import Record, ResultsFolder, load_results
from nin_bench.runner.replay import records_named, replay_cells, sample_records
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions

GRID = """
schema: 1
name: tiny
data: {name: digits, train_size: 200, validation_size: 50}
recipe: {epochs: 1, batch_size: 50}
seeds: 2
models: [{name: mlp, hidden: [8, 16]}, {name: mlp, hidden: 4, recipe: {lr: 1.0e+38}}]
"""


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("trained")
    path = folder / "grid.yaml"
    path.write_text(GRID)
    options = RunOptions(device="cpu", workers=2, measure=False)
    run_grid(Grid.load(path, RegistryCatalog()), ResultsFolder(folder / "results"), options, lambda event: None)
    return folder / "results"


def records_of(folder: Path) -> list[Record]:
    return load_results(folder).records


def test_trained_and_diverged_cells_repeat_bit_for_bit_and_no_record_changes(trained):
    before = {path: path.read_bytes() for path in trained.rglob("*.json")}
    seen = []
    chosen = sample_records(records_of(trained), 3)
    assert {record.outcome for record in chosen} == {"trained", "diverged"}
    summary = replay_cells(ResultsFolder(trained), chosen, workers=2, on_end=seen.append)
    assert summary.cells == seen
    assert {cell.cell_id for cell in seen} == {record.cell_id for record in chosen}
    assert [(cell.expected, cell.repeated, cell.error) for cell in seen] == [("equal bits", True, None)] * 3
    assert {path: path.read_bytes() for path in before} == before
    assert ResultsFolder(trained).find_replays().cells == tuple(seen)
    assert analyse(load_results(trained)).setting.replayed == {"repeated bit for bit": 3}


def test_a_number_that_was_edited_is_found(trained, tmp_path):
    record = sample_records(records_of(trained), 1)[0]
    edited = record.model_copy(update={"metrics": record.metrics.model_copy(update={"train_loss": 1.25})})
    folder = ResultsFolder(tmp_path)
    (cell,) = replay_cells(folder, [edited], workers=1).cells
    assert not cell.repeated
    assert [one.recorded for one in cell.differences if one.what == "metrics.train_loss"] == [1.25]
    assert json.loads((tmp_path / "replay.json").read_text())["cells"][0]["repeated"] is False


def test_what_cannot_be_trained_again_is_refused_before_anything_is_trained(trained, tmp_path):
    record = records_of(trained)[0]
    folder = ResultsFolder(tmp_path / "none")
    other_code = record.model_copy(update={"code_digest": "0" * 16})
    with pytest.raises(InputError, match="the code of mlp is another than when it was trained; check out "):
        replay_cells(folder, [other_code], workers=1)
    model = record.cell.model.model_copy(update={"revision": 7})
    with pytest.raises(InputError, match="mlp has other defaults or another revision"):
        replay_cells(folder, [record.model_copy(update={"cell": record.cell.model_copy(update={"model": model})})])
    model = record.cell.model.model_copy(update={"name": "my_net"})
    with pytest.raises(InputError, match=r"unknown model 'my_net'.*--models FILE\.py"):
        replay_cells(folder, [record.model_copy(update={"cell": record.cell.model_copy(update={"model": model})})])
    assert not folder.path.exists()


def test_a_sample_is_of_many_variants_and_always_the_same(trained):
    records = records_of(trained)
    assert sample_records(records, 4) == sample_records(records[::-1], 4)
    assert len({record.variant_id for record in sample_records(records, 3)}) == 3
    assert len(sample_records(records, 99)) == 6
    assert sample_records([record.model_copy(update={"outcome": "crashed"}) for record in records], 5) == []


def test_cells_are_named_by_how_their_ids_begin(trained):
    first, *rest = records_of(trained)
    assert records_named([first, *rest], [first.cell_id[:10], rest[0].cell_id]) == [first, rest[0]]
    with pytest.raises(ResultsError, match=r"^the ids of several cells begin with ''; known: "):
        records_named([first, *rest], [""])
    with pytest.raises(ResultsError, match=f"^no cell's id begins with 'x'; known: {first.cell_id}"):
        records_named([first, *rest], ["x"])
    with pytest.raises(ResultsError, match=r"known: none, since no cell has ended$"):
        records_named([], ["x"])
    with pytest.raises(ResultsError, match="ended crashed"):
        records_named([first.model_copy(update={"outcome": "crashed"})], [first.cell_id])
