import json
import re
import subprocess
import sys
from html import unescape
from pathlib import Path
from typing import Any

import pytest
from markdown_it import MarkdownIt

from nin_bench.errors import ResultsError, printable
from nin_bench.reporting.build import build_report, build_search_report
from nin_bench.reporting.figures import SEARCH_FIGURES
from tests.report_fixture import learning, metrics, record, write_results
from tests.search_fixture import (
    RATES,
    failed,
    pruned,
    run,
    sweep,
    trial,
    write_search,
    write_search_showcase,
    write_two_parameters,
)

ROOT = Path(__file__).parents[2]


def read_strictly(path: Path) -> dict[str, Any]:
    def refuse(constant: str) -> None:
        raise AssertionError(f"{constant} is not JSON")

    content: dict[str, Any] = json.loads(path.read_text(), parse_constant=refuse)
    return content


@pytest.fixture(scope="module")
def showcase(tmp_path_factory: pytest.TempPathFactory) -> Path:
    root = tmp_path_factory.mktemp("search")
    build_search_report(write_two_parameters(root / "results"), root / "report")
    return root / "report"


def test_page_says_what_the_studies_say(tmp_path: Path) -> None:
    first = sweep([0.70, 0.80, 0.85, [0.87, 0.85], [0.85, 0.1], None])
    folder = write_search(tmp_path / "s", {"a": [*first, failed(6, {"lr": 1.0})], "b|c": sweep([0.1] * 6)})

    path = build_search_report(folder, tmp_path / "report")
    page = path.read_text()

    assert path == tmp_path / "report" / "search.md"
    assert page.startswith("# lr_search · cpu · search\n\n**Question.** Which learning rate suits each network?\n")
    assert "\na has the highest validation accuracy in %, 86.0 ± 1.4 (n=2) with lr 0.0631.\n" in page
    assert (
        "| a | lr 0.0631 | 86.0 ± 1.4 (n=2) | – | 6 of 6 | none |\n"
        "| b\\|c | lr 0.001 (arbitrary) | – | – | 6 of 6 | nothing learned |\n"
    ) in page
    # within one point of .86: the .6 decades down to .85, and some of those up to where one did not learn
    assert "| a | 1,000 | 0.0631 | 86.0 ± 1.4 (n=2) | 0.60–1.20 decades | 80 % (39 to 96 %) | 6 | 4 |\n" in page
    assert "| b\\|c | 2,000 | – | – | – | 0 % (0 to 41 %) | 6 | – |\n" in page
    # worth .70 .80 .85 .86 .425 0
    assert "| variant | k = 1 | k = 2 | k = 4 | k = 6 |\n|---|---:|---:|---:|---:|\n| a | 60.6 | 79.5 |" in page
    assert "| a | 6 of 6 | 0 | 1 | 1 | 1 | ≥ 144 | ≥ 9.0 | 80 (at most 80, n=6) |\n" in page
    assert "| Searched | lr 0.001 to 1 on a log scale |\n" in page
    assert "optuna-dashboard sqlite:///RESULTS_DIR/studies.db\n" in page
    assert "- a: lr_search/cpu/v00\n" in page
    assert re.findall("^## (.+)$", page, re.MULTILINE) == [
        "Warnings", "How easy each is to tune", "Budget", "Setting", "Look at the studies yourself",
    ]  # fmt: skip
    assert (tmp_path / "report" / "search.html").read_text().count("<h2") == 5


def test_every_figure_on_the_page_exists(showcase: Path) -> None:
    named = re.findall(r"\(figures/(\w+).svg\)", (showcase / "search.md").read_text())
    assert sorted({*named}) == sorted(name for name, *_ in SEARCH_FIGURES)
    for name in named:
        assert (showcase / "figures" / f"{name}.svg").stat().st_size > 5_000


def test_json_holds_the_page_unrounded(tmp_path: Path) -> None:
    trials = sweep([0.70, 0.80, 0.85, [0.8612345, 0.8587655], 0.8, 0.7])
    build_search_report(write_search(tmp_path / "s", {"a": trials}), tmp_path / "report")
    report = read_strictly(tmp_path / "report" / "search.json")

    [choice], [curve], [budget], [study] = (report[key] for key in ("choices", "curves", "budgets", "studies"))
    assert report["leader"] == choice
    assert choice["params"] == {"lr": RATES[3]}
    assert choice["value"]["mean"] == pytest.approx(0.86, rel=1e-12)
    assert curve["peak"]["rate"] == RATES[3]
    assert [point["learned"] for point in curve["points"]] == [{"count": 2, "of": 2}] * 6
    assert len(budget["expected_best"]) == 6
    run = study["trials"][3]["runs"][0]
    assert (run["seed"], run["outcome"], run["escaped"], run["learned"]) == (10_000, "trained", True, True)
    assert run["history"][-1]["validation_accuracy"] == 0.8612345
    assert report["settings"]["space"] == {"lr": {"low": 0.001, "high": 1.0, "log": True}}
    assert report["axis"] == {"name": "lr", "low": 0.001, "high": 1.0, "log": True}


def test_the_same_studies_give_the_same_bytes_wherever_they_lie(tmp_path: Path) -> None:
    for place in ("here", "else/where"):
        folder = write_two_parameters(tmp_path / place, variants=2)
        build_search_report(folder, tmp_path / place / "report")
    first, second = tmp_path / "here" / "report", tmp_path / "else/where" / "report"
    files = sorted(path.relative_to(first) for path in first.rglob("*") if path.is_file())
    assert {path.name for path in files} >= {"search.md", "search.html", "search.json", "search_curves.svg"}
    for name in files:
        assert (first / name).read_bytes() == (second / name).read_bytes(), name


def test_two_parameters_have_importances(showcase: Path) -> None:
    page, report = (showcase / "search.md").read_text(), read_strictly(showcase / "search.json")
    [row, *_] = re.findall(r"^\| nin pointwise=0 \| 12 \| .*$", page, re.MULTILINE)
    shares = report["importances"][0]["shares"]
    assert row.startswith(f"| nin pointwise=0 | 12 | {100 * shares['lr']:.0f} % |")
    assert "| Searched | lr 0.001 to 1 on a log scale · init default, xavier_uniform |\n" in page
    assert " lr 0.1 " not in re.findall(r"^\| Recipe of a run .*$", page, re.MULTILINE)[0]


def test_a_loss_is_given_in_nats(tmp_path: Path) -> None:
    def made(number: int, loss: float, accuracy: float, told: float) -> dict[str, Any]:
        runs = [run(accuracy, seed, loss=loss) for seed in (10_000, 10_001)]
        return trial(number, {"lr": RATES[number]}, [accuracy] * 2, value=told, runs=runs)

    trials = [made(0, 0.9, 0.7, 0.9), made(1, 0.5, 0.8, 0.5), made(2, 2.3, 0.1, 23.0)]
    folder = write_search(
        tmp_path / "s", {"a": trials}, trials=3, objective="validation_loss", direction="minimize"
    )
    page = build_search_report(folder, tmp_path / "report").read_text()
    assert "\na has the lowest validation loss in nats, 0.500 ± 0.000 (n=2) with lr 0.00398.\n" in page
    assert "| a | 8.133 | 0.633 | 0.500 |\n" in page


def test_a_pruner_is_said_with_what_was_spent(tmp_path: Path) -> None:
    trials = [trial(0, {"lr": 0.1}, [0.9, 0.9]), pruned(1, {"lr": 0.01}, [0.5, 0.5])]
    folder = write_search(tmp_path / "s", {"a": trials}, trials=2, pruner="median", storage="postgresql")
    page = build_search_report(folder, tmp_path / "report").read_text()
    assert "| a | 1 of 2 | 1 | 0 | 0 | 0 | 32 |" in page
    assert "| variant | k = 1 |\n|---|---:|\n| a | 90.0 |\n" in page
    assert "optuna-dashboard STORAGE\n" in page
    assert "STORAGE is the postgresql address" in page


def test_hostile_names_neither_run_nor_break_a_table(tmp_path: Path) -> None:
    names = ["<script>alert(1)</script>", "a|b", "x\n\n# heading", "\u202eevil", "![x](http://e.com/x.png)",
             "`", "$\\frac{1}{0}$", "www.e.com", "@somebody #12 :smile:"]  # fmt: skip
    init = ["<b>|</b>", "![y](http://e.com)"]
    trials = [trial(n, {"init": init[n]}, [0.9, 0.8]) for n in range(2)]
    folder = write_search(
        tmp_path / "s",
        dict.fromkeys(names, trials),
        space={"init": init},
        trials=3,
        question="<img src=x onerror=alert(1)>\n# not a heading",
    )

    page = build_search_report(folder, tmp_path / "report").read_text()

    html = MarkdownIt("commonmark").enable("table").render(page).replace("<!-- -->", "")
    first_cells = [unescape(cell) for cell in re.findall(r"<tr>\s*<td>(.*?)</td>", html)]
    assert "\u202e" not in page
    assert not re.search('<(script|b>|img (?!src="figures/))', html)
    assert 'href="http' not in html
    assert re.findall("<h1>(.*)</h1>", html) == ["lr_search · cpu · search"]
    shown = [printable(re.sub(r"\s*\n\s*", " ", name)) for name in names]
    assert first_cells[: 3 * len(names)] == shown * 3
    assert len(re.findall(r"<table>", html)) == 4


@pytest.mark.parametrize("studies", [{"a": None}, {"a": [failed(0, {"lr": 0.1})]}, {"a": [], "b": None}])
def test_nothing_complete_is_said(tmp_path: Path, studies: dict[str, Any]) -> None:
    page = build_search_report(write_search(tmp_path / "s", studies), tmp_path / "report").read_text()
    assert "**No trial has learned anything yet: there is nothing to choose.**" in page
    assert "| a | – | – | – | 0 of 6 | no trial completed |" in page
    assert "How easy each is to tune" not in page
    assert "k = 1" not in page
    read_strictly(tmp_path / "report" / "search.json")


def test_one_trial_makes_a_whole_page(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {"a": [trial(0, {"lr": 0.1}, [0.9])]}, trials=1, seeds=[10_000])
    page = build_search_report(folder, tmp_path / "report").read_text()
    assert "| a | lr 0.1 | 90.0 (n=1) | – | 1 of 1 | none |\n" in page
    assert page.count("Every trial trained one seed") == 1
    assert "| a | 1,000 | 0.1 | 90.0 (n=1) | 100 % (21 to 100 %) | 1 | 1 |\n" in page


def test_a_seed_that_fell_back_to_chance_level_has_not_learned(tmp_path: Path) -> None:
    trials = sweep([0.70, 0.80, 0.85, 0.86, 0.1, None])
    before = build_search_report(write_search(tmp_path / "1", {"a": trials}), tmp_path / "1" / "report")
    trials[4]["runs"][0]["escaped"] = True
    trials[4]["escaped"] = True
    after = build_search_report(write_search(tmp_path / "2", {"a": trials}), tmp_path / "2" / "report")
    assert after.read_text() == before.read_text()
    report = read_strictly(after.parent / "search.json")
    point = report["curves"][0]["points"][4]
    assert (point["escaped"], point["learned"]) == ({"count": 1, "of": 2}, {"count": 0, "of": 2})


def test_names_say_only_what_tells_variants_apart(tmp_path: Path) -> None:
    labels = ["nin pointwise=0 width=0.25", "nin pointwise=1 width=0.25"]
    folder = write_search(tmp_path / "s", dict.fromkeys(labels, sweep([0.8] * 6)))
    page = build_search_report(folder, tmp_path / "report").read_text()
    assert "\n| nin pointwise=0 | lr 0.001 |" in page
    assert "- nin pointwise=0: its best learning rate" in page
    assert "- **pointwise**: " in page
    assert page.count("width=0.25") == 1


def test_without_a_number_to_search_there_is_no_curve(tmp_path: Path) -> None:
    trials = [trial(n, {"init": init}, [0.9 - 0.1 * n, 0.9]) for n, init in enumerate(("default", "normal"))]
    folder = write_search(tmp_path / "s", {"a": trials}, space={"init": ["default", "normal"]}, trials=2)
    page = build_search_report(folder, tmp_path / "report").read_text()
    assert "How easy" not in page
    assert [path.stem for path in (tmp_path / "report" / "figures").glob("*.svg")] == ["search_budget"]


def test_variants_that_differ_in_more_than_the_search_are_told(tmp_path: Path) -> None:
    folder = write_search(
        tmp_path / "s",
        {"a": sweep([0.8] * 6), "b": sweep([0.7] * 6)},
        recipes={"b": {"lr": 0.5, "batch_size": 64}},
    )
    page = build_search_report(folder, tmp_path / "report").read_text()
    assert "| batch_size | 32 | a |\n| batch_size | 64 | b |\n" in page
    assert "| lr | " not in page  # which is searched


def test_what_was_left_out_is_named(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {"a": sweep([0.8] * 6), "b": None})
    (folder / "studies" / "v01.json").write_text('{"schema": 1')
    page = build_search_report(folder, tmp_path / "report").read_text()
    assert "## Left out\n\n- studies/v01.json was left out: it is not whole JSON" in page


def test_it_shares_its_folder_with_the_report_of_a_run(tmp_path: Path) -> None:
    cell = record(metrics=metrics(0.9), history=learning(2, 0.9, 0))
    build_report(write_results(tmp_path / "run", {"a": [cell]}), tmp_path / "report")
    build_search_report(write_search(tmp_path / "1", {"a": sweep([0.8] * 6)}), tmp_path / "report")
    figures = tmp_path / "report" / "figures"
    assert {path.stem for path in figures.iterdir()} >= {"learning_curves", "search_curves"}
    build_search_report(write_search(tmp_path / "2", {"a": None}), tmp_path / "report")
    assert "learning_curves" in {path.stem for path in figures.iterdir()}
    assert not list(figures.glob("search_*"))


def test_a_folder_that_was_never_searched_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ResultsError, match="nothing was searched here"):
        build_search_report(tmp_path, tmp_path / "report")
    assert not (tmp_path / "report").exists()


def test_it_never_takes_the_place_of_the_search(tmp_path: Path) -> None:
    folder = write_search(tmp_path / "s", {"a": sweep([0.8] * 6)})
    before = (folder / "search.json").read_bytes()
    with pytest.raises(ResultsError, match="holds the search itself; give its report another --out"):
        build_search_report(folder, folder / "studies" / "..")
    assert (folder / "search.json").read_bytes() == before


def test_it_does_not_wait_for_torch(tmp_path: Path) -> None:
    write_two_parameters(tmp_path / "s", variants=1)
    program = """
import sys
from pathlib import Path
from nin_bench.reporting.build import build_search_report
from nin_bench.analysis.search.studies import read_search
from nin_bench.analysis.search.warnings import find_warnings

find_warnings(read_search(Path("s")))
build_search_report(Path("s"), Path("report"))
assert "sklearn" in sys.modules
assert not {"torch", "torchvision"} & set(sys.modules)
"""
    subprocess.run([sys.executable, "-W", "error", "-c", program], cwd=tmp_path, env={"PYTHONPATH": str(ROOT)},
                   check=True)  # fmt: skip


def test_the_showcase_is_read_in_the_grid_s_order(tmp_path: Path) -> None:
    folder = write_search_showcase(tmp_path / "s")
    page = build_search_report(folder, tmp_path / "report").read_text()
    table = page[page.index("| variant | best trial |") : page.index("## ")]
    assert re.findall(r"^\| (\S+)", table, re.MULTILINE)[1:] == [
        *["nin"] * 5,
        "alexnet",
        "vgg11",
        "lenet",
        "mlp",
    ]
    assert "\nvgg11 has the highest" in page
