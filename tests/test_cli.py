import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Timer
from types import ModuleType
from typing import Any

import jsonschema
import pytest

from nin_bench import cli
from nin_bench.analysis.analysis import analyse
from nin_bench.catalog import RegistryCatalog
from nin_bench.checkpoint import Checkpoints
from nin_bench.cli.options import parse_duration
from nin_bench.cli.verdicts import print_verdicts
from nin_bench.environment import describe_machine
from nin_bench.grid import Grid
from nin_bench.grid.schema import grid_schema
from nin_bench.grid.yaml_source import parse_yaml
from nin_bench.results import ResultsFolder, load_results
from nin_bench.results.folder_lock import sole_writer
from nin_bench.runner import run as runner
from nin_bench.runner.record import make_record
from tests.budget_fixture import end_at_first_checkpoint
from tests.costs_fixture import cost_entry, write_costs
from tests.faults.warm import Forked, Warm
from tests.processes import linux, members_of, still_running_after
from tests.report_fixture import COLLAPSED, metrics, record, write_results, write_showcase

ROOT = Path(__file__).parent.parent
GRID = """\
# Question: does a command line run what it is given?
schema: 1
name: tiny
data: {name: digits}
recipe: {epochs: 1, batch_size: 64, lr: 0.1, momentum: 0.9}
seeds: 2
models:
  - {name: mlp, hidden: [16, 32]}
"""
WITH_A_FAILURE = f"{GRID}  - {{name: mlp, hidden: 8, recipe: {{lr: 1.0e+38}}}}\n"
NIN_ROWS = [
    [1, 96, 54, 54], [1, 96, 26, 26], [1, 256, 26, 26], [1, 256, 12, 12], [1, 384, 12, 12], [1, 384, 5, 5],
    [1, 384, 5, 5], [1, 10, 5, 5], [1, 10, 1, 1], [1, 10],
]  # fmt: skip


@dataclass
class Done:
    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)


Call = Callable[..., Done]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs a command in this process, in an empty folder with a grid.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(GRID)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str) -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main(arguments)
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


OUTPUT, ERRORS = Path("out"), Path("err")
"""What processes that were `started` print."""


@pytest.fixture
def started(call: Call, server: Warm) -> Callable[..., Forked]:
    """Starts a command in a process that leads a group of its own, in the folder of `call`."""

    def start(*arguments: str) -> Forked:
        place = Path.cwd()
        files = {"log": place / OUTPUT, "errors": place / ERRORS}
        return server.start("scenarios:run_command", str(place), arguments, **files)

    return start


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder in which the grid was run to its end."""
    folder = tmp_path_factory.mktemp("finished")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        Path("grid.yaml").write_text(GRID)
        with pytest.raises(SystemExit) as ended:
            cli.main(["run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu"])
    assert not ended.value.code
    return folder


@pytest.fixture
def ran(call: Call, finished: Path) -> Call:
    """Runs a command in this process, in a folder in which the grid was run to its end."""
    shutil.copytree(finished, Path(), dirs_exist_ok=True)
    return call


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_every_command_says_that_the_current_folder_is_gone(call, tmp_path, monkeypatch):
    (tmp_path / "gone").mkdir()
    monkeypatch.chdir(tmp_path / "gone")
    (tmp_path / "gone").rmdir()
    for name in sorted(command.callback.__name__ for command in cli.app.registered_commands):
        assert call(name, "quickstart") == Done(
            2,
            "",
            "the current folder cannot be used: No such file or directory; change into one that is there\n",
        )


def command(*arguments: str) -> list[str]:
    return [sys.executable, "-m", "nin_bench", *arguments]


def environment() -> dict[str, str]:
    return {**os.environ, "PYTHONPATH": str(ROOT)}


# Run, plan, status, report


def test_a_grid_with_a_cell_that_fails_from_end_to_end(call):
    Path("grid.yaml").write_text(WITH_A_FAILURE)
    done = call("run", "--grid", "grid.yaml", "--device", "cpu", "--workers", "2", "--no-measure")
    assert done.status == 1
    assert done.out.splitlines() == [
        "report: reports/tiny/full/report.md",
        "page for a browser: reports/tiny/full/report.html",
        "results: results/tiny/full (4 trained, 2 diverged; 0 done before)",
    ]
    lines = done.err.splitlines()
    assert lines[:2] == [
        "tiny, profile full: 3 variants, 2 seeds, 6 cells selected",
        "6 of 6 cells to run (0 done before) on 2 × cpu",
    ]
    assert sum("epoch 1/1, loss " in line for line in lines) == 4
    assert sum("diverged: the training loss became" in line for line in lines) == 2
    assert "Traceback" not in done.err
    cells = load_results("results/tiny/full").cells
    assert cells.groupby("label")["outcome"].unique().map(list).to_dict() == {
        "mlp hidden=16": ["trained"], "mlp hidden=32": ["trained"], "mlp hidden=8 lr=1e+38": ["diverged"],
    }  # fmt: skip
    assert "diverged" in Path("reports/tiny/full/report.md").read_text()


def test_a_second_run_says_what_was_done_before_and_writes_the_report_again(ran):
    page = Path("reports/tiny/full/report.md")
    first = page.read_text()
    page.unlink()
    again = ran("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu")
    assert again.status == 0
    assert again.out.splitlines()[-1] == "results: results/tiny/full (4 trained; 4 done before)"
    assert again.err.splitlines()[1].startswith("0 of 4 cells to run (4 done before) on ")
    assert page.read_text() == first


def test_a_second_run_answers_for_failures_on_record(call):
    Path("grid.yaml").write_text(WITH_A_FAILURE)
    narrowed = ("--device", "cpu", "--seeds", "0", "--only", "*hidden=8*")
    assert call("run", "--no-measure", "--grid", "grid.yaml", *narrowed).status == 1
    again = call("run", "--no-measure", "--grid", "grid.yaml", *narrowed)
    assert again.status == 1
    assert again.out.splitlines()[-1] == "results: results/tiny/full (1 diverged; 1 done before)"


def test_every_verdict_stands_in_a_line(capsys):
    analysis = analyse(load_results(ROOT / "results" / "reference" / "onexone" / "cpu"))
    print_verdicts(analysis)
    heading, *lines = capsys.readouterr().out.splitlines()
    assert heading == "verdicts:"
    for line, verdict in zip(lines, analysis.hypotheses, strict=True):
        assert line.startswith(f"  {verdict.verdict} ")
        assert verdict.claim in line
        assert ("(counted)" in line) == verdict.is_counted
    (two_beat_one,) = (line for line in lines if "than one" in line)
    assert [part.strip() for part in two_beat_one.split("  ") if part][:3] == [
        "refuted", "−0.7 points", "(−2.2 to +0.8 points)",
    ]  # fmt: skip


def test_a_run_ends_with_its_verdicts(call):
    Path("grid.yaml").write_text(
        GRID + "hypotheses:\n  - {id: smaller, claim: Sixteen units take fewer parameters., metric: num_params, "
        "compare: [{name: mlp, hidden: 16}, {name: mlp, hidden: 32}], expect: less, margin: 0}\n"
        + "  - {id: better, claim: More units are better., metric: test_accuracy, "
        "compare: [{name: mlp, hidden: 32}, {name: mlp, hidden: 16}], expect: greater, margin: 0}\n"
    )
    done = call("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu")
    assert [line.split()[0] for line in done.out.splitlines()] == [
        "verdicts:", "supported", "undecided", "report:", "page", "results:",
    ]  # fmt: skip


def test_results_elsewhere_have_their_report_inside(call):
    done = call(
        "run", "--no-measure", "--grid", "grid.yaml", "--results", "elsewhere", "--only", "*16", "--workers", "1"
    )
    assert done.status == 0
    assert done.out.splitlines()[0] == "report: elsewhere/tiny/full/report/report.md"
    assert not Path("results").exists()
    assert not Path("reports").exists()


def test_plan_and_status_before_and_after_a_run(call):
    before = call("plan", "--grid", "grid.yaml", "--json")
    assert before.status == 0
    assert files_in(Path()) == {"grid.yaml"}
    document = before.json()
    assert (document["grid"], document["profile"]) == ("tiny", "full")
    assert [(cell["label"], cell["seed"], cell["state"]) for cell in document["cells"]] == [
        ("mlp hidden=16", 0, "missing"), ("mlp hidden=32", 0, "missing"),
        ("mlp hidden=16", 1, "missing"), ("mlp hidden=32", 1, "missing"),
    ]  # fmt: skip
    assert {"cell_id", "variant_id"} <= set(document["cells"][0])

    call("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu", "--seeds", "1")
    after = call("plan", "--grid", "grid.yaml", "--json").json()
    assert [cell["state"] for cell in after["cells"]] == ["missing", "missing", "done", "done"]
    status = call("status", "results/tiny/full", "--json").json()
    assert status["outcomes"] == {"missing": 2, "trained": 2}
    assert call("status", "results/tiny/full").out.splitlines()[0] == "tiny, profile full: 4 cells"


def test_a_plan_estimates_what_this_machine_has_measured(call):
    cells = call("plan", "--grid", "grid.yaml", "--json").json()["cells"]
    assert {(cell["estimated_seconds"], cell["estimated_memory_bytes"]) for cell in cells} == {(None, None)}
    folder = Path("results/tiny/full")
    folder.mkdir(parents=True)
    write_costs(folder, cells[0]["variant_id"], cost_entry(machine=describe_machine("cpu")))
    options = ("--grid", "grid.yaml", "--device", "cpu", "--workers", "2")
    # 2 s, one epoch of 1,238 images at 800 a second, and 200 and 1,238 + 359 predicted at 3,200
    seconds = 2 + 1238 / 800 + (200 + 1238 + 359) / 3200
    known, unknown, *_ = call("plan", *options, "--json").json()["cells"]
    assert (known["estimated_seconds"], known["estimated_memory_bytes"]) == (pytest.approx(seconds), 500_000_000)
    assert (unknown["estimated_seconds"], unknown["estimated_memory_bytes"]) == (None, None)
    plan = call("plan", *options)
    assert plan.out.splitlines() == [
        "mlp hidden=16  seeds 0, 1  missing  4 s, 0.5 GiB each",
        "mlp hidden=32  seeds 0, 1  missing",
        "4 cells: 4 to run, 0 done",
        "estimate: 4 s for 2 of 4 cells with 2 workers, together holding up to 0.9 GiB",
    ]
    assert plan.err.splitlines()[1:] == [
        "2 cells without figures of this machine yet: run takes them first, and so does, with the same options, "
        "python -m nin_bench measure --grid grid.yaml"
    ]
    # two cells one after the other, and on two nodes at once, each alone: 2 + 1238 / 1000 + 1797 / 4000 s
    alone = (*options[:-1], "1")
    one, two = (call("plan", *alone, *nodes).out.splitlines()[-1] for nodes in ((), ("--nodes", "2")))
    assert one == "estimate: 7 s for 2 of 4 cells with 1 worker, together holding up to 0.5 GiB"
    assert two == (
        "estimate: 4 s for 2 of 4 cells with 2 workers on 2 nodes, those of a node together holding up to 0.5 "
        "GiB; the longest cell takes 4 s"
    )
    # with three workers nobody was busy: memory is known, time is not
    more = call("plan", *options[:-1], "3").out.splitlines()
    assert (more[0], more[-1]) == ("mlp hidden=16  seeds 0, 1  missing  0.5 GiB each", "4 cells: 4 to run, 0 done")


def test_status_tells_every_cell_and_who_is_at_work(call, tmp_path, monkeypatch):
    monkeypatch.setattr(runner, "rounds_for", lambda grid: 1)
    done = call("run", "--grid", "grid.yaml", "--device", "cpu", "--workers", "1", "--seeds", "1")
    assert done.err.splitlines()[2] == "measuring 2 variants, one process at a time: 6 samples"
    lines = call("status", "results/tiny/full", "--cells").out.splitlines()
    assert lines[3:] == [
        "      2 of these left to train",
        "mlp hidden=16  seed 0  missing", "mlp hidden=16  seed 1  trained",
        "mlp hidden=32  seed 0  missing", "mlp hidden=32  seed 1  trained",
    ]  # fmt: skip
    document = call("status", "results/tiny/full", "--json").json()
    assert document["in_use_by"] is None
    assert [(cell["label"], cell["seed"], cell["outcome"]) for cell in document["cells"]] == [
        ("mlp hidden=16", 0, "missing"), ("mlp hidden=16", 1, "trained"),
        ("mlp hidden=32", 0, "missing"), ("mlp hidden=32", 1, "trained"),
    ]  # fmt: skip
    with sole_writer(tmp_path / "results" / "tiny" / "full"):
        assert f"  in use by process {os.getpid()}" in call("status", "results/tiny/full").out.splitlines()
        document = call("status", "results/tiny/full", "--json").json()
        assert document["in_use_by"] == f"process {os.getpid()}"


def test_status_tells_which_cells_go_on_from_a_checkpoint_as_plan_does(call, tmp_path):
    """As after a kill -9: neither of the two cells under way has a record."""
    Path("grid.yaml").write_text(GRID.replace("epochs: 1", "epochs: 3"))
    call("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu", "--seeds", "1")
    folder = ResultsFolder(tmp_path / "results" / "tiny" / "full")
    grid = Grid.load(Path("grid.yaml"), RegistryCatalog(tmp_path))
    first, _, second, done = grid.cells
    assert (first.seed, second.seed, done.seed) == (0, 0, 1)
    history = [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": 0.4}]
    for cell, rows in ((first, history), (second, history[:1]), (done, history)):
        record = make_record(cell, "interrupted", started_at="", metrics={"num_steps": 9}, history=rows)
        Checkpoints(folder.checkpoints_path, cell).save(record, {})
    assert call("status", "results/tiny/full", "--cells").out.splitlines()[1:] == [
        "      2 missing", "      2 trained",
        "      2 of these left to train", "      2 of these to continue from their checkpoints",
        "mlp hidden=16  seed 0  missing, continue (2 of 3 epochs saved)", "mlp hidden=16  seed 1  trained",
        "mlp hidden=32  seed 0  missing, continue (1 of 3 epochs saved)", "mlp hidden=32  seed 1  trained",
    ]  # fmt: skip
    document = call("status", "results/tiny/full", "--json").json()
    assert document["num_to_continue"] == 2
    planned = call("plan", "--grid", "grid.yaml", "--json").json()["cells"]
    saved = {cell["cell_id"]: cell["num_epochs_saved"] for cell in planned}
    assert {cell["cell_id"]: cell["num_epochs_saved"] for cell in document["cells"]} == saved
    assert sorted(saved.values(), key=str) == [1, 2, None, None]


def test_a_report_is_not_replaced_by_one_of_no_cells_where_cells_is_no_folder(ran, tmp_path):
    page = tmp_path / "reports" / "tiny" / "full" / "report.md"
    before = page.read_text()
    cells = tmp_path / "results" / "tiny" / "full" / "cells"
    cells.rename(tmp_path / "elsewhere")
    of_folder, of_grid = ["results/tiny/full"], ["--grid", "grid.yaml"]
    commands = {"report": of_folder, "status": of_folder, "run": of_grid, "plan": of_grid}
    for found in ("is missing, and its cells' predictions are there", "is no folder"):
        for command, arguments in commands.items():
            done = ran(command, *arguments)
            assert (done.status, done.out) == (2, "")
            assert done.err.splitlines()[-1].startswith(f"results/tiny/full/cells: {found}; ")
        cells.touch()
    assert page.read_text() == before


HYPOTHESIS = (
    "  - {id: small-does, says: s, primary: true, metric: test_accuracy, expect: equivalent, margin: 0.02, "
    "compare: [{hidden: 16}, {hidden: 32}]}\n"
)


def test_a_plan_tells_what_its_seeds_can_decide(call):
    Path("grid.yaml").write_text(f"{GRID}hypotheses:\n{HYPOTHESIS}")
    plan = call("plan", "--grid", "grid.yaml")
    assert plan.out.splitlines()[-4:] == [
        "What the planned seeds can decide (detectable: with a chance of 80%):",
        "small-does  2 seeds at level 0.05 can decide nothing; it takes 6",
        "Assumed, since no record and no grid tells: accuracies vary by one point (sd) over seeds, without "
        "correlation. Give --pilot RESULTS_DIR, or the grid an `assume` section.",
        "2 seeds can decide 0 of 1.",
    ]
    Path("grid.yaml").write_text(f"{GRID}hypotheses:\n{HYPOTHESIS}".replace("seeds: 2", "seeds: 8"))
    told = call("plan", "--grid", "grid.yaml").out
    assert "small-does  8 seeds at level 0.05: detectable 1.7 points beyond the margin (sd 1.4 points" in told
    assert "if the truth is 0 points (no difference): decided with a chance of 78%" in told
    Path("grid.yaml").write_text(f"{GRID}hypotheses:\n{HYPOTHESIS}")
    (found,) = call("plan", "--grid", "grid.yaml", "--json").json()["hypotheses"]
    assert (found["id"], found["num_seeds"], found["least_pairs"], found["detectable"]) == (
        "small-does",
        2,
        6,
        None,
    )
    assert found["scenarios"][0]["decided"] == 0


def test_a_plan_takes_the_spread_from_a_pilot(call, tmp_path):
    made = [
        record(metrics=metrics(accuracy) if accuracy else metrics(0.1, **COLLAPSED)) for accuracy in
        (0.90, 0.92, 0.94, None, 0.91, 0.91, 0.91, 0.91)
    ]  # fmt: skip
    hypothesis = {
        "id": "small-does", "claim": "s", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
        "expect": "equivalent", "margin": 0.02,
    }  # fmt: skip
    write_results(tmp_path / "pilot", {"a": made[:4], "b": made[4:]}, hypotheses=[hypothesis], name="tiny")
    Path("grid.yaml").write_text(f"{GRID}hypotheses:\n{HYPOTHESIS}".replace("seeds: 2", "seeds: 8"))
    told = call("plan", "--grid", "grid.yaml", "--pilot", "pilot").out
    assert "(sd 2 points, of 3 pairs of tiny/cpu)" in told
    assert "if the truth is +1 points (as in the pilot): decided" in told
    assert "in the pilot 1 and 0 of 4 networks failed or lost a class" in told
    refused = call("plan", "--grid", "grid.yaml", "--pilot", "nowhere")
    assert (refused.status, refused.err.splitlines()[-1][:30]) == (2, "nowhere: not a results folder ")


def test_a_plan_tells_what_a_width_was_matched_to(call):
    matched = "  - {name: lenet, activation: sigmoid, match: {num_params: {name: lenet, activation: relu}}}\n"
    Path("grid.yaml").write_text(f"{GRID}  - {{name: lenet, activation: relu}}\n{matched}")
    options = ("--grid", "grid.yaml", "--set", "data.resolution=28")
    told = call("plan", *options).out.splitlines()
    assert told[0] == (
        "lenet activation=sigmoid width=1.0: its width gives it 61,706 num_params, and lenet activation=relu has "
        "61,706 (+0.00%)"
    )
    (match,) = call("plan", *options, "--json").json()["matches"]
    assert (match["label"], match["to"], match["residue"]) == (
        "lenet activation=sigmoid width=1.0", "lenet activation=relu", 0,
    )  # fmt: skip


def test_a_dry_run_shows_the_plan_and_writes_nothing(call):
    done = call("run", "--grid", "grid.yaml", "--dry-run")
    assert done.status == 0
    assert done.out.splitlines()[0] == "mlp hidden=16  seeds 0, 1  missing"
    assert done.out.splitlines()[-1] == "4 cells: 4 to run, 0 done"
    assert files_in(Path()) == {"grid.yaml"}


@pytest.mark.parametrize(
    ("options", "words"),
    [
        (["--devices-per-cell", "2", "--batch-seeds", "2"], "--batch-seeds does not go with --devices-per-cell"),
        (["--devices-per-cell", "2", "--executor", "ray"], "leave out --executor ray"),
        (["--devices-per-cell", "2", "--set", "recipe.micro_batch=8"], "micro_batch does not go with several"),
        (["--devices-per-cell", "2", "--set", "recipe.compile=true"], "compile does not go with several devices"),
        (["--devices-per-cell", "2", "--grid", "norm.yaml"], ": batch normalisation over a share"),
        (["--devices-per-cell", "2", "--workers", "1"], "there is only 1 worker here; raise --workers"),
        (["--device", "cpu:1"], "a CPU has no number"),
        (["--executor", "ray"], "Ray is not installed"),
        (["--executor", "ray", "--ray-address", "local"], "'local': is no address; write auto"),
        (["--executor", "slurm"], "unknown executor 'slurm'"),
        (["--listener", "tensorbord"], "did you mean 'tensorboard'?"),
        (["--reuse-from", "nowhere"], "holds no results folder"),
    ],
)
def test_a_dry_run_refuses_what_the_run_would(call, monkeypatch, options, words):
    norm = GRID.replace("mlp, hidden: [16, 32]", "lenet, batch_norm: true")
    Path("norm.yaml").write_text(norm.replace("digits", "digits, resolution: 12"))
    monkeypatch.delitem(sys.modules, "nin_bench.executors.ray", raising=False)
    monkeypatch.setitem(sys.modules, "ray", None)
    given = ["run", "--grid", "grid.yaml", "--device", "cpu", *options]
    dry, real = call(*given, "--dry-run"), call(*given)
    assert dry == real == Done(2, "", dry.err)
    (line,) = dry.err.splitlines()
    assert words in line
    assert files_in(Path()) == {"grid.yaml", "norm.yaml"}


def test_a_dry_run_for_a_cluster_needs_none_of_its_devices(call, monkeypatch):
    monkeypatch.setitem(sys.modules, "nin_bench.executors.ray", ModuleType("stands for Ray"))
    done = call("run", "--grid", "grid.yaml", "--executor", "ray", "--device", "xla:7", "--dry-run")
    assert (done.status, done.out.splitlines()[-1]) == (0, "4 cells: 4 to run, 0 done")


def test_overrides_narrow_and_change_a_run(call):
    done = call(
        "plan", "--grid", "grid.yaml", "--set", "recipe.epochs=3", "--seeds", "1", "--only", "*32", "--json"
    )
    (cell,) = done.json()["cells"]
    assert (cell["label"], cell["seed"]) == ("mlp hidden=32", 1)
    plain = call("plan", "--grid", "grid.yaml", "--seeds", "1", "--only", "*32", "--json").json()["cells"]
    assert plain[0]["cell_id"] != cell["cell_id"]
    both = call("plan", "--grid", "grid.yaml", "--seeds", "1", "--only", "*32", "--only", "*16", "--json").json()
    assert [one["label"] for one in both["cells"]] == ["mlp hidden=16", "mlp hidden=32"]


def test_a_report_can_be_written_anew_and_elsewhere(ran):
    done = ran("report", "results/tiny/full", "--out", "page")
    assert (done.status, done.out) == (0, "report: page/report.md\n")
    assert Path("page/report.md").read_text() == Path("reports/tiny/full/report.md").read_text()
    compared = ran("report", "results/tiny/full", "results/tiny/full", "--out", "both")
    assert (compared.status, compared.out) == (0, "comparison: both/compare.md\n")
    assert "**the same**" in Path("both/compare.md").read_text()


# Models and schema


def test_a_models_layers_are_those_the_notebooks_print(call):
    document = call("models", "nin", "--resolution", "224", "--channels", "1", "--json").json()
    assert (document["name"], document["num_params"]) == ("nin", 1_992_166)
    assert document["num_macs"] == 762_297_352
    rows = document["layers"]
    assert set(rows[0]) == {"name", "type", "output_shape", "num_params", "num_macs"}
    assert sum(row["num_params"] for row in rows) == 1_992_166
    shapes = [row["output_shape"] for row in rows if row["type"] != "Dropout"]
    assert [shape for shape, before in zip(shapes, [None, *shapes], strict=False) if shape != before] == [
        shape for shape, before in zip(NIN_ROWS, [None, *NIN_ROWS], strict=False) if shape != before
    ]


def test_a_models_layers_as_a_table(call):
    done = call("models", "nin", "--set", "pointwise=0", "--set", "head=fc")
    assert done.status == 0
    layers, memory = done.out.split("\n\n")
    head, *_, total, spatial, pointwise, dense, note = layers.splitlines()
    assert head.split() == ["layer", "type", "output", "shape", "parameters", "MACs"]
    kinds = (total, spatial, pointwise, dense)
    counts = [[int(word.replace(",", "")) for word in row.split()[-2:]] for row in kinds]
    assert counts[0] == [sum(column) for column in zip(*counts[1:], strict=True)]
    assert counts[2] == [0, 0]
    assert counts[3][0] == 384 * 5 * 5 * 4096 + 4096 + 4096 * 4096 + 4096 + 4096 * 10 + 10
    assert note.startswith("MACs: ")
    assert memory.startswith("memory in MB, trained by plain SGD ")
    deep = call("models", "nin", "--deep")
    assert len(deep.out.splitlines()) > len(call("models", "nin").out.splitlines())


def test_the_memory_that_a_model_takes(call):
    _, table = call("models", "lenet", "--resolution", "28", "--memory", "0.5").out.split("\n\n")
    head, *rows, note = table.splitlines()
    assert head.split() == ["memory", "in", "MB,", "trained", "by", "plain", "SGD", "fp32", "bf16"]
    cells = {" ".join(row.split()[:-2]): row.split()[-2:] for row in rows}
    assert cells["weights"] == ["0.247", "0.247"]
    assert cells["low-precision copies of weights"] == ["0.000", "0.123"]
    assert cells["activations kept for backward, per image"][0] == "0.032"
    assert note.startswith("Memory: ")

    documents = call("models", "lenet", "--resolution", "28", "--memory", "0.5", "--json").json()["memory"]
    assert [document["precision"] for document in documents] == ["fp32", "bf16"]
    fp32, _ = documents
    assert fp32["memory_bytes"]["activations_per_image"] == 32_384
    assert fp32["budget_bytes"] == 500_000_000
    assert cells["largest batch that trains in 0.5 GB"][0] == f"{fp32['largest_batch']:,}"
    assert [peaks["batch_size"] for peaks in fp32["peak_bytes"]] == [1, 32, 128]
    peak = fp32["peak_bytes"][2]
    assert cells["peak in training, batch of 128"][0] == f"{peak['train'] / 1e6:,.3f}"
    assert cells["peak in prediction, batch of 128"][0] == f"{peak['predict'] / 1e6:,.3f}"


def test_models_are_listed_with_their_arguments(call):
    listed = call("models", "--json").json()
    names = [model["name"] for model in listed]
    assert names == sorted(names)
    assert {"nin", "nin_cifar", "nin_mnist", "mlp", "lenet", "alexnet", "vgg11"} <= set(names)
    nin = next(model for model in listed if model["name"] == "nin")
    assert nin["arguments"]["pointwise"]["default"] == 2
    assert nin["arguments"]["head"]["default"] == "gap"
    assert all(argument["description"] for model in listed for argument in model["arguments"].values())
    assert "    pointwise=2 " in call("models").out


def test_the_schema_of_grid_files(call):
    schema = call("schema").json()
    assert "models" in schema["properties"]
    assert "recipe" in schema["properties"]


def test_a_shipped_grid_is_found_by_its_name_and_a_path_wins(call):
    shipped = call("plan", "--grid", "onexone", "--profile", "cpu", "--json").json()
    assert (shipped["grid"], len(shipped["cells"])) == ("onexone", 168)
    Path("onexone").write_text(GRID)
    assert call("plan", "--grid", "onexone", "--json").json()["grid"] == "tiny"


def test_a_new_grid_runs_as_it_is(call):
    assert call("init", "mine").status == 0
    text = Path("mine.yaml").read_text()
    jsonschema.validate(parse_yaml(text, "mine.yaml").plain(), grid_schema())
    assert "# Run:      python -m nin_bench run --grid mine.yaml" in text
    done = call("run", "--grid", "mine.yaml", "--seeds", "0", "--no-measure", "--device", "cpu")
    assert done.status == 0, done.err
    assert call("status", "results/mine/full", "--json").json()["outcomes"] == {"missing": 14, "trained": 2}


def test_the_further_examples_in_a_new_grid_load(call, catalog):
    call("init", "mine")
    path = Path("mine.yaml")
    path.write_text(path.read_text().replace("#:", ""))
    assert len(Grid.load(path, catalog).variants) == 5
    assert len(Grid.load(path, catalog, profile="quick").cells) == 5 * 2


def test_a_new_grid_replaces_none(call):
    Path("folder").mkdir()
    assert call("init", "folder/mine").status == 0
    before = Path("folder/mine.yaml").read_text()
    assert "name: mine\n" in before
    assert call("init", "folder/mine.yaml").err.startswith("folder/mine.yaml: ")
    assert Path("folder/mine.yaml").read_text() == before
    assert call("init", "absent/mine").status == 2


@pytest.mark.parametrize(
    ("words", "completed"), [("sta", ["status"]), ("run --grid qu", ["quickstart"]), ("run --grid my", [])]
)
def test_the_shell_completes_commands_and_grids(words, completed):
    shell = {
        "_NIN_BENCH_COMPLETE": "complete_bash",
        "COMP_WORDS": f"nin-bench {words}",
        "COMP_CWORD": str(len(words.split())),
    }
    program = "import sys; sys.argv = ['nin-bench']; from nin_bench.cli import main; main()"
    done = subprocess.run(
        [sys.executable, "-c", program],
        env={**environment(), **shell},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stdout.split() == completed


def test_help_names_the_data_folder(call):
    told = " ".join(call("run", "--help").out.split())
    assert re.search(r"default NIN_BENCH_DATA, else \S+nin_bench", told)


def test_the_version(call):
    assert call("--version").out.startswith("nin_bench 0.")


# Wrong input


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("name: mlp", "name: mpl"), "grid.yaml:8:12: models[0].name: unknown model 'mpl'; did you mean 'mlp'?"),
        (("hidden:", "hiden:"), "'hiden'"),
        (("[16, 32]", "none"), "'none'"),
        (("name: digits", "name: digit"), "unknown dataset 'digit'; did you mean 'digits'?"),
        (("lr: 0.1", "optimizer: sgb"), "unknown optimizer 'sgb'; did you mean 'sgd'?"),
        (("lr: 0.1", "lr: -1"), "grid.yaml:5:41: recipe.lr: -1 "),
        (("name: tiny", "name: [tiny]"), "grid.yaml:3:7: name: "),
        (("name: tiny", "name: tiny\nname: tidy"), "grid.yaml:4:1: "),
        (("  - {name: mlp, hidden: [16, 32]}\n", "  []\n"), "models: none given"),
        (("name: mlp, hidden: [16, 32]", "name: lenet"), "8 is too small for these layers; use 12 or more"),
        (("seeds: 2", "seeds: 6000"), "12,000 cells"),
        (("seeds: 2", "seeds: ["), "grid.yaml:"),
        (("name: digits", "name: image_folder, resolution: 8, folder: ../up"), "data.folder: '../up' leaves the"),
        (("name: digits", f"name: image_folder, resolution: 8, folder: {'x' * 300}"), "up to 255 visible"),
        (("name: digits", 'name: image_folder, resolution: 8, folder: "a\\0b"'), "up to 255 visible characters"),
    ],
    ids=lambda value: value[1].strip().replace("\n", " ") if isinstance(value, tuple) else "",
)
def test_a_wrong_grid_is_refused_in_one_line_and_nothing_is_made(call, change, expected):
    Path("grid.yaml").write_text(GRID.replace(*change))
    done = call("run", "--grid", "grid.yaml")
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith("grid.yaml:")
    assert expected in done.err
    assert files_in(Path()) == {"grid.yaml"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("", "Missing command; see "),
        ("run", "Missing option '--grid'; see "),
        ("run --grid grid.yaml --wrokers 1", "No such option"),
        (
            "run grid.yaml --epochs 2",
            "No such option: --epochs; it is a field of the grid, so use --set recipe.epochs=…; see ",
        ),
        ("plan grid.yaml --train-size 200", "so use --set data.train_size=…; see "),
        ("run --grid grid.yaml --workers 0", "Invalid value for '--workers'"),
        ("run --grid quikstart", "--grid: no file, and unknown grid 'quikstart'; did you mean 'quickstart'? "),
        ("init Mine", "'Mine' names no grid"),
        ("run --grid absent.yaml", "absent.yaml: cannot be read: No such file or directory"),
        ("run --grid grid.yaml --profile gpu", "--profile: unknown profile 'gpu'"),
        ("run --grid grid.yaml --seeds 0;1", "--seeds: '0;1' is no list of seeds; write --seeds 0,1"),
        ("run --grid grid.yaml --seeds 2", "--seeds: 2 is "),
        ("run --grid grid.yaml --only vgg*", "--only: 'vgg*' matches no variant; there are: mlp hidden=16; "),
        ("run --grid grid.yaml --set epochs=2", "--set epochs=2: write --set "),
        ("run --grid grid.yaml --set recipe.epoch=2", "unknown field 'epoch'; did you mean 'epochs'?"),
        ("run --grid grid.yaml --device abacus", "--device abacus: there is "),
        ("run --grid grid.yaml --results grid.yaml", "grid.yaml: is a file, and results need a folder there; "),
        (f"plan --grid grid.yaml --results {'x' * 300}", "x/tiny/full: File name too long; "),
        (f"run --grid grid.yaml --results {'x' * 300}", "x/tiny/full: File name too long; "),
        (f"status {'x' * 300}", "cannot be read: File name too long"),
        (f"doctor {'x' * 300}", "not a results folder"),
        ("status absent", "absent: not a results folder"),
        ("report absent", "absent: not a results folder"),
        ("models inn", "models inn: name: unknown model 'inn'; did you mean 'nin'?"),
        ("models nin --resolution 20", "models nin: resolution: 20 is too small for these layers; use 67 or more"),
        ("models nin --memory -1", "Invalid value for '--memory'"),
        ("models nin --memory inf", "Invalid value for '--memory'"),
        ("models nin --resolution 10000", "models nin: resolution: 10000 is not a number of pixels"),
        ("models nin --set pointwise", "--set pointwise: write --set ARGUMENT=VALUE"),
        ("models nin --set pointwise=-1", "models nin: pointwise: -1 is not a number of 1×1 layers"),
    ],
)
def test_a_wrong_option_is_refused_in_one_line_and_nothing_is_made(call, arguments, expected):
    done = call(*arguments.split())
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1, done.err
    assert expected in done.err
    assert files_in(Path()) == {"grid.yaml"}


@pytest.mark.parametrize("option", ["--results", "--data-dir", "--grid"])
def test_an_empty_path_is_refused_and_means_no_folder(call, option):
    done = call("plan", "--grid", "grid.yaml", option, "")
    assert (done.status, done.out) == (2, "")
    assert f"Invalid value for '{option}': it is empty; name a place, or leave the option out" in done.err


def test_a_grid_may_be_given_without_its_option(call):
    assert call("plan", "grid.yaml", "--json").json() == call("plan", "--grid", "grid.yaml", "--json").json()


def test_a_name_that_would_steer_the_terminal_is_written_out(call):
    done = call("run", "--grid", "\x1b]0;owned\x07\u202egrid.yaml")
    assert done.status == 2
    assert done.err.startswith("\\x1b]0;owned\\x07\\u202egrid.yaml: cannot be read: ")


def test_a_pattern_that_excludes_nothing_is_noted(call):
    Path("grid.yaml").write_text(f"{GRID}exclude:\n- {{hidden: 64}}\n")
    done = call("plan", "--grid", "grid.yaml")
    assert done.status == 0
    assert "grid.yaml:10:3: exclude[0]: matches no cell; mend it, or leave it out" in done.err.splitlines()


def test_cells_that_are_no_longer_in_the_grid_are_listed_everywhere(ran):
    for one in load_results("results/tiny/full").records:
        if (one.label, one.cell.seed) != ("mlp hidden=16", 0):
            ResultsFolder(Path("results/tiny/full")).record_path(one.cell_id).unlink()
    changed = ("--grid", "grid.yaml", "--device", "cpu", "--set", "recipe.epochs=2")
    sentence = (
        "1 cell is no longer in the grid; kept, and left out of the analysis: mlp hidden=16 with recipe.epochs 1 "
        "(1)"
    )
    assert sentence in ran("plan", *changed).err.splitlines()
    (former,) = ran("plan", *changed, "--json").json()["no_longer_in_grid"]
    assert (former["label"], former["seed"]) == ("mlp hidden=16", 0)
    assert sentence in ran("run", "--dry-run", *changed).err.splitlines()
    done = ran("run", "--no-measure", *changed, "--only", "*16", "--seeds", "0")
    assert sentence in done.err.splitlines()
    assert Path("results/tiny/full/cells", f"{former['cell_id']}.json").exists()
    assert f"  {sentence}." in ran("status", "results/tiny/full").out.splitlines()
    assert ran("status", "results/tiny/full", "--json").json()["no_longer_in_grid"] == [former]
    assert f"- {sentence}." in Path("reports/tiny/full/report.md").read_text().splitlines()


def test_cells_are_taken_over_from_other_grids_of_the_root(ran):
    Path("other.yaml").write_text(GRID.replace("name: tiny", "name: other").replace("[16, 32]", "[32, 64]"))
    other = ("--grid", "other.yaml", "--device", "cpu")
    planned = ran("plan", *other)
    assert "mlp hidden=32  seeds 0, 1  reuse (trained, from tiny/full)" in planned.out.splitlines()
    assert "4 cells: 2 to run, 0 done, 2 to take over" in planned.out.splitlines()
    assert "2 cells are taken over from tiny/full" in planned.err.splitlines()
    cells = ran("plan", *other, "--json").json()["cells"]
    assert [(cell["state"], cell["reused_from"]) for cell in cells] == [
        ("reuse", "tiny/full"), ("missing", None), ("reuse", "tiny/full"), ("missing", None),
    ]  # fmt: skip
    assert {cell["state"] for cell in ran("plan", *other, "--no-reuse", "--json").json()["cells"]} == {"missing"}
    assert {cell["state"] for cell in ran("plan", *other, "--results", "r", "--json").json()["cells"]} == {
        "missing"
    }
    elsewhere = ran("plan", *other, "--results", "r", "--reuse-from", "results", "--json").json()["cells"]
    assert elsewhere == cells
    done = ran("run", *other, "--no-measure")
    assert done.status == 0
    assert "results: results/other/full (4 trained; 0 done before, 2 taken over)" in done.out.splitlines()
    report = Path("reports/other/full/report.md").read_text()
    sentence = "Cells that other results folders held were taken over, with their predictions: 2 from tiny/full."
    assert sentence in report


def test_a_root_without_results_is_refused(call):
    done = call("plan", "--grid", "grid.yaml", "--reuse-from", "nowhere")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "--reuse-from nowhere: holds no results folder; give the root of some, as results for "
        "results/<grid>/<profile>\n"
    )


@pytest.mark.parametrize("text", ["", "90", "m", "1.5h", "-2h", "30m1h", "0s", "1h 30m", "1d", "9999999h"])
@pytest.mark.parametrize("command", ["run", "measure", "search"])
def test_a_budget_that_is_no_duration_is_refused(call, command, text):
    done = call(command, "--grid", "grid.yaml", f"--for={text}")
    assert (done.status, done.out) == (2, "")
    assert done.err == f"--for {text!r}: is no duration; write 90m, 2h, 45s, 1h30m or slurm\n"
    assert not Path("results").exists()


@pytest.mark.parametrize(
    ("text", "seconds"), [("90m", 5400), ("2h", 7200), ("45s", 45), ("1h30m", 5400), ("1h0m5s", 3605)]
)
def test_durations(text, seconds):
    assert parse_duration(text) == seconds


def test_a_run_whose_time_is_over_says_what_is_left(call, monkeypatch):
    end_at_first_checkpoint(monkeypatch, Path("results/tiny/full"))
    endless = ("--set", "recipe.epochs=100000", "--only", "*16")
    done = call("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu", *endless, "--for", "1h")
    assert done.status == 1
    assert done.err.splitlines()[-1] == "the time is over: 2 cells left; run the same command again to go on"
    assert Path("reports/tiny/full/report.md").exists()
    left = call("status", "results/tiny/full", "--json").json()
    assert left["num_left"] == 4
    assert "      4 of these left to train" in call("status", "results/tiny/full").out.splitlines()
    monkeypatch.setattr("nin_bench.runner.budget.Timer", Timer)
    enough = call("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu", "--for", "1h")
    assert enough.status == 0
    assert call("status", "results/tiny/full", "--json").json()["num_left"] == 0


def test_a_measuring_whose_time_is_over_says_what_is_left(call):
    done = call("measure", "--grid", "grid.yaml", "--device", "cpu", "--for", "1s")
    assert done.status == 1
    assert done.err.splitlines()[-1] == (
        "the time is over: 2 variants left; whole rounds are kept, and the same command goes on"
    )


def test_many_cells_are_planned_when_the_user_says_so(call):
    Path("grid.yaml").write_text(GRID.replace("seeds: 2", "seeds: 5001"))
    assert call("plan", "--grid", "grid.yaml", "--json").status == 2
    assert len(call("plan", "--grid", "grid.yaml", "--yes", "--json").json()["cells"]) == 10_002


# Being interrupted


def test_ctrl_c_while_it_plans_ends_without_a_traceback(call, monkeypatch):
    def interrupted(*arguments: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("nin_bench.catalog.check_networks", interrupted)
    done = call("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu")
    assert (done.status, done.out, done.err) == (130, "", "")
    assert files_in(Path()) == {"grid.yaml"}


@linux
def test_a_signal_to_the_whole_group_is_an_orderly_end(started, call):
    """Ctrl-C on a terminal, `timeout` and service managers all signal every process of a group."""
    Path("grid.yaml").write_text(GRID.replace("epochs: 1", "epochs: 40").replace("[16, 32]", "[8, 16]"))
    arguments = ("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu", "--workers", "2")
    process = started(*arguments)
    process.wait_until_told("epoch 1/40", ERRORS)
    group = members_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    out, err = OUTPUT.read_text(), ERRORS.read_text()
    assert "Traceback" not in err
    assert "stopping: every worker ends its step first; once more stops at once\n" in err
    assert err.splitlines()[-1].startswith("interrupted: run the same command again to go on")
    assert out.startswith("results: results/tiny/full (")
    assert not Path("reports").exists()
    assert len(group) >= 4  # the parent, its forkserver, at least one worker, Python's resource tracker
    assert still_running_after(60.0, group) == set()
    interrupted = call("status", "results/tiny/full", "--json").json()["outcomes"]
    assert interrupted["interrupted"] >= 1

    done = call(*arguments)
    assert done.status == 0
    records = load_results("results/tiny/full").records
    assert [record.outcome for record in records] == ["trained"] * 4
    assert sum(len(record.attempts) for record in records) == 4 + interrupted["interrupted"]
    assert Path("reports/tiny/full/report.md").exists()


@linux
def test_ctrl_c_while_the_first_worker_is_prepared_ends_without_a_traceback(started):
    process = started("run", "--grid", "grid.yaml", "--device", "cpu")
    # The parent, Python's resource tracker, and the forkserver, which imports torch before it does anything.
    while len(group := members_of(process.pid)) < 3:
        assert process.wait(0.01) is None, ERRORS.read_text()
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    assert "Traceback" not in ERRORS.read_text()
    assert still_running_after(60.0, group) == set()


# Measure


def test_measure_prints_a_table_and_leaves_what_it_knows_alone(call):
    arguments = ("measure", "--grid", "grid.yaml", "--device", "cpu", "--workers", "1", "--rounds", "1")
    first = call(*arguments)
    assert first.status == 0
    title, *rows, where = first.out.splitlines()
    assert title.split("  ")[0] == "variant"
    assert [row.split()[:4] for row in rows] == [
        ["mlp", "hidden=16", "1,210", "1,184"],
        ["mlp", "hidden=32", "2,410", "2,368"],
    ]
    assert where == "costs: results/tiny/full/costs (0 measured before)"
    assert first.err.splitlines()[:2] == [
        "tiny, profile full: 2 variants, 2 seeds, 4 cells selected",
        "measuring 2 variants, one process at a time: 6 samples",
    ]
    files = files_in(Path("results"))
    assert {Path(name).parent.name for name in files} == {"full", "costs"}

    again = call(*arguments, "--json")
    assert again.status == 0
    assert not again.err or "disturbed" in again.err  # as it may be, wherever this runs
    document = again.json()
    assert (document["grid"], document["profile"]) == ("tiny", "full")
    assert [cost["label"] for cost in document["costs"]] == ["mlp hidden=16", "mlp hidden=32"]
    assert [cost["entry"]["num_macs"]["total"] for cost in document["costs"]] == [1184, 2368]
    assert files_in(Path("results")) == files
    assert call("status", "results/tiny/full", "--json").json()["outcomes"] == {"missing": 4}


def test_measure_says_what_else_went_on_meanwhile(call):
    variant_id = call("plan", "--grid", "grid.yaml", "--json").json()["cells"][0]["variant_id"]
    folder = Path("results/tiny/full")
    folder.mkdir(parents=True)
    load = [{"steal_share": 0.0, "other_cpu_share": share, "throttled": None} for share in (0.0, 0.6, 0.01, 0, 0)]
    write_costs(folder, variant_id, cost_entry(machine=describe_machine("cpu"), load=load))
    done = call("measure", "--grid", "grid.yaml", "--device", "cpu", "--only", "*16", "--rounds", "5")
    assert (done.status, done.out.splitlines()[-1]) == (0, "costs: results/tiny/full/costs (1 measured before)")
    said = "1 of 5 measurements were disturbed: other processes took up to 60 %."
    assert done.err.startswith(said)


def test_measure_says_which_batch_fits(call):
    variant_id = call("plan", "--grid", "grid.yaml", "--json").json()["cells"][0]["variant_id"]
    folder = Path("results/tiny/full")
    folder.mkdir(parents=True)
    entry = cost_entry(machine=describe_machine("cpu"))
    entry["memory_bytes"]["batches"] = [
        {"batch_size": size, "micro_batch": micro, "peak_estimate": 0, "peak": peak}
        for size, micro, peak in (
            (16, None, 50_000_000),
            (32, None, 90_000_000),
            (16, 8, 30_000_000),
            (32, 8, 31_000_000),
        )
    ]
    write_costs(folder, variant_id, entry)
    measure = (
        "measure",
        "--grid",
        "grid.yaml",
        "--device",
        "cpu",
        "--only",
        "*16",
        "--rounds",
        "5",
        "--memory",
        "1",
    )
    title, row = call(*measure).out.splitlines()[-3:-1]
    assert "batch that trains in 1 GB" in title
    assert row.split() == [
        "mlp",
        "hidden=16",
        "276",
        "2.500",
        "8",
        "any",
    ]  # a process of 300 MB, 10 MB, and 2.5 an image
    (cost,) = call(*measure, "--json").json()["costs"]
    assert cost["largest_batches"] == [
        {"micro_batch": None, "num_images": 276, "bytes_per_image": 2.5e6},
        {"micro_batch": 8, "num_images": None, "bytes_per_image": 0.0},
    ]


def test_measure_answers_for_what_could_not_be_measured(call):
    Path("grid.yaml").write_text(GRID.replace("digits}", "digits, resolution: 400}").replace("[16, 32]", "999999"))
    done = call("measure", "--grid", "grid.yaml", "--device", "cpu", "--workers", "1")
    assert done.status == 1
    _, row, reason, where = done.out.splitlines()
    assert row.split() == ["mlp", "hidden=999999", "160,010,839,999", "160,009,839,990", *["–"] * 6]
    assert reason.startswith("mlp hidden=999999: out_of_memory: RuntimeError: ")
    assert where == "costs: results/tiny/full/costs (0 measured before)"


@linux
def test_ctrl_c_ends_a_measuring_in_order(started):
    process = started("measure", "--grid", "grid.yaml", "--device", "cpu", "--rounds", "500")
    process.wait_until_told("measuring: round 2 of 500", ERRORS)
    group = members_of(process.pid)
    os.killpg(process.pid, signal.SIGINT)
    assert process.wait() == 130
    out, err = OUTPUT.read_text(), ERRORS.read_text()
    assert "Traceback" not in err
    assert err.splitlines()[-1].startswith("interrupted: whole rounds are kept; ")
    assert out.splitlines()[-1] == "costs: results/tiny/full/costs (0 measured before)"
    assert still_running_after(60.0, group) == set()
    entries = load_results("results/tiny/full").cost_entries.values()
    rounds = {entry.setting.num_rounds for entry in entries}
    assert len(entries) == 2
    assert len(rounds) == 1
    assert 1 <= rounds.pop() < 500


# What a command waits for


NO_ARRAYS = ["--help", "schema", "status results"]
NO_TORCH = [*NO_ARRAYS, "run --help", "doctor results", "report results"]


@pytest.mark.parametrize(
    ("commands", "absent"),
    [(NO_ARRAYS, {"torch", "numpy", "pandas", "scipy", "matplotlib"}), (NO_TORCH, {"torch", "torchvision"})],
    ids=["no array library", "no torch"],
)
def test_what_answers_at_once_waits_for_no_library_that_it_does_not_need(tmp_path, commands, absent):
    write_showcase(tmp_path / "results")
    program = f"""
import sys
from nin_bench.cli import main

for command in {commands}:
    try:
        main(command.split())
    except SystemExit as ended:
        assert ended.code in (0, None), (command, ended.code)
    assert not {absent} & set(sys.modules), command
"""
    variables = {**environment(), "MPLBACKEND": "unheard-of"}  # figures are files, whatever windows are asked for
    subprocess.run(
        [sys.executable, "-c", program], cwd=tmp_path, env=variables, stdout=subprocess.DEVNULL, check=True
    )


@pytest.mark.parametrize("words", ["run --help", "schema"], ids=["less than a buffer", "more than a buffer"])
def test_a_pipe_that_is_closed_early_is_no_error(tmp_path, words):
    with subprocess.Popen(
        command(*words.split()), cwd=tmp_path, env=environment(), stdout=subprocess.PIPE, stderr=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


@linux
def test_an_output_that_takes_nothing_is_told_in_one_line(tmp_path):
    with Path("/dev/full").open("w") as full:
        done = subprocess.run(
            command("schema"), cwd=tmp_path, env=environment(), stdout=full, stderr=subprocess.PIPE, text=True
        )
    assert done.returncode == 2
    assert done.stderr == (
        "the output: No space left on device; mend it or choose another place, then run the command again\n"
    )


def test_a_terminal_that_knows_few_characters_gets_the_others_written_out(tmp_path):
    write_results(tmp_path / "results", {"1×1": [None]})
    done = subprocess.run(
        command("status", "results", "--cells"),
        cwd=tmp_path,
        env={**environment(), "PYTHONIOENCODING": "ascii"},
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert "1\\xd71  seed 0  missing" in done.stdout


def test_a_folder_is_watched_until_its_run_ends(started, call):
    run = started("run", "--no-measure", "--grid", "grid.yaml", "--device", "cpu", "--workers", "1")
    run.wait_until_told("started on cpu", ERRORS)
    told = call("status", "results/tiny/full", "--watch")
    assert (told.status, run.wait()) == (0, 0)
    times = re.split(r"(?m)^(?=tiny, profile full)", told.out)[1:]
    assert len(times) >= 2
    assert f"in use by process {run.pid}" in times[0]
    assert "in use by" not in times[-1]
    assert "      4 trained" in times[-1]


def test_what_is_watched_is_no_single_document(call):
    done = call("status", "results/tiny/full", "--watch", "--json")
    assert (done.status, done.err.count("\n")) == (2, 1)
    assert "leave out --watch" in done.err


@pytest.mark.parametrize(
    ("accuracy", "asked", "status", "told"),
    [
        (0.80, "accuracy", 3, "worse in accuracy: a"),
        (0.90, "accuracy", 0, "comparison: comparison/compare.md"),
        (0.90, "accuracy,speed", 1, "--fail-on speed: nothing could be judged"),
        (None, "accuracy", 1, "--fail-on accuracy: nothing could be judged"),
        (0.80, "speed, accuracy", 3, "worse in accuracy: a"),
        (0.80, "accurate", 2, "unknown comparison 'accurate'"),
    ],
    ids=["worse", "the same", "costs missing", "other variants", "worse, costs missing", "unknown"],
)
def test_a_gate_ends_a_pipeline(call, tmp_path, accuracy, asked, status, told):
    """Of twenty seeds each; None stands for a folder of another variant."""

    def results(name: str, accuracy: float) -> Path:
        spread = [0.001 * (accuracy < 0.9) * seed for seed in range(20)]
        return write_results(tmp_path / name, {"a": [record(metrics=metrics(accuracy - one)) for one in spread]})

    a, b = results("before", 0.9), results("after", accuracy or 0.9)
    if accuracy is None:
        grid = json.loads((b / "grid.json").read_text())
        for part in (*grid["variants"], *grid["cells"]):
            part.update(variant_id="another", label="another")
        (b / "grid.json").write_text(json.dumps(grid))
    done = call("report", str(a), str(b), "--out", "comparison", "--fail-on", asked)
    assert done.status == status
    assert told in done.out + done.err
    if status != 2:
        assert ("**worse**" in Path("comparison/gate.md").read_text()) == (status == 3)


@pytest.mark.parametrize("words", [("absent",), ("--fail-on", "speed"), ("grid.yaml", "--fail-on", "speed")])
def test_a_gate_without_two_results_folders_is_refused(call, tmp_path, words):
    a = str(write_results(tmp_path / "before", {"a": [None]}))
    done = call("report", a, *words)
    assert (done.status, done.out, len(done.err.splitlines())) == (2, "", 1)


def test_a_port_that_cannot_be_had_is_refused_before_anything_is_written(call):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = str(taken.getsockname()[1])
        done = call("run", "--grid", "grid.yaml", "--device", "cpu", "--serve", port)
    assert done.status == 2
    assert done.err.startswith(f"--serve {port}: cannot be had")
    assert call("run", "--grid", "grid.yaml", "--listener", "tensorbord").err.startswith("--listener: unknown")
    assert files_in(Path()) == {"grid.yaml"}
