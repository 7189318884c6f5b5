import json
import re
from html import unescape

import pytest
from markdown_it import MarkdownIt
from report_fixture import COLLAPSED, learning, metrics, record, write_results, write_showcase

from nin_bench.errors import ResultsError
from nin_bench.report.build import build_report
from nin_bench.report.text import printable


def read_strictly(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


@pytest.fixture(scope="module")
def showcase(tmp_path_factory):
    root = tmp_path_factory.mktemp("build")
    folder = write_showcase(root / "results" / "onexone" / "cpu")
    build_report(folder, root / "report")
    return root


def test_page_says_what_the_records_say(tmp_path):
    folder = write_results(
        tmp_path / "results",
        {
            "a": [
                record(metrics=metrics(accuracy), history=learning(2, accuracy, 0))
                for accuracy in (0.90, 0.92, 0.94)
            ],
            "b|c": [
                record(metrics=metrics(0.80, num_params=61_706, num_macs=416_520)),
                record(metrics=metrics(0.10, **COLLAPSED, num_params=61_706, num_macs=416_520)),
                None,
            ],
        },
        baseline="a",
    )  # fmt: skip

    path = build_report(folder, tmp_path / "report")
    page = path.read_text()

    assert path == tmp_path / "report" / "report.md"
    assert page.startswith("# onexone · cpu\n\n**Question.** how many 1×1 layers does a NiN block need")
    assert "\n6 cells planned:\n5 trained (1 of them collapsed),\n1 missing.\n" in page
    assert (
        "| a (baseline) | 3/3 | 3/3 | 3/3 | 92.0 ± 2.0 (n=3) | 92.0 ± 2.0 (n=3) | +2.0 ± 0.0 (n=3) |\n"
        "| b\\|c | 2/3 | 1/2 | 1/2 | 45.0 ± 49.5 (n=2) | 80.0 (n=1) | +2.0 (n=1) |\n"
    ) in page
    assert (
        "| a | 1.99 M | 762 M | 800 ± 0 (n=3) | 1.50 ± 0.00 (n=3) |\n"
        "| b\\|c | 61.7 k | 417 k | 800 ± 0 (n=2) | 1.50 ± 0.00 (n=2) |\n"
    ) in page
    assert (
        "| b\\|c | 1 | collapsed | never left chance level; 10 class maps dead; "
        "no prediction for 10,000 test images |\n"
    ) in page
    assert "- No record: b\\|c, seed 2\n" in page
    assert "seen while training with 2 workers side by side, not measured on their own" in page
    assert "\npython -m nin_bench report results/onexone/cpu\n" in page
    assert "## Verdicts" not in page
    assert re.findall("^## (.+)$", page, re.MULTILINE) == [
        "Setting",
        "Comparison",
        "Figures",
        "Failures and collapsed runs",
        "Caveats",
        "How to make this page again",
    ]


def test_every_figure_on_the_page_exists(showcase):
    page = (showcase / "report" / "report.md").read_text()
    named = re.findall(r"\((figures/[^)]+)\)", page)

    assert len(named) == 8
    for name in named:
        assert (showcase / "report" / name).stat().st_size > 10_000


def test_json_holds_the_page_unrounded(showcase):
    report = read_strictly(showcase / "report" / "report.json")
    nin = report["comparison"][2]

    assert report["outcomes"] == {"trained": 24, "crashed": 1, "diverged": 1, "missing": 1}
    assert report["num_collapsed"] == 4
    assert (nin["label"], nin["num_params"], nin["num_macs"]) == (
        "nin pointwise=2 head=gap",
        1_992_166,
        762_297_352,
    )
    healthy = [
        cell["metrics"]["test_accuracy"]
        for cell in report["cells"]
        if cell["label"] == nin["label"] and cell["metrics"]["healthy"]
    ]
    assert nin["test_accuracy_given_healthy"]["mean"] == pytest.approx(sum(healthy) / 2, rel=1e-12)
    assert report["num_classes"] == 10
    assert [figure["name"] for figure in report["figures"]] == [
        "learning_curves",
        "training_loss",
        "accuracy_against_costs",
        "escape",
    ]
    assert report["hypotheses"] == []


def test_the_same_records_give_the_same_bytes_wherever_they_lie(showcase, tmp_path):
    folder = write_showcase(tmp_path / "elsewhere")
    build_report(folder, tmp_path / "report")

    first, second = showcase / "report", tmp_path / "report"
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) == 10
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_verdicts_come_first(tmp_path):
    claim = {
        "id": "smaller", "says": "a | b: <fewer> parameters.", "primary": True, "metric": "num_params",
        "compare": ["a", "b"], "expect": "less", "margin": None, "factor": 2,
    }  # fmt: skip
    folder = write_results(
        tmp_path / "results",
        {
            "a": [record(metrics=metrics(0.9, num_params=1000)) for _ in range(2)],
            "b": [record(metrics=metrics(0.9, num_params=4000)) for _ in range(2)],
        },
        hypotheses=[claim],
        lock={"digest": "0", "locked_at": "2026-01-01T00:00:00Z", "seeds": [0, 1], "hypotheses": [claim]},
    )

    page = build_report(folder, tmp_path / "report").read_text()
    verdict = read_strictly(tmp_path / "report" / "report.json")["hypotheses"][0]

    assert page.index("## Verdicts") < page.index("## Setting")
    assert "| smaller | a \\| b: &lt;fewer&gt; parameters. | **supported** | ×0.25 |" in page
    assert {"id", "verdict", "effect", "interval", "n"} <= set(verdict)
    assert (verdict["id"], verdict["verdict"], verdict["effect"]) == ("smaller", "supported", 0.25)


def test_hostile_names_neither_run_nor_break_a_table(tmp_path):
    names = ["<script>alert(1)</script>", "a|b", "x\n\n# heading", "\u202eevil", "![x](http://e.com/x.png)",
             "`", "]( )[", "</td>"]  # fmt: skip
    folder = write_results(
        tmp_path / "results",
        {name: [record(metrics=metrics(0.9)), record("crashed", error=f"{name} | <img src=x>")] for name in names},
        question="<img src=x onerror=alert(1)>\n# not a heading",
    )  # fmt: skip

    page = build_report(folder, tmp_path / "report").read_text()

    html = MarkdownIt("commonmark").enable("table").render(page)
    first_cells = [unescape(cell) for cell in re.findall(r"<tr>\s*<td>(.*?)</td>", html)]

    assert "\u202e" not in page
    assert not re.search('<(script|img (?!src="figures/))', html)
    assert 'href="http' not in html
    assert re.findall("<h1>(.*)</h1>", html) == ["onexone · cpu"]
    assert first_cells[-3 * len(names) :] == [printable(name) for name in names] * 3


def test_one_seed_has_no_spread(tmp_path):
    folder = write_results(tmp_path / "results", {"a": [record(metrics=metrics(0.9))]})

    page = build_report(folder, tmp_path / "report").read_text()

    assert "| a | 1/1 | 1/1 | 1/1 | 90.0 (n=1) | 90.0 (n=1) | +2.0 (n=1) |" in page
    assert "One seed each" in page


@pytest.mark.parametrize("made", [None, record("crashed", error="boom"), record("invalid")])
def test_nothing_trained_is_said(tmp_path, made):
    folder = write_results(tmp_path / "results", {"a": [made, made], "b": [made, None]})

    page = build_report(folder, tmp_path / "report").read_text()

    assert "**No cell has been trained: there is nothing to compare yet.**" in page
    assert "| a | 0/2 | – | – | – | – | – |" in page
    assert "None: no record holds anything to draw." in page
    read_strictly(tmp_path / "report" / "report.json")


def test_figures_that_no_longer_follow_are_removed(tmp_path):
    full = write_results(tmp_path / "full", {"a": [record(metrics=metrics(0.9), history=learning(2, 0.9, 0))]})
    empty = write_results(tmp_path / "empty", {"a": [None]})

    build_report(full, tmp_path / "report")
    build_report(empty, tmp_path / "report")

    assert list((tmp_path / "report" / "figures").iterdir()) == []


def test_files_left_out_are_named(tmp_path):
    folder = write_results(tmp_path / "results", {"a": [record(metrics=metrics(0.9)), None]})
    (folder / "cells" / "c00s1.json").write_text('{"schema": 1, "cell')

    page = build_report(folder, tmp_path / "report").read_text()

    assert "## Left out\n\n- cells/c00s1.json" in page


@pytest.mark.parametrize("torn", [b"", b"nothing of the kind"])
def test_torn_predictions_cost_no_more_than_the_chance_line(tmp_path, torn):
    folder = write_results(tmp_path / "results", {"a": [record(metrics=metrics(0.9))]})
    (folder / "predictions").mkdir()
    (folder / "predictions" / "c00s0.npz").write_bytes(torn)

    build_report(folder, tmp_path / "report")

    assert read_strictly(tmp_path / "report" / "report.json")["num_classes"] is None


def test_not_a_results_folder_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="not a results folder"):
        build_report(tmp_path, tmp_path / "report")
