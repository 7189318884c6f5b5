import json
import math
import re
from html import unescape
from xml.etree import ElementTree

import pytest
from costs_fixture import CPU, cost_entry, write_costs, write_showcase_costs
from markdown_it import MarkdownIt
from matplotlib.image import imread
from predictions_fixture import ONE_WRONG, PERFECT, stored
from report_fixture import COLLAPSED, learning, locked, metrics, record, write_results, write_showcase

from nin_bench.errors import ResultsError, printable
from nin_bench.report.build import build_report
from nin_bench.report.captions import FIGURES
from nin_bench.training.evaluation import EVALUATION_BATCH


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
    assert page.startswith("# onexone · cpu\n\n**Question.** How many 1×1 layers does a NiN block need")
    assert "\n6 cells planned:\n5 trained (1 of them collapsed),\n1 missing.\n" in page
    assert (
        "| a (baseline) | 3/3 | 3/3 | 3/3 | 92.0 ± 2.0 (n=3) | 92.0 ± 2.0 (n=3) | +2.0 ± 0.0 (n=3) "
        "| more than 12 (0 of 3) |\n"
        "| b\\|c | 2/3 | 1/2 | 1/2 | 45.0 ± 49.5 (n=2) | 80.0 (n=1) | +2.0 (n=1) | – |\n"
    ) in page
    assert (
        "| a (baseline) | 800 ± 0 (n=3) | 1.50 ± 0.00 (n=3) |\n| b\\|c | 800 ± 0 (n=2) | 1.50 ± 0.00 (n=2) |\n"
    ) in page
    assert "| a (baseline) | 1.99 M | 762 M |\n| b\\|c | 61.7 k | 417 k |\n" in page
    assert (
        "Epochs to 90.0 % validation accuracy, a point less than the median cell of the baseline ends at" in page
    )
    assert (
        "| b\\|c | 1 | collapsed | never left chance level; 10 class maps dead; "
        "no prediction for 10,000 test images |\n"
    ) in page
    assert "- No record: b\\|c, seed 2\n" in page
    assert "seen while training with 2 workers side by side and not measured on their own" in page
    assert "\npython -m nin_bench report RESULTS_DIR\n" in page
    assert "results/onexone/cpu or\nresults/reference/onexone/cpu, unless" in page
    assert "## Verdicts" not in page
    assert re.findall("^## (.+)$", page, re.MULTILINE) == [
        "Setting",
        "Comparison",
        "Figures",
        "Classes never predicted",
        "Failures and collapsed runs",
        "Caveats",
        "How to make this page again",
    ]


def test_every_figure_on_the_page_exists(showcase):
    page = (showcase / "report" / "report.md").read_text()
    named = re.findall(r"\((figures/[^)]+)\)", page)

    assert len(named) == 12
    for name in named:
        assert (showcase / "report" / name).stat().st_size > 10_000


@pytest.mark.parametrize("name", FIGURES)
def test_figures_are_drawn(showcase, name):
    figures = showcase / "report" / "figures"
    svg, pixels = (figures / f"{name}.svg").read_bytes(), imread(figures / f"{name}.png")[..., :3]

    assert 0.01 < (pixels.min(axis=-1) < 0.9).mean() < 0.5
    assert pixels.shape[1] == 1800  # twice the width of a page on GitHub
    assert ElementTree.fromstring(svg).tag == "{http://www.w3.org/2000/svg}svg"
    assert b"<dc:date>" not in svg


def test_chance_is_drawn_as_the_records_say(showcase):
    figures = showcase / "report" / "figures"

    # letters are drawn as outlines, their text stands in comments
    assert "<!-- chance, 2.303 nats -->" in (figures / "training_loss.svg").read_text()
    assert "<!-- chance, 10 %: always the commonest class -->" in (figures / "learning_curves.svg").read_text()


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
        if cell["label"] == nin["label"] and cell["metrics"]["failed"] is False
    ]
    assert nin["test_accuracy_given_healthy"]["mean"] == pytest.approx(sum(healthy) / 2, rel=1e-12)
    assert report["chance"] == {"loss": math.log(10), "accuracy": 0.1}
    assert report["hypotheses"] == []


def test_the_same_records_give_the_same_bytes_wherever_they_lie(tmp_path):
    variants = {
        "a": [record(metrics=metrics(0.9), history=learning(2, 0.9, 0)), record("crashed")],
        "b": [record(metrics=metrics(0.1, **COLLAPSED), history=learning(2, 0.1, 0, collapsed=True)), None],
    }
    first, second = tmp_path / "first", tmp_path / "second"
    build_report(write_results(tmp_path / "here", variants), first)
    build_report(write_results(tmp_path / "else" / "where", variants), second)

    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert len(files) == 18
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_verdicts_come_first(tmp_path):
    claim = {
        "id": "smaller", "claim": "a | b: <fewer> parameters.", "primary": True, "metric": "num_params",
        "compare": ["a", "b"], "expect": "less", "margin": None, "factor": 2,
    }  # fmt: skip
    folder = write_results(
        tmp_path / "results",
        {
            "a": [record(metrics=metrics(0.9, num_params=1000)) for _ in range(2)],
            "b": [record(metrics=metrics(0.9, num_params=4000)) for _ in range(2)],
        },
        hypotheses=[claim],
    )

    page = build_report(folder, tmp_path / "report").read_text()
    verdict = read_strictly(tmp_path / "report" / "report.json")["hypotheses"][0]

    assert page.index("## Verdicts") < page.index("## Setting")
    assert "| smaller | a \\| b: &lt;fewer&gt; parameters. | **supported** | ×0.25 | – | exact |" in page
    assert {"id", "verdict", "effect", "interval", "n"} <= set(verdict)
    assert (verdict["id"], verdict["verdict"], verdict["effect"]) == ("smaller", "supported", 0.25)
    assert verdict["n"] is None


CLAIM = {
    "id": "better", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.01, "factor": None,
}  # fmt: skip
SIX = [record(metrics=metrics(accuracy)) for accuracy in (0.90, 0.91, 0.92, 0.93, 0.94, 0.95)]


def test_a_claim_about_networks_that_failed_has_its_effect(tmp_path):
    failed = record(metrics=metrics(0.1, **COLLAPSED))
    folder = write_results(tmp_path / "results", {"a": SIX, "b": [failed] * 6}, hypotheses=[CLAIM])

    page = build_report(folder, tmp_path / "report").read_text()
    [verdict] = read_strictly(tmp_path / "report" / "report.json")["hypotheses"]

    assert "| better | A is better. | **supported** | +82.5 points | +80.0 to +85.0 points | 6 |" in page
    assert (verdict["effect"], verdict["n"]) == (pytest.approx(0.825), 6)
    assert verdict["interval"] == pytest.approx([0.8, 0.85])


def test_what_became_of_the_lock_is_said(tmp_path):
    kept, changed = {**CLAIM, "id": "kept"}, {**CLAIM, "margin": 0.0}
    lock = locked([0], [kept, CLAIM, {**CLAIM, "id": "withdrawn"}])
    variants = {"a": SIX[:1], "b": SIX[:1]}
    honest = write_results(tmp_path / "honest", variants, hypotheses=[kept, changed], lock=lock)
    tampered = write_results(
        tmp_path / "tampered", variants, hypotheses=[kept, changed], lock={**lock, "seeds": [0, 1]}
    )

    page = build_report(honest, tmp_path / "report").read_text()
    assert "Locked at the first run and withdrawn or changed since: better, withdrawn.\n" in page
    assert "| kept | A is better. | **undecided** |" in page
    assert "digest" not in page

    page = build_report(tampered, tmp_path / "report").read_text()
    assert "**The lock no longer fits its digest" in page
    assert "| kept | A is better. | **undecided**, post hoc" in page


def test_what_the_test_images_leave_open_is_one_table(tmp_path):
    claims = [{**CLAIM, "id": "first"}, {**CLAIM, "id": "again", "margin": 0.5}]
    found = stored(tmp_path, {"a": [PERFECT, PERFECT], "b": [ONE_WRONG, ONE_WRONG]}, hypotheses=claims)
    page = build_report(found.results.folder, tmp_path / "report").read_text()
    # one of eight images differs, in both seeds alike: √(1/8 · 7/8 · 8/7 / 8) = 0.125
    assert "| first | 12.50 | 0.00 | 12.50 | 2 | 8 |\n| again | 12.50 | 0.00 | 12.50 | 2 | 8 |\n" in page
    assert page.count("the same networks tested on other images") == 1


@pytest.mark.parametrize(("commit", "said"), [("0123abc", False), ("0123abc+", True), (None, False)])
def test_a_changed_tree_is_explained_beside_its_commit(tmp_path, commit, said):
    made = record(metrics=metrics(0.9))
    made["environment"] = {**made["environment"], "commit": commit}
    page = build_report(write_results(tmp_path / "results", {"a": [made]}), tmp_path / "report").read_text()
    assert ("A commit that ends in + is one whose files were changed" in page) is said


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
    assert "| variant | trained |\n|---|---:|\n| a | 0/2 |\n" in page
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


def test_a_record_with_a_value_that_is_no_number_is_left_out_and_named(tmp_path):
    odd = record(metrics=metrics(0.9) | {"num_macs": [1]})
    folder = write_results(tmp_path / "results", {"a": [*SIX, odd], "b": [odd] * 7}, hypotheses=[CLAIM])

    page = build_report(folder, tmp_path / "report").read_text()
    [verdict] = read_strictly(tmp_path / "report" / "report.json")["hypotheses"]

    assert "| a | 6/7 | 6/6 | 6/6 | 92.5 ± 1.9 (n=6) |" in page
    assert "| b | 0/7 | – | – | – |" in page
    assert "cells/c00s6.json was left out: it is not as a run writes it (metrics.num_macs: " in page
    assert verdict["verdict"] == "not testable"


def test_nothing_measured_is_not_known(tmp_path):
    unknown = record(metrics=dict.fromkeys(metrics(0.9)))
    folder = write_results(tmp_path / "results", {"a": SIX, "b": [unknown] * 6}, hypotheses=[CLAIM])

    page = build_report(folder, tmp_path / "report").read_text()
    [verdict] = read_strictly(tmp_path / "report" / "report.json")["hypotheses"]

    assert "| b | 6/6 | – | – | – |" in page
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


@pytest.fixture(scope="module")
def measured(tmp_path_factory):
    root = tmp_path_factory.mktemp("measured")
    folder = write_showcase(root / "results", machine=CPU)
    write_showcase_costs(folder)
    (folder / "costs" / "v08.json").write_text('{"schema": 1, "variant')
    build_report(folder, root / "report")
    return root / "report"


def test_costs_are_on_the_page(measured):
    page = (measured / "report.md").read_text()
    headings = re.findall("^##+ (.+)$", page, re.MULTILINE)
    assert headings[:5] == ["Setting", "Comparison", "Costs", "On another machine", "Figures"]
    assert (
        "Measured apart from training, one process at a time, on Example CPU, 2 cores, 8.0 GiB, python 3.11.9, "
        "torch 2.14.0, nin_bench 0.1.0.\nBatches of 32, 16 images at once, bf16.\n" in page
    )
    of_baseline = "1.99 M | 1.49 M / 498 k / 0 | 762 M | 572 M / 191 M / 0 | 81.9 MB"
    assert f"| nin pointwise=2 head=gap (baseline) | {of_baseline} |" in page
    assert (
        "- Something else took part in 8 of 40 measurements: other guests of its host took up to 12 % of" in page
    )
    assert "- Not measured here: vgg11 width=0.25.\n" in page
    assert "On Another CPU, 2 cores" in page
    assert f"in batches of {EVALUATION_BATCH} images" in page
    assert "- costs/v08.json was left out: it " in page
    html = MarkdownIt("commonmark").enable("table").render(page)
    tables = re.findall("<table>.*?</table>", html, re.DOTALL)
    assert sum("training throughput" in table for table in tables) == 1
    assert not any("relative to the baseline" in table for table in tables)  # the comparison has it
    assert "|---" not in html, "some table is none"


def test_costs_are_in_the_json_unrounded(measured):
    report = read_strictly(measured / "report.json")
    own, other = report["costs"]
    assert (own["of_grid"], own["machine"], own["missing"]) == (True, CPU, ["vgg11 width=0.25"])
    assert (other["of_grid"], [row["label"] for row in other["rows"]]) == (False, ["nin pointwise=0 head=gap"])
    alexnet = next(row for row in own["rows"] if row["label"] == "alexnet")
    assert alexnet["entry"]["num_params"]["total"] == 46_764_746
    assert alexnet["relative_to_baseline"]["train_images_per_second"]["n"] == 5
    assert len(alexnet["entry"]["train"]["images_per_second"]["samples"]) == 5
    assert len(alexnet["entry"]["layers"]) == 9
    assert (measured / "figures" / "roofline.svg").exists()


def test_costs_that_were_measured_before_any_training_are_shown(tmp_path):
    folder = write_results(tmp_path / "results", {"a": [None], "b|c": [None]}, baseline="a", machine=CPU)
    for variant in ("v00", "v01"):
        write_costs(folder, variant, cost_entry())
    page = build_report(folder, tmp_path / "report").read_text()
    assert "**No cell has been trained: there is nothing to compare yet.**" in page
    assert "| b\\|c | 1,000 (950 to 1,050) | 800 (760 to 840) |" in page
    assert "| b\\|c | ×1.00 | ×1.00 | ×1.00 | 40.0 (39.6 to 40.4) |" in page


def test_estimated_and_actual_time_stand_side_by_side(tmp_path):
    attempt = {"outcome": "trained", "error": None, "estimated_seconds": 100.0}
    cells = [
        {**record(metrics=metrics(0.9)), "attempts": [{**attempt, "seconds": seconds}]} for seconds in (110, 130)
    ]
    folder = write_results(tmp_path / "results", {"a": cells})
    page = build_report(folder, tmp_path / "report").read_text()
    assert "## Estimated and actual time\n" in page
    assert "| a | 100 | 120 ± 14 (n=2) | 1.20 |\n" in page
    [row] = read_strictly(tmp_path / "report" / "report.json")["estimates"]
    assert (row["estimated_seconds"], row["ratio"]) == (100.0, 1.2)


def test_matched_controls_tell_what_is_left_of_the_difference(tmp_path):
    folder = write_results(tmp_path / "r", {"nin": [record(metrics=metrics(0.9))], "nin width=1.138": [None]})
    grid = json.loads((folder / "grid.json").read_text())
    match = {
        "size": "num_params", "to": "nin", "width": 1.138, "target": 1_992_166, "reached": 1_990_844,
        "residue": -1322 / 1_992_166,
    }  # fmt: skip
    grid["variants"][1]["match"] = match
    (folder / "grid.json").write_text(json.dumps(grid))
    page = build_report(folder, tmp_path / "out")
    assert "| nin width=1.138 | nin | parameters | 1,992,166 | 1,990,844 | −0.066 % |" in page.read_text()
    assert json.loads(page.with_suffix(".json").read_text())["matches"] == [{"label": "nin width=1.138", **match}]
