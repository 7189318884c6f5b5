import json
import math
import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from nin_bench.errors import ResultsError, printable
from nin_bench.reporting.build import build_report
from tests.costs_fixture import CPU, cost_entry, write_costs, write_showcase_costs
from tests.report_fixture import COLLAPSED, learning, metrics, record, write_results, write_showcase


def read_strictly(path):
    def refuse(constant):
        raise AssertionError(f"{constant} is not JSON")

    return json.loads(path.read_text(), parse_constant=refuse)


CLAIM = {
    "id": "better", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.01, "factor": None,
}  # fmt: skip
SIX = [record(metrics=metrics(accuracy)) for accuracy in (0.90, 0.91, 0.92, 0.93, 0.94, 0.95)]


@pytest.fixture(scope="module")
def showcase(tmp_path_factory):
    root = tmp_path_factory.mktemp("build")
    folder = write_showcase(root / "results", machine=CPU)
    write_showcase_costs(folder)
    (folder / "costs" / "v08.json").write_text('{"schema": 1, "variant')
    build_report(folder, root / "report")
    return root / "report"


def test_the_page_has_its_sections_in_order(showcase):
    assert re.findall("^##+ (.+)$", (showcase / "report.md").read_text(), re.MULTILINE) == [
        "Interactions", "Costs", "On another machine", "Learning curves", "Scores",
        "Failed networks and lost classes", "Setting", "Left out", "Reproducibility checklist",
        "How to read this",
    ]  # fmt: skip


def test_every_figure_that_is_drawn_is_on_the_page_and_beside_it(showcase):
    named = set(re.findall(r"\((figures/[^)]+)\)", (showcase / "report.md").read_text()))
    drawn = {f"figures/{path.name}" for path in (showcase / "figures").glob("*.svg")}
    assert named == drawn
    assert len(drawn) >= 8
    page = (showcase / "report.html").read_text()
    assert page.count("<figure") == len(drawn)


def test_json_holds_the_page_unrounded(showcase):
    report = read_strictly(showcase / "report.json")
    nin = report["comparison"][2]
    assert report["outcomes"] == {"trained": 24, "crashed": 1, "diverged": 1, "missing": 1}
    assert (nin["label"], nin["num_params"], nin["num_macs"]) == (
        "nin pointwise=2 head=gap", 1_992_166, 762_297_352,
    )  # fmt: skip
    assert nin["failed"] == {"count": 1, "of": 3}
    accuracies = [cell["metrics"]["test_accuracy"] for cell in report["cells"] if cell["label"] == nin["label"]]
    assert nin["test_accuracy"]["mean"] == pytest.approx(sum(accuracies) / 3, rel=1e-12)
    assert report["chance"] == {"loss": math.log(10), "accuracy": 0.1}
    own, other = report["costs"]
    assert (own["of_grid"], own["machine"], own["missing"]) == (True, CPU, ["vgg11 width=0.25"])
    assert (other["of_grid"], [row["label"] for row in other["rows"]]) == (False, ["nin pointwise=0 head=gap"])
    alexnet = next(row for row in own["rows"] if row["label"] == "alexnet")
    assert alexnet["entry"]["num_params"]["total"] == 46_764_746
    assert len(alexnet["entry"]["train"]["images_per_second"]["samples"]) == 5


def test_the_same_records_give_the_same_bytes_wherever_they_lie(tmp_path):
    variants = {
        "a": [record(metrics=metrics(0.9), history=learning(2, 0.9, 0)), record("crashed")],
        "b": [record(metrics=metrics(0.1, **COLLAPSED), history=learning(2, 0.1, 0, collapsed=True)), None],
    }
    first, second = tmp_path / "first", tmp_path / "second"
    build_report(write_results(tmp_path / "here", variants), first)
    build_report(write_results(tmp_path / "else" / "where", variants), second)

    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert {path.name for path in files} >= {
        "report.md",
        "report.html",
        "report.json",
        "escape.svg",
        "variants.tex",
    }
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_a_verdict_keeps_its_contract(tmp_path):
    claim = {**CLAIM, "id": "smaller", "metric": "num_params", "expect": "less", "margin": None, "factor": 2}
    a, b = ([record(metrics=metrics(0.9, num_params=size))] * 6 for size in (1000, 4000))
    build_report(write_results(tmp_path / "r", {"a": a, "b": b}, hypotheses=[claim, CLAIM]), tmp_path / "report")
    counted, tested = read_strictly(tmp_path / "report" / "report.json")["hypotheses"]
    kept = ("id", "verdict", "effect", "interval", "n")
    assert [counted[name] for name in kept] == ["smaller", "supported", 0.25, None, None]
    assert [tested[name] for name in kept] == ["better", "refuted", 0.0, [0.0, 0.0], 6]


def test_hostile_names_neither_run_nor_break_a_table(tmp_path):
    names = ["<script>alert(1)</script>", "a|b", "x\n\n# heading", "\u202eevil", "![x](http://e.com/x.png)",
             "`", "]( )[", "</td>", "www.e.com", "a@e.com", "@somebody #12 :smile:"]  # fmt: skip
    folder = write_results(
        tmp_path / "results",
        {name: [record(metrics=metrics(0.9)), record("crashed", error=f"{name} | <img src=x>")] for name in names},
        question="<img src=x onerror=alert(1)>\n# not a heading",
    )  # fmt: skip

    page = build_report(folder, tmp_path / "report").read_text()

    html = MarkdownIt("commonmark").enable("table").render(page).replace("<!-- -->", "")
    first_cells = [unescape(cell) for cell in re.findall(r"<tr>\s*<td>(.*?)</td>", html)]
    shown = [printable(re.sub(r"\s*\n\s*", " ", name)) for name in names]
    assert "\u202e" not in page
    assert not re.search('<(script|img (?!src="figures/))', html)
    assert 'href="http' not in html
    assert re.findall("<h1>(.*)</h1>", html) == ["onexone · cpu"]
    assert first_cells[: len(names)] == shown


@pytest.mark.parametrize("made", [None, record("crashed", error="boom"), record("invalid")])
def test_nothing_trained_is_said(tmp_path, made):
    folder = write_results(tmp_path / "results", {"a": [made, made], "b": [made, None]})
    page = build_report(folder, tmp_path / "report").read_text()
    assert "**No cell has been trained: there is nothing to compare yet.**" in page
    read_strictly(tmp_path / "report" / "report.json")


def test_figures_that_no_longer_follow_are_removed(tmp_path):
    full = write_results(tmp_path / "full", {"a": [record(metrics=metrics(0.9), history=learning(2, 0.9, 0))]})
    empty = write_results(tmp_path / "empty", {"a": [None]})
    build_report(full, tmp_path / "report")
    assert list((tmp_path / "report" / "figures").iterdir())
    build_report(empty, tmp_path / "report")
    assert list((tmp_path / "report" / "figures").iterdir()) == []


@pytest.mark.parametrize("metrics_", [metrics(0.9) | {"num_macs": [1]}, dict.fromkeys(metrics(0.9))])
def test_what_is_not_known_is_not_tested(tmp_path, metrics_):
    odd = record(metrics=metrics_)
    folder = write_results(tmp_path / "results", {"a": SIX, "b": [odd] * 6}, hypotheses=[CLAIM])
    build_report(folder, tmp_path / "report")
    [verdict] = read_strictly(tmp_path / "report" / "report.json")["hypotheses"]
    assert verdict["verdict"] == "not testable"


def test_not_a_results_folder_is_refused(tmp_path):
    with pytest.raises(ResultsError, match="not a results folder"):
        build_report(tmp_path, tmp_path / "report")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda grid: grid.pop("question"), "question: field required"),
        (lambda grid: grid["variants"][0].pop("recipe"), "variants.0.recipe: field required"),
        (
            lambda grid: grid["variants"][0]["recipe"].update(epochs="ten"),
            "variants.0.recipe.epochs: input should be",
        ),
        (lambda grid: grid["cells"][1].pop("seed"), "cells.1.seed: field required"),
        (
            lambda grid: grid["cells"][1].update(variant_id="v99"),
            "cells.1.variant_id: 'v99' is none of the variants",
        ),
        (lambda grid: grid["hypotheses"][0].pop("expect"), "hypotheses.0.expect: field required"),
        (
            lambda grid: grid["hypotheses"][0].update(metric="speed"),
            "hypotheses.0.metric: unknown metric",
        ),
        (lambda grid: grid["lock"].pop("seeds"), "lock.seeds: field required"),
        (lambda grid: grid.update(seeds=3), "seeds: input should be a valid tuple"),
    ],
)
def test_a_grid_file_that_lacks_something_is_refused_in_one_line(tmp_path, change, message):
    folder = write_results(tmp_path / "results", {"a": SIX[:1], "b": SIX[:1]}, hypotheses=[CLAIM])
    grid = json.loads((folder / "grid.json").read_text())
    change(grid)
    (folder / "grid.json").write_text(json.dumps(grid))

    with pytest.raises(ResultsError) as refused:
        build_report(folder, tmp_path / "report")

    assert message in str(refused.value)
    assert "\n" not in str(refused.value)
    assert not (tmp_path / "report").exists()


@pytest.mark.parametrize("occupied", ["report", "report/figures"])
@pytest.mark.parametrize("made", [record(metrics=metrics(0.9)), None], ids=["figures", "no figure"])
def test_a_file_where_a_folder_has_to_be_is_refused_in_one_line(tmp_path, occupied, made):
    folder = write_results(tmp_path / "results", {"a": [made]})
    (tmp_path / occupied).parent.mkdir(exist_ok=True)
    (tmp_path / occupied).write_text("in the way")

    with pytest.raises(ResultsError, match="give the report a folder that can be written") as refused:
        build_report(folder, tmp_path / "report")

    assert "\n" not in str(refused.value)
    assert (tmp_path / occupied).read_text() == "in the way"


def test_costs_that_were_measured_before_any_training_are_shown(tmp_path):
    folder = write_results(tmp_path / "results", {"a": [None], "b|c": [None]}, baseline="a", machine=CPU)
    for variant in ("v00", "v01"):
        write_costs(folder, variant, cost_entry())
    page = build_report(folder, tmp_path / "report").read_text()
    assert "**No cell has been trained: only counts and costs can be compared.**" in page
    assert "| b\\|c | 1,000 (950–1,050) | ×1.00 | " in page


def test_estimated_and_actual_time_are_compared(tmp_path):
    attempt = {"outcome": "trained", "error": None, "estimated_seconds": 100.0}
    cells = [
        {**record(metrics=metrics(0.9)), "attempts": [{**attempt, "seconds": seconds}]} for seconds in (110, 130)
    ]
    folder = write_results(tmp_path / "results", {"a": cells})
    page = build_report(folder, tmp_path / "report").read_text()
    assert "took ×1.20 the time that was estimated" in page
    [row] = read_strictly(tmp_path / "report" / "report.json")["estimates"]
    assert (row["estimated_seconds"], row["ratio"]) == (100.0, 1.2)
