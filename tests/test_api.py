"""The package's functions: the same as the command line, from a thread too, and with models of one's own."""

import json
import sys
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import pytest

import nin_bench as nb
from nin_bench import cli
from nin_bench.environment import describe_machine
from nin_bench.errors import InputError, ResultsError
from nin_bench.plugins import registered
from nin_bench.results import ResultsFolder
from tests.costs_fixture import CPU, cost_entry, write_costs

GRID = """\
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 1, batch_size: 64, lr: 0.1}
seeds: 2
models: [{name: mlp, hidden: 16}]
"""
OWN = """\
from torch import nn
from nin_bench import register_model

@register_model
def own(image):
    return nn.Sequential(nn.Flatten(), nn.Linear(image.channels * image.resolution**2, image.num_classes))
"""
OPTIONS = nb.RunOptions(device="cpu", workers=1, measure=False)


@pytest.fixture
def grid(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(GRID)
    return Path("grid.yaml")


def test_a_plan_warns_of_more_workers_than_the_memory_holds(grid, monkeypatch):
    machine = {**describe_machine("cpu"), "memory_bytes": 500_000_000}  # as a container's limit may leave
    monkeypatch.setattr("nin_bench.api.describe_machine", lambda device: machine)
    one, two = (nb.plan(grid, replace(OPTIONS, workers=workers)).warnings for workers in (1, 2))
    assert one == []
    assert two == [
        "warning: mlp hidden=16 takes about 0.4 GiB in training, and this machine has 0.5 GiB for 2 workers; "
        "give fewer --workers, or the recipe a micro_batch"
    ]


@pytest.mark.parametrize("file", ["results", "results/tiny", "results/tiny/full"])
@pytest.mark.parametrize("act", [nb.plan, nb.measure, nb.run])
def test_a_file_where_results_need_a_folder_is_named_before_anything_is_done(grid, act, file):
    Path(file).parent.mkdir(parents=True, exist_ok=True)
    Path(file).write_text("mine")
    with pytest.raises(ResultsError, match=f"^{file}: is a file, and results need a folder there"):
        act(grid, OPTIONS)
    assert Path(file).read_text() == "mine"


@pytest.mark.parametrize(
    "address",
    ["", "local", "head", "head:", ":6379", "head:x", "head:0", "head:70000", "ray://head:10001", "a b:1"],
)
@pytest.mark.parametrize("act", [nb.plan, nb.measure, nb.run])
def test_what_is_no_address_of_a_ray_cluster_is_refused_before_anything_is_done(grid, act, address):
    with pytest.raises(InputError, match=rf"^--ray-address '{address}': is no address; write auto, or the head's"):
        act(grid, replace(OPTIONS, ray_address=address))
    assert [path.name for path in Path().iterdir()] == ["grid.yaml"]


def test_a_plan_for_nodes_counts_on_the_machine_that_measured_last(grid):
    loaded, folder = nb.load_grid(grid), ResultsFolder(Path("results/tiny/full"))
    folder.write_grid(loaded.resolved("cpu", CPU))
    write_costs(folder.path, loaded.variants[0].variant_id, cost_entry())
    here, there = nb.plan(loaded, OPTIONS), nb.plan(loaded, OPTIONS, nodes=4)
    assert (here.num_nodes, here.num_workers, here.machine) == (1, 1, describe_machine("cpu"))
    assert (there.num_nodes, there.num_workers, dict(there.machine)) == (4, 2, CPU)
    assert [cell.estimate.seconds for cell in here.cells] == [None, None]
    # busy: 2 s, 1,238 images at 800 a second, 200 and 1,238 + 359 predicted at 3,200
    assert there.cells[0].estimate.seconds == pytest.approx(2 + 1238 / 800 + 1797 / 3200)


def test_a_grid_is_planned_run_and_reported_from_a_thread_too(grid, capsys, caplog):
    with pytest.raises(SystemExit):
        cli.main(["plan", "grid.yaml", "--json", "--device", "cpu"])
    assert nb.plan(grid, OPTIONS).as_dict() == json.loads(capsys.readouterr().out)
    assert not Path("results").exists()
    with ThreadPoolExecutor() as threads:  # no signal can be handled there
        first = threads.submit(nb.run, nb.load_grid(grid, seeds=[1]), OPTIONS).result()
    assert repr(first) == "Run('results/tiny/full': 1 trained)"
    assert "seed 1: epoch 1/1, loss" in capsys.readouterr().err
    assert [cell.state for cell in nb.plan(grid, OPTIONS).cells] == ["missing", "done"]
    heard: list[object] = []

    def failing(event: object) -> None:
        raise ValueError("no server")

    second = nb.run(str(grid), OPTIONS, progress=False, listeners=[failing, heard.append])
    assert caplog.messages == ["listener failing: failed and is off (no server); the run goes on"]
    assert [type(event).__name__ for event in heard] == ["Planned", "CellStarted", "EpochEnded", "CellEnded"]
    assert (second.summary.outcomes, second.summary.num_skipped) == ({"trained": 2}, 1)
    assert capsys.readouterr() == ("", "")
    assert second.report.page == Path("reports/tiny/full/report.md")
    assert second.report.analysis == nb.analyse(second.results)
    assert second.report.search_page is None
    with pytest.raises(ResultsError, match="no such page"):
        _ = second.report.search
    with pytest.raises(InputError, match="unknown listener 'ml_flow'; did you mean 'mlflow'"):
        nb.run(grid, OPTIONS, listeners=[heard.append, "ml_flow"])


def test_workers_know_models_of_one_s_own_file_and_none_of_the_main_module(grid, monkeypatch):
    nb.list_models()
    monkeypatch.setitem(registered, "model", dict(registered["model"]))
    monkeypatch.setenv("NIN_BENCH_MODELS", "")
    Path("own_file.py").write_text(OWN)
    nb.use_own_file("own_file.py")  # after the process that starts workers was started, by the test above
    Path("own.yaml").write_text(
        GRID.replace("{name: mlp, hidden: 16}", "{name: own}").replace("seeds: 2", "seeds: 1")
    )
    own = nb.load_grid("own.yaml")
    try:
        assert nb.run(own, OPTIONS, progress=False).summary.outcomes == {"trained": 1}
        monkeypatch.setattr(registered["model"]["own"].build, "__module__", "__main__")
        with pytest.raises(InputError, match=r"^model 'own' is defined in the main module"):
            nb.run(own, OPTIONS)
    finally:
        sys.modules.pop("own_models.own_file", None)


def test_what_is_public_is_listed_and_found():
    assert set(nb.__all__) == {"__version__", *(name for names in nb._HOMES.values() for name in names)}
    assert dir(nb) == sorted(nb.__all__)
    assert all(getattr(nb, name) is not None for name in nb.__all__)
    with pytest.raises(AttributeError, match="no attribute 'reports'"):
        _ = nb.reports
