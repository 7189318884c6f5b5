"""The README and the docs are kept true: every command and every example in them is run."""

import ast
import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import yaml
from PIL import Image

import nin_bench
from nin_bench.analysis.analysis import Analysis
from nin_bench.grid import Grid
from nin_bench.models import ImageSpec, build_model, list_models
from nin_bench.plugins import registered
from tests.faults.warm import Warm

ROOT = Path(__file__).parent.parent
PAGES = [
    *(ROOT / name for name in ("README.md", "reports/README.md", "CONTRIBUTING.md", "SECURITY.md")),
    *sorted((ROOT / "docs").glob("*.md")),
]
TUTORIAL = ROOT / "docs" / "tutorial.md"
MAKE_TARGET = re.compile(r"^([a-z-]+):", re.MULTILINE)


def blocks(page: Path, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", page.read_text(), re.DOTALL)


def commands(page: Path) -> list[str]:
    lines = [line.split("  #")[0].strip() for block in blocks(page, "sh") for line in block.splitlines()]
    return [line for line in lines if line and not line.startswith("#")]


def nin_bench_commands() -> list[str]:
    """Every command of nin_bench, as `python -m nin_bench`; what changes the reader's shell is left out."""
    lines = [line for page in PAGES if page != TUTORIAL for line in commands(page)]
    found = [re.sub(r"^nin-bench (?!-)", "python -m nin_bench ", line) for line in lines]
    return list(dict.fromkeys(line[line.index("python") :] for line in found if "-m nin_bench" in line))


@pytest.fixture(scope="module")
def workplace(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder as a reader has it after the quickstart, of which the fastest cell alone was trained."""
    folder = tmp_path_factory.mktemp("workplace")
    for name in ("experiments", "results/reference"):
        shutil.copytree(ROOT / name, folder / name)
    make_pets(folder / "data")
    page = ROOT / "docs" / "own_models.md"
    (folder / "my_nets.py").write_text("".join(blocks(page, "python")))
    for name, text in zip(("my_grid.yaml", "my_stripes.yaml"), blocks(page, "yaml"), strict=True):
        (folder / name).write_text(text)
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    # No `if __name__ == "__main__"`: workers do not run it again.
    (folder / "python.py").write_text("\n".join(blocks(ROOT / "docs" / "python.md", "python")))
    with (folder / "told.txt").open("w") as told:
        subprocess.run([sys.executable, "python.py"], cwd=folder, env=environment, stdout=told, check=True)
    return folder


def make_pets(data_dir: Path) -> None:
    """Twelve and three pictures of two classes, bright and dark, of several sizes."""
    random = np.random.default_rng(0)
    for split, count in (("train", 12), ("test", 3)):
        for name, brightness in (("cat", 60), ("dog", 190)):
            folder = data_dir / "pets" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                pixels = random.normal(brightness, 30, (40 + 3 * number, 50, 3)).clip(0, 255).astype(np.uint8)
                Image.fromarray(pixels).save(folder / f"{number}.jpg")


@pytest.fixture(scope="module")
def call_in(server: Warm) -> Callable[[Path, str], str]:
    """Runs a command of nin_bench in a folder; what it tells. A fork has imported all that it needs."""

    def call_in(folder: Path, command: str) -> str:
        python, _, package, *words = shlex.split(command)
        assert (python, package) == ("python", "nin_bench")
        log = folder / "log"
        log.write_bytes(b"")
        status = server.run("scenarios:run_command", str(folder), words, log=log)
        assert status == 0, log.read_text()
        return log.read_text()

    return call_in


@pytest.fixture
def call(call_in: Callable[[Path, str], str], workplace: Path) -> Callable[[str], str]:
    """Runs a command in the workplace."""
    return partial(call_in, workplace)


NARROWED = {"run": "--dry-run", "search": "--dry-run", "measure": "--only MLP --rounds 1"}
"""What would take minutes is narrowed; of two numbers of rounds the last one counts."""


@pytest.mark.parametrize("command", nin_bench_commands())
def test_every_command_works(command: str, workplace: Path, call: Callable[[str], str]):
    new_grid = workplace / "mine.yaml"
    if command.split()[3] == "init":
        new_grid.unlink(missing_ok=True)
    elif new_grid.name in command and not new_grid.exists():
        call("python -m nin_bench init mine")
    assert call(f"{command} {NARROWED.get(command.split()[3], '')}").strip()


def test_the_tutorial_leads_to_its_verdict(tmp_path: Path, call_in: Callable[[Path, str], str]):
    """Every command as it stands, in a folder with nothing but the grid."""
    [grid] = blocks(TUTORIAL, "yaml")
    path = tmp_path / "first.yaml"
    path.write_text(grid)
    plan, run, again, status = (line for line in commands(TUTORIAL) if "-m nin_bench" in line)
    assert "16 cells" in call_in(tmp_path, plan)
    _, _, printed = call_in(tmp_path, run).partition("verdicts:\n")
    verdicts, *places = printed.split("report: ")
    [told] = blocks(TUTORIAL, "text")
    number = r"[−+][\d.]+"
    assert verdicts.startswith("  supported")
    assert re.sub(number, "N", verdicts) in re.sub(number, "N", told)
    assert all((tmp_path / place.split()[0]).exists() for place in places)
    path.write_text(grid.replace("[4, 64]", "[4, 16, 64]"))
    assert again == run
    assert "24 cells: 8 to run, 16 done" in call_in(tmp_path, plan)
    assert "16 trained" in call_in(tmp_path, status)


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_make_target_exists(page: Path):
    targets = set(MAKE_TARGET.findall((ROOT / "Makefile").read_text()))
    named = {line.split()[1] for line in commands(page) if line.startswith("make ")}
    assert named <= targets


def test_every_gate_runs_the_same_make_targets():
    """CI, the workflow and pre-commit name targets of the Makefile, and the first two the same ones."""
    targets = set(MAKE_TARGET.findall((ROOT / "Makefile").read_text()))
    ci, workflow, hooks = (
        re.findall(r"^(?:.*(?:run|entry): )?make (\S+)$", (ROOT / name).read_text(), re.MULTILINE)
        for name in (".ci/run", ".github/workflows/ci.yml", ".pre-commit-config.yaml")
    )
    assert ci == workflow
    assert hooks == ["lint"]
    assert set(ci) <= targets


def test_the_citation_is_of_this_version():
    citation = yaml.safe_load((ROOT / "CITATION.cff").read_text())
    assert citation["version"] == nin_bench.__version__


def test_the_readme_s_grid_loads(catalog, tmp_path: Path):
    (example,) = blocks(ROOT / "README.md", "yaml")
    path = tmp_path / "example.yaml"
    path.write_text(example)
    grid = Grid.load(path, catalog)
    assert len(grid.cells) == 3 * 12
    assert grid.baseline == "nin_mnist pointwise=1 width=0.25 dropout=0 final_relu=false"


@pytest.mark.filterwarnings("ignore:Pandas requires version:DeprecationWarning")
def test_the_python_that_reads_results_runs(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]):
    example = "\n".join(blocks(ROOT / "docs" / "results.md", "python"))
    monkeypatch.chdir(ROOT)
    exec(compile(example, "results.md", "exec"), {})
    assert "NiN-2 drawn" in capsys.readouterr().out


def test_the_package_s_functions_do_what_the_docs_say(workplace: Path):
    planned, seeds, run, heading, row, *verdicts, page, same, gates = (
        (workplace / "told.txt").read_text().splitlines()
    )
    assert planned == "MLP 0 missing"
    assert ast.literal_eval(seeds) == dict.fromkeys(
        ("better-without-relu", "dense-is-better", "fewer-parameters"), 12
    )
    assert run == "Run('results/quickstart/full': 1 trained)"
    assert heading.split() == ["label", "seed", "test_accuracy"]
    assert row.split()[-3:-1] == ["MLP", "0"]
    assert float(row.split()[-1]) > 0.9
    analysis = Analysis.read(workplace / "reports" / "quickstart" / "full" / "report.json")
    assert verdicts == [f"{one.id} {one.verdict} {one.effect} {one.interval}" for one in analysis.hypotheses]
    assert page.split()[0] == "again/report.md"
    assert same == "True"
    assert set(ast.literal_eval(gates)) == {"not known", "the same"}  # one network is too few, but it is itself


def test_kept_weights_are_loaded_as_the_docs_say(
    workplace: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    (example,) = blocks(ROOT / "docs" / "resume.md", "python")
    monkeypatch.chdir(workplace)
    exec(compile(example, "resume.md", "exec"), {})
    told = capsys.readouterr().out
    found = re.fullmatch(r"ImageSpec\(channels=1, resolution=12, num_classes=10\) (0\.\d+) (0\.\d+)\n", told)
    assert found[1] == found[2]


@pytest.mark.extra  # of which timm has one network
def test_a_newcomer_trains_her_block_beside_resnet_mobilenet_and_nin_on_her_pictures(
    workplace: Path, call: Callable[[str], str]
):
    call(
        "python -m nin_bench run --grid my_grid.yaml --models my_nets.py --data-dir data --seeds 0 --no-measure",
    )
    results = nin_bench.load_results(workplace / "results" / "my-networks" / "full")
    assert [record.outcome for record in results.records] == 5 * ["trained"]
    names = [record.cell.model.name for record in results.records]
    assert names == ["plain", "plain", "nin_mnist", "torchvision/resnet18", "timm/mobilenetv3_small_050"]
    assert {len(record.history) for record in results.records} == {3}


def test_the_model_in_contributing_is_a_model(monkeypatch: pytest.MonkeyPatch):
    example, *_ = blocks(ROOT / "CONTRIBUTING.md", "python")
    monkeypatch.setitem(registered, "model", dict(registered["model"]))
    assert "tiny" not in list_models()
    header = (
        "from collections import OrderedDict\nfrom typing import Annotated\nfrom torch import nn\n"
        "from nin_bench.models.layers import GlobalAveragePool\n"
        "from nin_bench.models import About, ImageSpec, register_model\n"
    )
    exec(compile(header + example, "CONTRIBUTING.md", "exec"), {})
    model = build_model("tiny", ImageSpec(channels=1, resolution=8, num_classes=10), width=4)
    assert [name for name, _ in model.named_children()] == ["conv", "relu", "pool", "flatten", "fc"]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_file_that_is_named_exists(page: Path):
    named = re.findall(r"`((?:\.ci|docs|experiments|nin_bench|tests)/[\w./-]+)`", page.read_text())
    assert [path for path in named if not (ROOT / path).exists()] == []


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.name)
def test_every_link_leads_somewhere(page: Path):
    for target in re.findall(r"\]\(([^)#]+)\)", page.read_text()):
        assert target.startswith("https://") or (page.parent / target).exists(), target


def test_the_readme_s_results_stand_in_the_report():
    spreads = re.findall(r"\d+\.\d ± \d+\.\d \(n=\d+\)", (ROOT / "README.md").read_text())
    report = (ROOT / "reports" / "reference" / "onexone" / "cpu" / "report.md").read_text()
    assert len(spreads) == 7
    assert all(spread in report for spread in spreads)
