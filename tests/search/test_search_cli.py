import json
import os
import re
import signal
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import optuna
import pytest
from torch import nn

from nin_bench import cli
from nin_bench.grid import Grid
from nin_bench.models import list_models, register_model
from nin_bench.plugins import registered
from nin_bench.runner import run as runner
from tests.processes import linux, members_of, still_running_after
from tests.search.search_grid_text import GRID, ONE

FOLDER = Path("results/tiny/full")


@dataclass
class Done:
    status: int
    out: str
    err: str


Call = Callable[..., Done]


@pytest.fixture
def call(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Iterator[Call]:
    """Runs a search in this process, in an empty folder with a grid.yaml."""
    monkeypatch.chdir(tmp_path)
    Path("grid.yaml").write_text(GRID)
    handlers = {number: signal.getsignal(number) for number in (signal.SIGINT, signal.SIGTERM)}

    def run(*arguments: str, command: str = "search") -> Done:
        capsys.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main([command, "--grid", "grid.yaml", *arguments])
        captured = capsys.readouterr()
        return Done(int(ended.value.code or 0), captured.out, captured.err)

    yield run
    for number, handler in handlers.items():
        signal.signal(number, handler)


def files_in(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_a_search_whose_time_is_over_reports_what_it_has_and_goes_on_later(call):
    done = call("--device", "cpu", "--for", "1s", "--then-run")
    assert done.status == 1
    assert done.err.splitlines()[-1] == (
        "the time is over, and some study lacks trials: run the same command again for the rest"
    )
    assert re.match(r"mlp hidden=16  [0-2]/3 trials", done.out)
    assert Path("reports/tiny/full/search.md").is_file()
    assert not Path("results/tiny_tuned").exists()
    assert call("--device", "cpu", "--for", "1h").status == 0


def test_a_network_that_cannot_run_is_named_before_it_is_searched(call, monkeypatch):
    list_models()  # which registers the built-in ones
    monkeypatch.setitem(registered, "model", dict(registered["model"]))  # what is added here is forgotten

    @register_model
    def misfit(image) -> nn.Module:
        return nn.Sequential(nn.Flatten(), nn.Linear(7, image.num_classes))

    Path("grid.yaml").write_text(GRID.replace("  - {name: mlp", "  - {name: misfit}\n  - {name: mlp"))
    done = call("--device", "cpu", "--dry-run")
    assert done.status == 0
    (warning,) = done.err.splitlines()
    assert warning == (
        "warning: misfit cannot be trained, so that its cells will fail, and no others: "
        "1 (Linear): RuntimeError: mat1 and mat2 shapes cannot be multiplied (1x64 and 7x10)"
    )
    done = call("--device", "cpu", "--for", "1s")
    assert done.err.splitlines()[0] == warning
    assert (done.status, "misfit cannot be trained" in done.out) == (1, False)


def test_a_search_tells_what_it_found_and_its_tuned_grid_is_run(call, catalog, monkeypatch):
    monkeypatch.setattr(runner, "rounds_for", lambda grid: 1)
    done = call("--device", "cpu", "--dry-run")
    assert (done.status, done.out.splitlines()) == (
        0,
        [
            "mlp hidden=16  0 of 3 trials done",
            "mlp hidden=32  0 of 3 trials done",
            "2 variants: 12 epochs to train at most",
        ],
    )
    assert files_in(Path()) == {"grid.yaml"}

    done = call("--device", "cpu", "--then-run")
    assert done.status == 0
    lines = done.out.splitlines()
    studies = [json.loads(path.read_text()) for path in (FOLDER / "studies").glob("*.json")]
    best, chosen = ({study["label"]: study[key] for study in studies} for key in ("best", "chosen"))
    for line, (label, found) in zip(lines, sorted(best.items()), strict=False):
        assert (
            line
            == f"{label}  3/3 trials  validation accuracy {found['value']:.1%} with lr={found['params']['lr']:g}"
        )
    assert "search report: reports/tiny/full/search.md" in lines
    assert f"tuned grid: {FOLDER}/tuned.yaml" in lines
    assert lines[-1] == "results: results/tiny_tuned/full (4 trained; 0 done before)"
    assert any(line.startswith("warning: ") for line in lines)  # of one seed, at least
    tuned = Grid.load(FOLDER / "tuned.yaml", catalog)
    assert [variant.recipe.lr for variant in tuned.variants] == [
        chosen["mlp hidden=16"]["lr"], chosen["mlp hidden=32"]["lr"],
    ]  # fmt: skip
    assert Path("reports/tiny/full/search.md").is_file()
    assert Path("reports/tiny_tuned/full/report.md").is_file()
    err = done.err.splitlines()
    assert err[0] == "tiny, profile full: 2 variants, 3 trials each with 1 seed"
    assert "Traceback" not in done.err
    assert "A new study created" not in done.err

    # Once more: nothing is left to do, and both reports follow from the files alone.
    page = Path("reports/tiny/full/search.md")
    first = page.read_text()
    page.unlink()
    again = call("--device", "cpu", "--then-run")
    assert again.status == 0
    assert page.read_text() == first
    page.unlink()
    with pytest.raises(SystemExit) as ended:
        cli.main(["report", str(FOLDER)])
    assert not ended.value.code
    assert page.read_text() == first


def test_trials_and_out_may_be_given(call, tmp_path):
    done = call(
        "--device", "cpu", "--trials", "2", "--only", "*16", "--out", "mine/tuned.yaml", "--results", "other"
    )
    assert done.status == 0
    assert done.out.splitlines()[0].startswith("mlp hidden=16  2/2 trials  validation accuracy ")
    assert "search report: other/tiny/full/report/search.md" in done.out.splitlines()
    tuned = Path("mine/tuned.yaml").read_text()
    assert re.search(r"  # study tiny/full/\w+: 2 of 2 trials, validation accuracy ", tuned)
    assert "  # not searched: its recipe is as it was\n  - {name: mlp, hidden: 32}\n" in tuned
    assert not Path("results").exists()


def test_a_study_that_lacks_trials_is_exit_1_and_is_not_run(call):
    Path("grid.yaml").write_text(ONE.replace("epochs: 2", "epochs: 100000").replace("trials: 3", "trials: 2"))
    done = call("--device", "cpu", "--timeout", "1", "--retries", "0", "--then-run")
    assert done.status == 1
    assert done.out.splitlines()[0] == "mlp hidden=16  0/2 trials  no trial ran to its end"
    assert done.err.splitlines()[-1] == "some study lacks trials: run the same command again for the rest"
    assert "took longer than the limit of 1 s" in done.err
    assert not Path("results/tiny_tuned").exists()
    assert "in none of which it learned: its recipe is as it was" in (FOLDER / "tuned.yaml").read_text()


def test_a_tuned_grid_that_was_edited_is_kept_and_nothing_is_searched(call):
    FOLDER.mkdir(parents=True)
    (FOLDER / "tuned.yaml").write_text("mine")
    done = call("--device", "cpu")
    assert (done.status, done.out) == (2, "")
    assert done.err == (
        "results/tiny/full/tuned.yaml: was edited, or not written by a search; move it, or choose another --out\n"
    )
    assert files_in(Path()) == {"grid.yaml", "results/tiny/full/tuned.yaml"}


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (("lr: {low", "learning_rate: {low"), "grid.yaml:10:11: search.space.learning_rate: unknown field "),
        (
            ("lr: {low", "hidden: {low"),
            "grid.yaml:10:11: search.space.hidden: 'hidden' is an argument of models, ",
        ),
        (("low: 1.0e-2", "low: 2.0"), "grid.yaml:10:21: search.space.lr.low: 2 is not below high, 1; "),
        (("low: 1.0e-2", "low: 0.0"), "grid.yaml:10:21: search.space.lr.low: 0.0 is not in range; "),
        (("trials: 3", "trials: 0"), "grid.yaml:11:11: search.trials: 0 is not in range; use 1 or more"),
        (("name: digits", "name: digits, validation_size: 0"), "grid.yaml:4:39: data.validation_size: "),
        ((GRID[GRID.index("search:") :], ""), "tiny: has no `search` section; "),
    ],
    ids=lambda value: value[1][:30] if isinstance(value, tuple) else "",
)
def test_a_wrong_search_is_refused_in_one_line_and_nothing_is_made(call, change, expected):
    Path("grid.yaml").write_text(GRID.replace(*change))
    done = call("--device", "cpu")
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith(expected)
    assert files_in(Path()) == {"grid.yaml"}


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("--storage studies.db", "--storage: no address of a storage; give one as "),
        (
            "--storage sqlite:////absent/studies.db",
            "sqlite:////absent/studies.db: the storage failed: unable to open ",
        ),
        ("--trials 1", "--trials 1: 1 gives no equal number of points"),
        ("--trials 0", "Invalid value for '--trials'"),
        ("--set recipe.lr=0.5", "--set recipe.lr=0.5: lr is searched; set another field"),
        ("--seeds 0", "--seeds: a search has its own (search.seeds); give it with --then-run, for the run"),
        (
            "--only *16 --then-run",
            "--only: narrows a search, and a tuned grid has other labels; leave out --then-run",
        ),
        ("--out grid.yaml", "grid.yaml: was edited, or not written by a search; "),
    ],
)
def test_a_wrong_option_is_refused_in_one_line_and_nothing_is_made(call, arguments, expected):
    done = call("--device", "cpu", *arguments.split())
    assert (done.status, done.out) == (2, "")
    assert done.err.count("\n") == 1, done.err
    assert done.err.startswith(expected)
    assert files_in(Path()) == {"grid.yaml"}


@linux
def test_a_search_that_is_killed_leaves_no_process_and_the_next_one_does_the_rest(tmp_path, call, server):
    """With -9, in the middle of a trial; the total comes out exact, and the stale trial is marked."""
    (tmp_path / "grid.yaml").write_text(ONE.replace("epochs: 2", "epochs: 30"))
    options = ["--device", "cpu", "--workers", "1"]
    words = ["search", "--grid", "grid.yaml", *options]
    process = server.start("scenarios:run_command", str(tmp_path), words, log=tmp_path / "log")
    process.wait_until_told("trial 1: epoch 2/30", tmp_path / "log")
    group = members_of(process.pid)
    process.kill()
    assert still_running_after(60.0, group) == set()
    done = call(*options)
    assert done.status == 0, done.err
    storage = optuna.storages.RDBStorage(f"sqlite:///{tmp_path / FOLDER}/studies.db")
    (name,) = optuna.get_all_study_names(storage)
    study = optuna.load_study(study_name=name, storage=storage)
    assert [trial.state.name for trial in study.trials] == ["COMPLETE", "FAIL", "COMPLETE", "COMPLETE"]
    assert [trial.params["lr"] for trial in study.trials] == [0.01, 0.1, 0.1, 1.0]


@linux
def test_a_signal_to_the_whole_group_is_an_orderly_end(tmp_path, server):
    (tmp_path / "grid.yaml").write_text(ONE.replace("epochs: 2", "epochs: 100000"))
    words = ["search", "--grid", "grid.yaml", "--device", "cpu"]
    files = {"log": tmp_path / "out", "errors": tmp_path / "err"}
    process = server.start("scenarios:run_command", str(tmp_path), words, **files)
    process.wait_until_told("epoch 1/100000", files["errors"])
    group = members_of(process.pid)
    os.killpg(process.pid, signal.SIGTERM)
    status, out, err = process.wait(), files["log"].read_text(), files["errors"].read_text()
    assert (status, out) == (143, "")
    assert "Traceback" not in err
    assert err.splitlines()[-1] == "interrupted: run the same command again to go on"
    assert still_running_after(60.0, group) == set()
    assert not (tmp_path / FOLDER / "tuned.yaml").exists()
    assert not (tmp_path / "reports").exists()
