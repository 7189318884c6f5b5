"""Results folders whose cells have predictions: eight test images of three classes."""

import numpy as np

from nin_bench.analysis.predictions import Stored
from nin_bench.files import write_atomically
from nin_bench.results import ResultsFolder, load_results
from nin_bench.results.predictions import pack_predictions
from tests.report_fixture import metrics, record, write_results

LABELS = np.array([0, 0, 1, 1, 2, 2, 2, 2])


def write_predictions(folder, cell_id, predictions):
    write_atomically(folder.predictions_path(cell_id), pack_predictions(predictions, cell_id))


def predicted(folder, cell_id, answers, labels=LABELS):
    write_predictions(
        ResultsFolder(folder),
        cell_id,
        {
            "predicted": np.array(answers, dtype=np.int16),
            "credit": (np.array(answers) >= 0).astype(np.float32),
            "probability": np.full(len(answers), 0.5, dtype=np.float32),
            "label": labels.astype(np.int16),
        },
    )


def cell(answers, history=None, **others):
    return record(metrics=metrics(float(np.mean(np.array(answers) == LABELS)), **others), history=history)


def stored(tmp_path, answers, dead=None, **grid):
    """Write cells by variant, with their predictions; `dead` are further metrics of the last one."""
    variants = {label: [cell(one) for one in of_seeds] for label, of_seeds in answers.items()}
    if dead is not None:
        last = list(answers)[-1]
        variants[last][-1] = cell(answers[last][-1], healthy=False, **dead)
    folder = write_results(tmp_path / "results", variants, **grid)
    for number, of_seeds in enumerate(answers.values()):
        for seed, one in enumerate(of_seeds):
            predicted(folder, f"c{number:02}s{seed}", one)
    return Stored(load_results(folder))


PERFECT = LABELS.tolist()
ONE_WRONG = [1, *PERFECT[1:]]
SILENT = [*PERFECT[:6], -1, 0]
