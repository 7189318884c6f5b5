import re
from xml.etree import ElementTree

import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.analysis.search.analysis import analyse_search
from nin_bench.analysis.search.studies import read_search
from nin_bench.reporting.figures import figures_of, search_figures_of
from nin_bench.reporting.figures.drawing import Canvas, Mark, draw
from nin_bench.reporting.figures.plot_style import PALETTE, grid_of_panels
from nin_bench.results import load_results
from tests.costs_fixture import CPU, write_showcase_costs
from tests.report_fixture import write_showcase
from tests.search_fixture import write_search_showcase


@pytest.fixture(scope="module")
def drawings(tmp_path_factory):
    root = tmp_path_factory.mktemp("svg")
    folder = write_showcase(root / "r", machine=CPU)
    write_showcase_costs(folder)
    search = analyse_search(read_search(write_search_showcase(root / "s", 3)))
    return {**figures_of(analyse(load_results(folder))), **search_figures_of(search)}


def test_every_mark_is_joined_to_what_it_stands_for(drawings):
    for name, drawing in drawings.items():
        root = ElementTree.fromstring(drawing.page_svg())
        found = [
            (one.get("data-says"), one.get("data-variant"), one.get("data-cell"))
            for one in root.iter()
            if one.get("data-says") is not None
        ]
        marks = [mark for marks in drawing.canvas.marks.values() for mark in marks]
        assert sorted(map(str, found)) == sorted(str((m.says, m.variant, m.cell)) for m in marks), name


def test_nothing_is_left_that_a_page_would_refuse_or_ask_for(drawings):
    for drawing in drawings.values():
        page = drawing.page_svg()
        assert not re.search(
            r"style=|<style|<metadata|<\?xml|<!|xmlns|xlink|https?:|<image|<script|\son\w+=", page
        )
        assert not re.search(r"NaN|inf\b", page)


def test_ids_have_the_figure_s_name_and_every_reference_leads_to_one(drawings):
    seen = set()
    for name, drawing in drawings.items():
        page = drawing.page_svg()
        ids = re.findall(r'\bid="([^"]*)"', page)
        assert all(one == name or one.startswith(f"{name}-") for one in ids)
        assert not seen & set(ids)
        seen |= set(ids)
        wanted = re.findall(r'href="#([^"]*)"|url\(#([^)]*)\)', page)
        assert {href or url for href, url in wanted} <= set(ids)


def test_every_colour_follows_the_page(drawings):
    used = set()
    for drawing in drawings.values():
        used |= set(re.findall(r'(?:fill|stroke)="([^"]*)"', drawing.page_svg()))
    own = {f"var(--series-{number})" for number in range(len(PALETTE))}
    squares = {"#0b6aa8", "#fdfdfd"}  # of confusions
    assert used <= own | squares | {"currentColor", "var(--page)", "none"}


def test_a_figure_says_what_it_is_and_carries_its_digest(drawings):
    for name, drawing in drawings.items():
        root = ElementTree.fromstring(drawing.page_svg())
        assert (root.get("id"), root.get("aria-label"), root.get("data-digest")) == (
            name,
            drawing.alt,
            drawing.digest,
        )
        assert "width" not in root.attrib


def test_parts_and_switches_name_their_variant(drawings):
    root = ElementTree.fromstring(drawings["accuracy_against_costs"].page_svg())
    switches = [one for one in root.iter("g") if one.get("data-switch")]
    assert [one.get("data-switch") for one in switches] == [f"v{number:02}" for number in range(9)]
    assert {one.get("role") for one in switches} == {"button"}
    bands = ElementTree.fromstring(drawings["escape"].page_svg()).iterfind(".//g[@data-variant]")
    assert len(list(bands)) == 9


def test_text_keeps_its_spaces_and_its_markup():
    def make():
        figure, [ax] = grid_of_panels(1, "x", "y")
        ax.set_title("a  <b> & c")
        [line] = ax.plot([0], [0], marker="o", linestyle="", color=PALETTE[1][0])
        canvas = Canvas(figure, alt='"quoted"', caption="")
        canvas.mark(line, Mark('<i> & "x"', 'v"0'))
        return canvas

    page = draw("one", "One", make).page_svg()
    root = ElementTree.fromstring(page)
    assert "a  <b> & c" in ["".join(text.itertext()) for text in root.iter("text")]
    [mark] = root.iterfind(".//*[@data-says]")
    assert (mark.get("data-says"), mark.get("data-variant"), mark.get("fill")) == (
        '<i> & "x"',
        'v"0',
        "var(--series-1)",
    )
    assert "<b>" not in page
