"""The notebooks are run, and their figures held against the report that ships."""

import importlib.util
from collections import defaultdict
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pytest

from nin_bench.analysis.analysis import Analysis

ROOT = Path(__file__).parent.parent


@pytest.mark.extra
@pytest.mark.filterwarnings("default")
def test_the_notebook_on_onexone_makes_the_report_s_figures_again():
    spec = importlib.util.spec_from_file_location("onexone", ROOT / "notebooks" / "onexone.py")
    notebook = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(notebook)
    _, names = notebook.app.run()
    report = Analysis.read(ROOT / "reports" / "reference" / "onexone" / "cpu" / "report.json")

    labels = [row.label for row in report.comparison]
    [axes] = names["networks"].axes
    marks = np.concatenate([marks.get_offsets() for marks in axes.collections])
    expected = [(100 * cell.metrics["test_accuracy"], labels.index(cell.label)) for cell in report.cells]
    assert np.array(sorted(marks.tolist())) == pytest.approx(np.array(sorted(expected)))
    filled, open_marks = (len(marks.get_offsets()) for marks in axes.collections)
    num_lost = sum(cell.metrics["num_lost_classes"] > 0 for cell in report.cells)
    assert (filled, open_marks) == (len(report.cells) - num_lost, num_lost)

    curves = defaultdict(list)
    for point in report.learning_curves["validation_accuracy"]:
        curves[point.label].append((point.epoch, 100 * point.mean))
    [axes] = names["curves"].axes
    lines = {line.get_label(): line.get_xydata().tolist() for line in axes.lines}
    assert lines.keys() == curves.keys()
    for label, points in curves.items():
        assert np.array(lines[label]) == pytest.approx(np.array(points))
    plt.close("all")
