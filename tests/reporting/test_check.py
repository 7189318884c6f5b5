import json
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from typer.testing import CliRunner

from nin_bench.cli import app
from nin_bench.errors import ResultsError
from nin_bench.reporting.build import build_report, build_search_report
from nin_bench.reporting.check import compare_reports
from tests.report_fixture import learning, metrics, record, write_results
from tests.search_fixture import sweep, write_search


def write_folder(folder):
    cells = [record(metrics=metrics(0.9 + 0.01 * seed), history=learning(2, 0.9, seed)) for seed in range(2)]
    collapsed = record(metrics=metrics(0.1, healthy=False), history=learning(2, 0.1, 0, collapsed=True))
    return write_results(folder, {"a": cells, "b": [collapsed, None]})


def check(results, report):
    done = CliRunner().invoke(app, ["report", str(results), "--out", str(report), "--check"])
    return done.exit_code, done.output.replace("\n", " ")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("check")
    build_report(write_folder(root / "results"), root / "report")
    return root


@pytest.fixture
def report(made, tmp_path):
    return Path(shutil.copytree(made / "report", tmp_path / "report"))


def test_a_report_that_follows_is_told_and_left_alone(made, report):
    before = {path: path.stat().st_mtime_ns for path in report.rglob("*")}
    status, said = check(made / "results", report)
    assert (status, said) == (0, f"{report}: follows from its records ")
    assert {path: path.stat().st_mtime_ns for path in report.rglob("*")} == before


def damage_text(report):
    path = report / "report.md"
    path.write_text(path.read_text().replace("failed", "trained", 1))
    return "report.md: does not follow from the records"


def damage_data(report):
    path = report / "report.json"
    content = json.loads(path.read_text())
    content["cells"][0]["metrics"]["test_accuracy"] += 1e-9
    path.write_text(json.dumps(content))
    return "report.json: does not follow from the records"


def damage_page(report):
    path = report / "report.html"
    path.write_text(path.read_text().replace("failed", "trained", 1))
    return "report.html: does not follow from the records"


def remove(report):
    (report / "report.json").unlink()
    return "report.json: is missing"


def remove_figure(report):
    (report / "figures" / "escape.svg").unlink()
    return "figures/escape.svg: is missing"


def add(report):
    (report / "figures" / "old.png").write_bytes(b"")
    return "figures/old.png: is no file of this report"


def paint(report):
    (report / "figures" / "escape.svg").write_text("<svg/>")
    return "figures/escape.svg: was drawn from other data"


@pytest.mark.parametrize("change", [damage_text, damage_data, damage_page, remove, remove_figure, add, paint])
def test_what_does_not_follow_is_named_in_one_line(made, report, change):
    said = change(report)
    [line] = compare_reports(made / "report", report)
    assert line.startswith(f"{report}/{said}")


def test_other_versions_of_libraries_make_no_difference(made, report):
    page = report / "report.html"
    page.write_text(
        re.sub(r"(<svg [^>]*>).*?</svg>", r"\1drawn otherwise</svg>", page.read_text(), flags=re.DOTALL)
    )
    for figure in (report / "figures").iterdir():
        figure.write_bytes(figure.read_bytes() + b" ")
    assert compare_reports(made / "report", report) == []


def test_a_figure_of_other_data_in_a_page_is_found(made, report):
    page = report / "report.html"
    page.write_text(re.sub('data-digest="....', 'data-digest="0000', page.read_text(), count=1))
    [line] = compare_reports(made / "report", report)
    assert line.startswith(f"{page}: does not follow")


def test_a_curve_that_is_in_no_mean_changes_what_figures_carry(made, tmp_path):
    folder = Path(shutil.copytree(made / "results", tmp_path / "results"))
    path = folder / "cells" / "c01s0.json"  # collapsed: in no mean, but drawn
    content = json.loads(path.read_text())
    content["history"][0]["validation_accuracy"] += 0.01
    path.write_text(json.dumps(content))
    status, said = check(folder, made / "report")
    assert status == 1
    assert "report.html: does not follow" in said
    assert "figures/learning_curves.svg: was drawn from other data" in said
    assert "report.json: does not follow" in said


def test_a_search_s_report_is_checked_with_the_run_s(tmp_path):
    folder = write_folder(tmp_path / "results")
    search = write_search(tmp_path / "search", {"a": sweep([0.8] * 6)})
    shutil.copytree(search, folder, dirs_exist_ok=True)
    report = tmp_path / "report"
    assert CliRunner().invoke(app, ["report", str(folder), "--out", str(report)]).exit_code == 0
    assert (report / "search.md").exists()
    assert check(folder, report)[0] == 0
    build_search_report(write_search(tmp_path / "other", {"a": sweep([0.7] * 6)}), report)
    status, said = check(folder, report)
    assert status == 1
    for name in ("search.md", "search.json", "figures/search_curves.svg"):
        assert f"{report}/{name}: " in said
    assert "report.md" not in said


def test_where_no_report_lies_there_is_nothing_to_check(made, tmp_path):
    with pytest.raises(ResultsError, match="nowhere: no report lies there; write one"):
        compare_reports(made / "report", tmp_path / "nowhere")


def test_wrong_input_is_no_verdict_on_a_report(made):
    arguments = ["report", "nowhere", "--out", str(made / "report"), "--check"]
    done = subprocess.run(
        [sys.executable, "-m", "nin_bench", *arguments], capture_output=True, text=True, check=False
    )
    assert done.returncode == 2
    assert done.stderr.startswith("nowhere: not a results folder")
