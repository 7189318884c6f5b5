from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from nin_bench.report.hypotheses import Verdict, judge
from nin_bench.results import Results

A, B = "nin pointwise=2", "nin pointwise=1"
ACCURACY_A = [0.912, 0.914, 0.909, 0.915, 0.910]
ACCURACY_B = [0.890, 0.894, 0.885, 0.893, 0.888]  # A less B: .022 .020 .024 .022 .022


def cell(accuracy: float | None = 0.9, outcome: str = "trained", **metrics: Any) -> dict[str, Any]:
    known = {"test_accuracy": accuracy, "test_loss": 0.3, "healthy": True, "escaped": True, "num_params": 1_769_112}
    return {"outcome": outcome, **known, **metrics}


DEAD = {"healthy": False, "num_dead_maps": 3}
NOTHING = {"test_accuracy": None, "test_loss": None, "healthy": None, "escaped": None, "num_params": None}


def claim(**changes: Any) -> dict[str, Any]:
    return {
        "id": "two-beats-one", "says": "Two 1×1 layers classify better than one.", "primary": True,
        "metric": "test_accuracy", "compare": [A, B], "expect": "greater", "margin": 0.01, "factor": None,
        **changes,
    }  # fmt: skip


def results(
    cells_a: list[dict[str, Any]], cells_b: list[dict[str, Any]], *hypotheses: dict[str, Any], **grid: Any
) -> Results:
    rows = [
        {"cell_id": f"{label} {seed}", "variant_id": label, "label": label, "seed": seed, "error": None, **made}
        for label, cells in ((A, cells_a), (B, cells_b))
        for seed, made in enumerate(cells)
    ]
    seeds = list(range(max(len(cells_a), len(cells_b))))
    lock = {"digest": "0", "locked_at": "2026-01-01T00:00:00+00:00", "seeds": seeds, "hypotheses": list(hypotheses)}
    content = {"seeds": seeds, "hypotheses": list(hypotheses), "lock": lock, **grid}
    frame = pd.DataFrame({key: [row.get(key) for row in rows] for key in dict.fromkeys(k for r in rows for k in r)})
    return Results(folder=Path(), grid=content, records=[], cells=frame, history=pd.DataFrame())


def accuracies(values: list[float], **metrics: Any) -> list[dict[str, Any]]:
    return [cell(value, **metrics) for value in values]
