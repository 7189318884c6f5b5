"""What the code says today: a document for every file of frozen values. Adapt it when an interface moves."""

import contextlib
import hashlib
import importlib.util
import io
import json
import re
import tempfile
from collections.abc import Callable, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import yaml

from nin_bench import cli
from nin_bench.analysis.analysis import analyse
from nin_bench.analysis.search.analysis import analyse_search
from nin_bench.analysis.search.studies import read_search
from nin_bench.catalog import RegistryCatalog
from nin_bench.errors import InputError
from nin_bench.grid import Grid
from nin_bench.models import list_models
from nin_bench.results import ResultsFolder, load_results
from nin_bench.runner.run import run_grid
from nin_bench.runner.session import RunOptions
from tests.frozen.frozen_values import FOLDER

ROOT = FOLDER.parents[1]
SHIPPED = ROOT / "results" / "reference"
FIRST = FOLDER / "results"
"""What shipped first, and was replaced since."""
FOLDERS = {
    "onexone": FIRST / "onexone" / "cpu", "lr_search_tuned": FIRST / "lr_search_tuned" / "cpu",
    "precision": SHIPPED / "precision" / "full", "lr_search": FIRST / "lr_search" / "cpu",
    "failures": FOLDER / "folders" / "failures", "machines": FOLDER / "folders" / "machines",
}  # fmt: skip
PROFILES = {
    f"{path.stem}-{profile}": (path, profile)
    for path in sorted((Path(__file__).parent / "grids").glob("*.yaml"))
    for profile in ["full", *yaml.safe_load(path.read_text(encoding="utf-8")).get("profiles", {})]
}
PAPERS = {  # images as channels, pixels, classes: of the paper that a model is from
    "alexnet": [(3, 224, 1000)], "lenet": [(1, 28, 10)], "mlp": [(1, 28, 10)], "nin": [(3, 224, 1000)],
    "nin_cifar": [(3, 32, 10), (3, 32, 100)], "nin_mnist": [(1, 28, 10)],
}  # fmt: skip
VARIED = ["pointwise=0", "head=fc", "width=0.25", "pointwise_kernel=3"]
"""Arguments of `nin` that are counted, too, each alone."""


def command(*arguments: str) -> tuple[int, str, str]:
    """Exit status, stdout and stderr of a command."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        try:
            cli.main(list(arguments))
        except SystemExit as ended:
            return int(ended.code or 0), out.getvalue(), err.getvalue()
    return 0, out.getvalue(), err.getvalue()


def document(*arguments: str) -> Any:
    """What a command prints as JSON, or its exit status if it is not 0."""
    status, out, _ = command(*arguments, "--json")
    return {"exit_status": status} if status else json.loads(out)


def report(name: str) -> tuple[Any, dict[str, str]]:
    """What report.json holds of a results folder, figures left out, and the ids of its labels."""
    folder = FOLDERS[name]
    if not (folder / "grid.json").exists():
        return analyse_search(read_search(folder)).model_dump(), {}
    results = load_results(folder)
    labels = {variant.label: variant.variant_id for variant in results.grid.variants}
    return analyse(results).model_dump(), labels


def plan(name: str) -> Any:
    """`plan --json` in an empty results folder, and beside the results that shipped if there are any."""
    path, profile = PROFILES[name]
    asked = ("plan", "--grid", str(path), "--profile", profile, "--device", "cpu", "--workers", "2")
    with tempfile.TemporaryDirectory() as empty:
        found = {"empty": document(*asked, "--results", empty)}
    for root in (FIRST, SHIPPED):
        if (FOLDERS.get(path.stem) or root) == root / path.stem / profile:
            found["shipped"] = document(*asked, "--results", str(root))
    return found


def ids(name: str) -> Any:
    """Every cell id of a grid by variant and seed, and the order in which they are planned."""
    path, profile = PROFILES[name]
    grid = Grid.load(path, RegistryCatalog(), profile=profile)
    cells: dict[str, dict[str, str]] = {}
    for cell in grid.cells:
        cells.setdefault(cell.variant_id, {})[str(cell.seed)] = cell.cell_id
    return {"cells": cells, "order": [variant.variant_id for variant in grid.variants], "seeds": list(grid.seeds)}


def models() -> Any:
    """`models --json`, and that of every model: 1×224×224, the papers' images, and variations of `nin`."""
    found: dict[str, Any] = {"all": document("models")}
    for name in list_models():
        found[name] = {"default": document("models", name)}
        for channels, pixels, classes in PAPERS.get(name, []):
            image = ("--channels", str(channels), "--resolution", str(pixels), "--classes", str(classes))
            found[name][f"{channels}x{pixels}x{pixels} {classes}"] = document("models", name, *image)
    found["nin"]["deep"] = document("models", "nin", "--deep")
    found["nin"] |= {change: document("models", "nin", "--set", change) for change in VARIED}
    return found


# Malformed grids


def answer(case: Mapping[str, Any]) -> str:
    """The refusal of a grid, a line for each mistake; empty if it is not refused."""
    with tempfile.TemporaryDirectory() as folder, contextlib.chdir(folder):
        Path("grid.yaml").write_text(case["grid"], encoding="utf-8", newline="")
        if case["catalog"] == "registry":
            status, _, err = command("plan", "--grid", "grid.yaml", "--device", "cpu", *case["options"])
            return err.strip() if status == 2 else ""
        try:
            Grid.load(Path("grid.yaml"), _tiny_catalog(), **case["options"])
        except InputError as error:
            return str(error)
    return ""


def place_among(refusal: str, frozen: dict[str, str | None]) -> dict[str, str | None]:
    """Where a refusal is: of several mistakes, at the frozen one if that is among them, else at the first."""
    places = [place(line) for line in refusal.splitlines() or [""]]
    return frozen if frozen in places else places[0]


def place(refusal: str) -> dict[str, str | None]:
    """File or option, line and column, field, and suggested name of a mistake; the rest is wording."""
    found = re.match(r"(--[a-z]+|[^\s:]+)(?::(\d+:\d+): (?:(\S+): )?)?", refusal)
    guess = re.search(r"did you mean '([^']*)'", refusal)
    file, at, field = found.groups() if found else (None, None, None)
    return {"file": file, "line and column": at, "field": field, "suggestion": guess[1] if guess else None}


@cache
def _tiny_catalog() -> Any:
    """The catalog of two models and two datasets with which the grid's own tests work."""
    spec = importlib.util.spec_from_file_location("tiny_catalog", FOLDER.parent / "grid" / "conftest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module.TinyCatalog()


# Bits

BITS = """\
schema: 1
name: bits
data: {name: digits, resolution: 28, train_size: 256, validation_size: 100}
recipe: {epochs: 2, batch_size: 64, lr: 0.05, init: kaiming_normal}
models:
"""
SMALL_NIN = "name: nin_mnist, width: 0.1"
CELLS = {  # what is varied: model and recipe
    "optimizer sgd": ("name: mlp, hidden: 16", "lr: 0.05"),
    "optimizer sgd momentum": ("name: mlp, hidden: 16", "momentum: 0.9"),
    "optimizer sgd nesterov": ("name: lenet, activation: relu", "momentum: 0.9, nesterov: true"),
    "optimizer sgd weight decay": ("name: mlp, hidden: 16", "weight_decay: 0.01"),
    "optimizer adam": ("name: lenet, activation: relu", "optimizer: adam, lr: 0.003"),
    "optimizer adam weight decay": ("name: mlp, hidden: 16", "optimizer: adam, lr: 0.003, weight_decay: 0.01"),
    "optimizer adamw": (SMALL_NIN, "optimizer: adamw, lr: 0.003, weight_decay: 0.01"),
    "schedule cosine": ("name: lenet, activation: relu", "schedule: cosine"),
    "schedule one_cycle": ("name: mlp, hidden: 16", "schedule: one_cycle"),
    "schedule step": ("name: mlp, hidden: 16", "schedule: step, step_epochs: 1, step_factor: 0.3"),
    "schedule warm-up": ("name: mlp, hidden: 16", "schedule: cosine, warmup_epochs: 0.5"),
    "precision bf16": (SMALL_NIN, "precision: bf16, momentum: 0.9"),
    "precision bf16 lenet": ("name: lenet, activation: relu", "precision: bf16"),
    "init default": (SMALL_NIN, "init: default"),
    "init xavier_uniform": (SMALL_NIN, "init: xavier_uniform"),
    "init kaiming_normal": (SMALL_NIN, "momentum: 0.8"),
    "init normal": ("name: lenet, activation: sigmoid", "init: normal, init_std: 0.05"),
    "augmentation flip": ("name: lenet, activation: relu", "augmentation: flip"),
    "augmentation crop_flip": (SMALL_NIN, "augmentation: crop_flip"),
    "label smoothing": ("name: mlp, hidden: 16", "label_smoothing: 0.1"),
    "micro-batches": ("name: lenet, activation: relu", "micro_batch: 24"),
    "test every epoch": ("name: mlp, hidden: 16", "test_every_epoch: true"),
}
METRICS = ("test_loss", "test_accuracy", "train_loss", "train_accuracy")
"""What is frozen of a record's metrics."""
HISTORY = ("epoch", "lr", "train_loss", "train_accuracy", "validation_loss", "validation_accuracy")
"""What is frozen of an epoch."""


def bits(folder: Path) -> dict[str, Any]:
    """Train every cell of `CELLS` on one thread; digests of its weights, and the numbers of its record."""
    grid = BITS + "".join(f"  - {{{model}, recipe: {{{recipe}}}}}\n" for model, recipe in CELLS.values())
    (folder / "grid.yaml").write_text(grid, encoding="utf-8")
    loaded, results = Grid.load(folder / "grid.yaml", RegistryCatalog()), folder / "results"
    options = RunOptions(device="cpu", workers=1, measure=False, keep_weights=True)
    summary = run_grid(loaded, ResultsFolder(results), options, lambda event: None)
    assert summary.outcomes == {"trained": len(CELLS)}
    return {name: _bits_of(results, cell.cell_id) for name, cell in zip(CELLS, loaded.cells, strict=True)}


def _bits_of(results: Path, cell_id: str) -> dict[str, Any]:
    import torch

    record = json.loads((results / "cells" / f"{cell_id}.json").read_text(encoding="utf-8"))
    weights = torch.load(results / "weights" / f"{cell_id}.pt", weights_only=True)
    whole = hashlib.sha256()
    for name in sorted(weights):
        whole.update(name.encode())
        whole.update(weights[name].contiguous().numpy().tobytes())
    return {
        "cell_id": cell_id,
        "weights": whole.hexdigest(),
        "sums": {name: weights[name].double().abs().sum().item() for name in sorted(weights)},
        "metrics": {name: record["metrics"][name] for name in METRICS},
        "history": {str(row["epoch"]): {name: row[name] for name in HISTORY} for row in record["history"]},
    }


def machine_class() -> dict[str, str]:
    """What decides about bits: processor and library versions."""
    import platform

    import numpy
    import torch

    info = Path("/proc/cpuinfo")
    lines = dict(
        re.split(r"\s*:\s*", line, maxsplit=1)
        for line in (info.read_text(encoding="utf-8").split("\n\n")[0].splitlines() if info.exists() else [])
        if ":" in line
    )
    flags = sorted(flag for flag in lines.get("flags", "").split() if re.match(r"avx|amx|fma|f16c|sse4", flag))
    return {
        "architecture": platform.machine(),
        "processor": " ".join(lines.get(key, "?") for key in ("vendor_id", "cpu family", "model")),
        "flags": " ".join(flags),
        "torch": torch.__version__,
        "torch_capability": torch.backends.cpu.get_cpu_capability(),
        "numpy": numpy.__version__,
    }


KINDS: dict[str, Callable[[], Any]] = {
    **{f"report-{name}": lambda name=name: report(name) for name in FOLDERS},
    **{f"plan-{name}": lambda name=name: (plan(name), {}) for name in PROFILES},
    **{f"ids-{name}": lambda name=name: (ids(name), {}) for name in PROFILES},
    "models": lambda: (models(), {}),
}  # fmt: skip
"""For each file of frozen values what is said today, and the ids of labels that the document does not tell."""
