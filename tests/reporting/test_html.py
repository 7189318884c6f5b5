"""report.html as a reader has it: opened in a browser, looked at, clicked on."""

import json
import re
from pathlib import Path

import pytest

from nin_bench.errors import printable
from nin_bench.reporting.blocks import Page, Paragraph, Strong, Table
from nin_bench.reporting.build import build_report
from nin_bench.reporting.html import render_html
from tests.browser import opened
from tests.costs_fixture import CPU, write_showcase_costs
from tests.report_fixture import learning, metrics, record, write_results, write_showcase

ROOT = Path(__file__).parents[2]
HOSTILE = [
    "<script>alert(1)</script>",
    "</script><script>alert(2)</script>",
    "<img src=x onerror=alert(3)> 1",
    '" onmouseover="alert(4)" 2',
    "a|b `c` [d](javascript:alert(5)) ![e](http://127.0.0.1/f)",
    "<b>bold</b> <a href='javascript:alert(6)'>g</a> &lt;i&gt; %{x} $h$",
    "<!-- --> {{ 7 * 7 }} \u2028 \u202egnirts",
]


def claim(name, metric, a, b, **others):
    fields = {"primary": True, "expect": "greater", "margin": 0.01, "factor": None, "claim": f"{name} is so."}
    return {"id": name, "metric": metric, "compare": [a, b], **fields, **others}


CLAIMS = [
    claim("one-beats-none", "test_accuracy", "nin pointwise=1 head=gap", "nin pointwise=0 head=gap"),
    claim("two-beat-none", "test_accuracy", "nin pointwise=2 head=gap", "nin pointwise=0 head=gap"),
    claim("a-tenth", "num_params", "nin pointwise=2 head=gap", "alexnet", expect="less", margin=None, factor=10),
    claim("more-macs", "num_macs", "nin pointwise=2 head=gap", "alexnet", margin=0),
]


@pytest.fixture(scope="module")
def showcase(tmp_path_factory):
    root = tmp_path_factory.mktemp("html")
    folder = write_showcase(root / "results", machine=CPU, hypotheses=CLAIMS)
    write_showcase_costs(folder)
    build_report(folder, root / "report")
    return root / "report" / "report.html"


@pytest.fixture(scope="module")
def onexone(tmp_path_factory):
    out = tmp_path_factory.mktemp("onexone")
    build_report(ROOT / "results" / "reference" / "onexone" / "cpu", out)
    return out / "report.html"


def column(table, number):
    return [text.strip() for text in table.locator(f"tbody td:nth-child({number})").all_inner_texts()]


def table_with(page, heading):
    return page.locator("table").filter(has=page.get_by_role("button", name=heading, exact=True)).first


def test_blocks_are_html_that_needs_no_inline_style() -> None:
    words = "A cell of more letters than a name or a number needs is a sentence."
    cells = ((Strong("supported", "supported"), " <i>"), "1")
    page = render_html(Page("p", (Table(("a", "b"), (cells,), keys=("c1",)), Table(("a",), ((words,),)))), {})
    assert '<th>a</th><th class="number">b</th>' in page
    assert '<tr data-cell="c1"><td><strong class="verdict supported">supported</strong> &lt;i&gt;</td>' in page
    assert re.findall("<table.*?>", page) == ["<table>", '<table class="prose">']
    assert "style=" not in page


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_letter_by_letter(text) -> None:
    page = render_html(Page(text, (Paragraph(text),)), {}, {"cells": {"c": {"title": text}}})
    body = page.partition("<main>")[2].partition("</main>")[0]
    assert not re.search("<(script|img|b|a)[ >]", body)
    [embedded] = re.findall('<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert not re.search("[<>&\u2028\u2029\u202e]", embedded)
    assert json.loads(embedded) == {"cells": {"c": {"title": printable(text)}}}


def test_the_reference_report_opens_without_a_complaint(browser, onexone):
    with opened(browser, onexone) as page:
        assert page.locator("h1").inner_text() == "onexone · cpu"
        assert page.locator("tr[data-cell]").count() == 120
        page.locator("#theme").click()


def test_what_has_no_common_unit_is_not_sorted(browser, onexone):
    with opened(browser, onexone) as page:
        verdicts = table_with(page, "claim")
        assert "effect" not in verdicts.locator("th button").all_inner_texts()
        dense = table_with(page, "weights of the first dense layer")
        dense.get_by_role("button", name="weights of the first dense layer").click()
        assert column(dense, 3) == ["590 k", "885 k", *["none"] * 5]


def test_a_phone_shows_a_verdict_whole_and_keeps_names_in_sight(browser, onexone):
    with opened(browser, onexone, viewport={"width": 390, "height": 844}) as page:
        row = page.locator("section:has(#claims) tbody tr").first
        assert row.locator("td").evaluate_all(
            "(all) => all.every((cell) => cell.getBoundingClientRect().right <= innerWidth)"
        )
        box = page.locator("section:has(#costs) .table:has(th:nth-child(8))").first
        name = box.locator("tbody td").first
        before = name.bounding_box()
        box.evaluate("(box) => box.scrollBy(500, 0)")
        assert box.evaluate("(box) => box.scrollLeft") > 0
        assert name.bounding_box() == before


def test_verdicts_come_first_and_are_said_in_words_and_colours(browser, showcase):
    with opened(browser, showcase) as page:
        words = page.locator("main > ul .verdict")
        assert words.all_inner_texts() == ["undecided", "undecided", "supported", "refuted"]
        colors = words.evaluate_all("(found) => found.map((word) => getComputedStyle(word).color)")
        assert len(set(colors)) == 3
        assert page.locator("h2").first.inner_text() == "Claims"


def test_a_heading_sorts_by_number_up_and_down_and_what_is_not_known_stays_last(browser, showcase):
    with opened(browser, showcase) as page:
        table = table_with(page, "parameters")
        heading = table.get_by_role("columnheader", name="parameters")
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
        assert column(table, 5)[:2] == ["1.55 M", "1.77 M"]
        heading.get_by_role("button").click()
        assert column(table, 5)[:2] == ["58.1 M", "57.9 M"]
        table.get_by_role("button", name="variant").click()
        assert heading.get_attribute("aria-sort") is None

        cells = table_with(page, "left chance level in epoch")
        for _ in range(2):
            cells.get_by_role("button", name="left chance level in epoch").click()
            assert column(cells, 7)[-1] == "–"


def test_a_table_is_sorted_by_keyboard_alone(browser, showcase):
    with opened(browser, showcase) as page:
        table = page.locator("main > .table table")
        page.get_by_role("region", name="table").first.focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "variant"
        page.keyboard.press("Enter")
        assert column(table, 1) == sorted(column(table, 1))
        assert table.locator("th").first.get_attribute("aria-sort") == "ascending"


def test_words_filter_rows(browser, showcase):
    with opened(browser, showcase) as page:
        section = page.locator("section:has(#every-cell)")
        section.get_by_role("searchbox").fill("GAP failed")
        rows = section.locator("tbody tr:visible")
        assert rows.count() == 3
        assert section.locator("output").inner_text() == "3 of 26 rows"
        section.get_by_role("searchbox").fill("")
        assert rows.count() == 26


def test_a_click_on_a_row_shows_the_cell(browser, showcase):
    with opened(browser, showcase) as page:
        page.locator("tr[data-cell]", has_text="vgg11").first.click()
        cell = page.locator("#cell")
        assert cell.locator("h3").inner_text() == "vgg11, seed 0"
        facts = dict(zip(cell.locator("dt").all_inner_texts(), cell.locator("dd").all_inner_texts(), strict=True))
        assert (facts["outcome"], facts["parameters"], facts["MACs per image"]) == (
            "trained", "43,093,322", "512,155,648",
        )  # fmt: skip
        cell.get_by_role("button", name="Close").click()
        assert cell.is_hidden()
        assert page.evaluate("document.activeElement.textContent") == "vgg11"
        page.locator("tr[data-cell]", has_text="crashed").get_by_role("button").press("Enter")
        assert "worker ended with signal 9 (SIGKILL)" in cell.inner_text()


def test_hostile_labels_are_shown_and_do_not_run(browser, tmp_path):
    made = [record(metrics=metrics(0.9 + 0.01 * seed), history=learning(3, 0.9, seed)) for seed in range(3)]
    claims = [claim(label, "test_accuracy", label, HOSTILE[0], claim=label) for label in HOSTILE[1:]]
    folder = write_results(
        tmp_path / "results", dict.fromkeys(HOSTILE, made), name=HOSTILE[1], question=HOSTILE[2], hypotheses=claims
    )
    build_report(folder, tmp_path / "report")
    shown = [printable(label) for label in HOSTILE]
    with opened(browser, tmp_path / "report" / "report.html") as page:
        assert page.title() == f"{shown[1]} · cpu"
        assert page.locator("h1").inner_text() == f"{shown[1]} · cpu"
        assert column(page.locator("main > .table table"), 1) == shown
        assert column(page.locator("table:has(tr[data-cell])"), 1)[::3] == shown
        assert page.locator("main img, main a[href^='javascript']").count() == 0
        page.locator("tr[data-cell]").nth(-1).click()
        assert page.locator("#cell h3").inner_text() == f"{shown[-1]}, seed 2"


def test_a_phone_never_scrolls_sideways(browser, showcase):
    with opened(browser, showcase, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True) as page:
        page.locator("tr[data-cell] button").first.tap()
        page.locator("#cell dl").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator(".table").first.evaluate("(box) => box.scrollWidth > box.clientWidth")


def background(page):
    return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_dark_is_what_the_system_or_the_reader_asks_for(browser, showcase):
    with opened(browser, showcase) as page:
        light = background(page)
        assert light == "rgb(255, 255, 255)"
        page.emulate_media(color_scheme="dark")
        dark = background(page)
        assert dark != light
        page.get_by_role("button", name="Use light colours").click()
        assert background(page) == light
        page.get_by_role("button", name="Use dark colours").click()
        assert background(page) == dark


def test_paper_is_white(browser, showcase):
    with opened(browser, showcase, color_scheme="dark") as page:
        page.locator("#theme").focus()
        page.emulate_media(media="print")
        assert background(page) == "rgb(255, 255, 255)"
