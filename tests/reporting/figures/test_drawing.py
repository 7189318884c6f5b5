import json
import shutil

import matplotlib as mpl
import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.reporting.figures import drawing, figures_of
from nin_bench.reporting.figures.drawing import Canvas, Mark, draw
from nin_bench.reporting.figures.plot_style import grid_of_panels
from nin_bench.reporting.figures.provenance import digest_in
from nin_bench.results import load_results
from tests.report_fixture import learning, metrics, record, write_results

CLAIM = {
    "id": "better", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.01, "factor": None,
}  # fmt: skip


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    cells = [record(metrics=metrics(0.9 + 0.01 * seed), history=learning(2, 0.9, seed)) for seed in range(2)]
    return write_results(tmp_path_factory.mktemp("drawing") / "r", {"a": cells, "b": cells}, hypotheses=[CLAIM])


def digests(folder):
    return {name: one.digest for name, one in figures_of(analyse(load_results(folder))).items()}


def changed(folder, path, target, edit):
    other = shutil.copytree(folder, target)
    content = json.loads((other / path).read_text())
    edit(content)
    (other / path).write_text(json.dumps(content))
    return other


def differing(folder, other):
    before, after = digests(folder), digests(other)
    return {name for name in before if before[name] != after[name]}


def test_another_sentence_changes_no_digest(folder, tmp_path):
    def edit(grid):
        grid["question"] = "another?"
        for claims in (grid["hypotheses"], grid["lock"]["hypotheses"]):
            claims[0]["claim"] = "Another sentence."

    assert differing(folder, changed(folder, "grid.json", tmp_path / "r", edit)) == set()


def test_data_change_the_digests_of_the_figures_that_draw_them_alone(folder, tmp_path):
    def edit(cell):
        cell["history"][0]["validation_accuracy"] += 1e-6

    other = changed(folder, "cells/c00s0.json", tmp_path / "r", edit)
    assert differing(folder, other) == {"learning_curves"}


def test_files_carry_the_digest_and_are_the_same_bytes_again(folder):
    analysis = analyse(load_results(folder))
    first, second = figures_of(analysis), figures_of(analysis)
    for name, one in first.items():
        assert one.file == f"figures/{name}.svg"
        assert digest_in(one.signed) == one.digest
        assert one.signed == second[name].signed
        assert one.page_svg() == second[name].page_svg()


def test_cells_of_a_figure_are_marks(folder):
    marks = [
        mark
        for found in figures_of(analyse(load_results(folder)))["seeds"].canvas.marks.values()
        for mark in found
    ]
    assert {mark.cell for mark in marks if mark.cell} == {"c00s0", "c00s1", "c01s0", "c01s1"}
    assert Mark("a, seed 1: 91.0 %", "v00", "c00s1") in marks


def test_beyond_so_many_marks_none_is_registered(monkeypatch):
    monkeypatch.setattr(drawing, "MOST_MARKS", 3)
    figure, [ax] = grid_of_panels(1, "x", "y")
    canvas = Canvas(figure, alt="", caption="")
    for number in range(3):
        [line] = ax.plot([number], [0], marker="o")
        canvas.mark(line, Mark("one"), Mark("two"))
    assert list(map(len, canvas.marks.values())) == [2]


@pytest.mark.parametrize("title", ["naïve ± 3", "文字"])
def test_a_figure_holds_its_words_as_text_in_any_script(title):
    def make():
        figure, [ax] = grid_of_panels(1, "x", "y")
        ax.set_title(title)
        return Canvas(figure, alt="", caption="How to read it.")

    found = draw("one", "One", make)
    assert title in found.svg.decode()


def test_the_users_own_settings_of_matplotlib_change_no_figure():
    def make():
        figure, [ax] = grid_of_panels(1, "x", "y")
        ax.plot([1, 2], [3, 4])
        return Canvas(figure, alt="", caption="")

    plain = draw("one", "One", make).signed
    with mpl.rc_context({"text.usetex": True, "lines.linewidth": 9, "path.simplify": False}):
        assert draw("one", "One", make).signed == plain
        assert mpl.rcParams["lines.linewidth"] == 9


def test_nothing_to_draw_is_no_drawing():
    assert draw("one", "One", lambda: None) is None
