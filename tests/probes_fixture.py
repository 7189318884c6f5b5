"""A results folder whose networks answered probes, made by hand: pooled ones, and dense ones refuse a size."""

from pathlib import Path
from typing import Any

from nin_bench.results.probes import THUMBNAIL, ProbeFile
from tests.report_fixture import metrics, record, write_results

ASKED = {"shift": [0, 2], "resolution": [99, 131], "class_maps": 2}
NUM_SEEDS = 8
ACCURACY = 0.9


def answers(cell_id: str, accuracy: float, lost: float = 0.02, *, dense: bool = False) -> dict[str, Any]:
    """What a network answers that loses so much by a move of two pixels, and half of that at another size."""
    small = {"at": 99, "accuracy": accuracy - lost / 2}
    maps = [[[1.0, 0.5]], [[-0.5, 0.0]]]
    return {
        "cell_id": cell_id,
        "test_accuracy": accuracy,
        "asked": ASKED,
        "shift": [{"at": 0, "accuracy": accuracy}, {"at": 2, "accuracy": accuracy - lost}],
        "resolution": [
            {"at": 99, "accuracy": None, "not_possible": "output (Linear): too few"} if dense else small,
            {"at": 131, "accuracy": accuracy},
        ],
        "class_maps": []
        if dense
        else [
            {"index": 7, "label": label, "thumbnail": "80" * THUMBNAIL**2, "maps": maps[:: 1 - 2 * label]}
            for label in (0, 1)
        ],
    }


def write_probed(folder: Path, first: dict[str, Any] | None = None) -> Path:
    """Eight pooled and eight dense networks; `first` are the metrics of the first pooled one."""
    dense = [record(metrics=metrics(ACCURACY))] * NUM_SEEDS
    pooled = [record(metrics=first), *dense[1:]] if first else dense
    write_results(folder, {"pooled": pooled, "dense": dense}, baseline="pooled", probes=ASKED)
    for number in range(2):
        for seed in range(NUM_SEEDS):
            cell_id = f"c{number:02}s{seed}"
            lost = 0.02 + seed / 1000
            made = ProbeFile.parse(answers(cell_id, ACCURACY, lost, dense=number == 1))
            made.write(folder / "probes" / f"{cell_id}.json")
    return folder
