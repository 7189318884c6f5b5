import csv
import json

import pytest

from nin_bench.reporting.blocks import Table
from nin_bench.reporting.build import build_report
from nin_bench.reporting.export import to_latex
from tests.report_fixture import metrics, record, write_results

CLAIM = {
    "id": "better", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.01, "factor": None,
}  # fmt: skip


def test_tables_hold_what_the_page_says(tmp_path):
    a = [record(metrics=metrics(accuracy)) for accuracy in (0.90, 0.92, 0.94) * 2]
    b = [record(metrics=metrics(accuracy)) for accuracy in (0.80, 0.81, 0.85) * 2]
    counted = {**CLAIM, "id": "smaller", "metric": "num_params", "expect": "less"}
    folder = write_results(tmp_path / "results", {"a": a, "b": b}, hypotheses=[CLAIM, counted])
    tables = build_report(folder, tmp_path / "report").parent / "tables"
    report = json.loads((tmp_path / "report" / "report.json").read_text())

    rows = list(csv.DictReader((tables / "comparison.csv").read_text().splitlines()))
    assert [row["label"] for row in rows] == ["a", "b"]
    assert float(rows[1]["test_accuracy.mean"]) == report["comparison"][1]["test_accuracy"]["mean"]
    verdict, exact = csv.DictReader((tables / "hypotheses.csv").read_text().splitlines())
    assert (verdict["verdict"], float(verdict["effect"])) == ("supported", pytest.approx(0.1))
    assert float(verdict["interval_low"]) == report["hypotheses"][0]["interval"][0]
    assert (verdict["n"], exact["n"]) == ("6", "")  # a count rests on no pairs
    in_latex = (tables / "hypotheses.tex").read_text().splitlines()[4:6]
    assert [line.split(" & ")[-1] for line in in_latex] == ["6, signed-rank \\\\", "– \\\\"]
    assert "\na & 92.0 $\\pm$ 1.8 (n=6) & 0 of 6 & " in (tables / "variants.tex").read_text()

    # tables that no longer follow are removed
    grid = json.loads((folder / "grid.json").read_text())
    (folder / "grid.json").write_text(json.dumps({**grid, "hypotheses": [], "lock": None}))
    build_report(folder, tmp_path / "report")
    assert sorted(path.name for path in tables.iterdir()) == ["comparison.csv", "scores.tex", "variants.tex"]


def test_a_hostile_label_steers_no_latex():
    hostile = "\\input{/etc/passwd} $x$ a_b % & # {} ~ ^ \u202e"
    found = to_latex(Table(("variant", "a & b, %"), ((hostile, "−1 × 2"),)))
    assert found.splitlines() == [
        "\\begin{tabular}{lr}",
        "\\toprule",
        "variant & a \\& b, \\% \\\\",
        "\\midrule",
        "\\textbackslash{}input\\{/etc/passwd\\} \\$x\\$ a\\_b \\% \\& \\# \\{\\} \\textasciitilde{} "
        "\\textasciicircum{} \\textbackslash{}u202e & $-$1 $\\times$ 2 \\\\",
        "\\bottomrule",
        "\\end{tabular}",
    ]
