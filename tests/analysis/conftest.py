"""Grids of two small networks, and pilots in which their accuracies are known."""

from collections.abc import Callable, Sequence
from pathlib import Path

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.grid import Grid
from tests.report_fixture import COLLAPSED, metrics, record, write_results

HEAD = "schema: 1\nname: tiny\ndata: {name: digits}\nmodels: [{name: mlp, hidden: [16, 32]}]\n"
SIDES = "compare: [{hidden: 16}, {hidden: 32}]"
BETTER = f"{{id: better, says: b, primary: true, metric: test_accuracy, {SIDES}, expect: greater, margin: 0.01}}"


@pytest.fixture
def load(tmp_path: Path, catalog: RegistryCatalog) -> Callable[..., Grid]:
    """A grid with these hypotheses; the first is `BETTER` unless told otherwise."""

    def load(*hypotheses: str, seeds: int | str = 8, more: str = "") -> Grid:
        path = tmp_path / "grid.yaml"
        listed = "".join(f"  - {one}\n" for one in hypotheses or [BETTER])
        path.write_text(f"{HEAD}seeds: {seeds}\n{more}hypotheses:\n{listed}")
        return Grid.load(path, catalog)

    return load


@pytest.fixture
def pilot(tmp_path: Path) -> Callable[..., Path]:
    """A results folder of another profile, whose hypothesis `better` compares a and b; None collapsed."""

    def pilot(a: Sequence[float | None], b: Sequence[float | None], name: str = "pilot", **grid: object) -> Path:
        def made(accuracy: float | None) -> dict[str, object]:
            return record(metrics=metrics(0.1, **COLLAPSED) if accuracy is None else metrics(accuracy))

        hypothesis = {
            "id": "better", "claim": "b", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
            "expect": "greater", "margin": 0.01, "factor": None,
        }  # fmt: skip
        return write_results(
            tmp_path / name,
            {"a": [made(one) for one in a], "b": [made(one) for one in b]},
            **{"name": "tiny", "profile": "small", "hypotheses": [hypothesis], **grid},
        )

    return pilot
