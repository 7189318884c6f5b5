"""report.html as a reader has it: opened in a browser, looked at, clicked on."""

import json
import re
from pathlib import Path

import pytest
from browser import chromium, opened, show_everything
from costs_fixture import CPU, write_showcase_costs
from report_fixture import learning, metrics, record, write_results, write_showcase

from nin_bench.errors import printable
from nin_bench.report.build import build_report

ROOT = Path(__file__).parents[2]
ALL_PLOTS = [
    "effects", "learning_curves", "training_loss", "accuracy_against_costs", "escape", "epochs_to_target",
    "cost_shares", "roofline", "interactions",
]  # fmt: skip
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
def browser():
    with chromium() as found:
        yield found


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


def test_everything_is_drawn_and_nothing_complains(browser, showcase):
    with opened(browser, showcase) as page:
        show_everything(page)
        plots = page.locator("figure[data-plot]")
        assert sorted(plot.get_attribute("data-plot") for plot in plots.all()) == sorted(ALL_PLOTS)
        for choice in page.locator(".choice select").all():
            choice.select_option(index=1)
        page.locator("#theme").click()
        assert page.locator("main img").count() == 0


def test_the_reference_report_opens_and_is_small(browser, onexone):
    assert onexone.stat().st_size < 8e6
    with opened(browser, onexone) as page:
        show_everything(page)
        assert page.locator("h1").inner_text() == "onexone · cpu"
        assert page.locator("#cells tbody tr").count() == 72
        matrices = page.locator('[data-plot="confusions"] .heatmaplayer .hm')
        assert matrices.count() == 2


def test_what_has_no_common_unit_is_not_sorted(browser, onexone):
    with opened(browser, onexone) as page:
        verdicts = table_with(page, "hypothesis")
        assert verdicts.locator("th button").all_inner_texts() == ["hypothesis", "says", "verdict", "n"]
        dense = table_with(page, "weights of the first dense layer")
        dense.get_by_role("button", name="weights of the first dense layer").click()
        assert column(dense, 2) == ["524 k", "590 k", "885 k", "885 k", "885 k", *["none"] * 4]


def test_names_of_a_claim_keep_both_sides(browser, onexone):
    with opened(browser, onexone, viewport={"width": 390, "height": 844}) as page:
        figure = page.locator('[data-plot="effects"]')
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()
        said = figure.locator(".annotation-text").all_text_contents()
        assert "two-beat-one: undecidedpointwise=2 − pointwise=1" in said
        assert not any("…" in text for text in said)


def test_a_phone_shows_a_verdict_whole_and_keeps_names_in_sight(browser, onexone):
    with opened(browser, onexone, viewport={"width": 390, "height": 844}) as page:
        row = page.locator("section:has(#verdicts) tbody tr").first
        assert row.locator("td").evaluate_all(
            "(all) => all.every((cell) => cell.getBoundingClientRect().right <= innerWidth)"
        )
        box = page.locator("section:has(#costs) .table:has(th:nth-child(10))")
        name = box.locator("tbody td").first
        before = name.bounding_box()
        box.evaluate("(box) => box.scrollBy(500, 0)")
        assert box.evaluate("(box) => box.scrollLeft") > 0
        assert name.bounding_box() == before


def test_what_one_points_at_is_said_without_a_complaint(browser, onexone):
    with opened(browser, onexone) as page:
        figure = page.locator('[data-plot="cost_shares"]')
        figure.scroll_into_view_if_needed()
        figure.locator(".main-svg").first.wait_for()
        bar = figure.locator(".bars .point").first.bounding_box()
        page.mouse.move(bar["x"] + bar["width"] / 2, bar["y"] + bar["height"] / 2)
        figure.locator(".hovertext").wait_for()


def test_verdicts_come_first_and_are_said_in_words_and_colours(browser, showcase):
    with opened(browser, showcase) as page:
        assert page.locator("h2").first.inner_text() == "Verdicts"
        words = page.locator("section:has(#verdicts) td .verdict")
        assert words.all_inner_texts() == ["undecided", "undecided", "supported", "refuted"]
        colors = words.evaluate_all("(found) => found.map((word) => getComputedStyle(word).color)")
        assert len(set(colors)) == 3


def test_a_heading_sorts_by_number_up_and_down_and_what_is_not_known_stays_last(browser, showcase):
    with opened(browser, showcase) as page:
        table = table_with(page, "parameters")
        heading = table.get_by_role("columnheader", name="MACs per image")
        heading.get_by_role("button").click()
        assert heading.get_attribute("aria-sort") == "ascending"
        assert column(table, 4) == [
            "512 M",
            "577 M",
            "632 M",
            "670 M",
            "725 M",
            "762 M",
            "817 M",
            "855 M",
            "938 M",
        ]
        table.get_by_role("button", name="parameters").click()
        assert heading.get_attribute("aria-sort") is None
        assert column(table, 2)[:2] == ["1.55 M", "1.77 M"]
        table.get_by_role("button", name="parameters").click()
        assert column(table, 2)[:2] == ["58.1 M", "57.9 M"]

        cells = table_with(page, "escaped in epoch")
        escaped = cells.get_by_role("button", name="escaped in epoch")
        for _ in range(2):
            escaped.click()
            assert column(cells, 7)[-1] == "–"


def test_a_table_is_sorted_by_keyboard_alone(browser, showcase):
    with opened(browser, showcase) as page:
        table = table_with(page, "given healthy, %")
        page.get_by_role("region", name="table").nth(2).focus()
        page.keyboard.press("Tab")
        assert page.evaluate("document.activeElement.textContent") == "variant"
        page.keyboard.press("Enter")
        assert column(table, 1) == sorted(column(table, 1))
        assert table.locator("th").first.get_attribute("aria-sort") == "ascending"


def test_words_filter_rows(browser, showcase):
    with opened(browser, showcase) as page:
        section = page.locator("section:has(#every-cell)")
        section.get_by_role("searchbox").fill("GAP collapsed")
        rows = section.locator("tbody tr:visible")
        assert rows.count() == 3
        assert section.locator("output").inner_text() == "3 of 26 rows"
        section.get_by_role("searchbox").fill("")
        assert rows.count() == 26


def test_a_click_on_a_row_shows_the_cell(browser, showcase):
    with opened(browser, showcase) as page:
        page.locator("#cells tr", has_text="vgg11").first.click()
        cell = page.locator("#cell")
        assert cell.locator("h3").inner_text() == "vgg11, seed 0"
        cell.locator(".main-svg").first.wait_for()
        assert cell.locator(".scatterlayer .trace").count() == 8, "two panels: band, mean, chance and the cell"
        facts = dict(zip(cell.locator("dt").all_inner_texts(), cell.locator("dd").all_inner_texts(), strict=True))
        assert (facts["outcome"], facts["num params"], facts["num macs"]) == (
            "trained",
            "43,093,322",
            "512,155,648",
        )

        cell.get_by_role("button", name="Close").click()
        assert cell.is_hidden()
        assert page.evaluate("document.activeElement.textContent") == "vgg11"
        page.locator("#cells tr", has_text="crashed").get_by_role("button").press("Enter")
        assert "worker ended with signal 9 (SIGKILL)" in cell.inner_text()
        assert "This page holds no curve of it." in cell.inner_text()


def test_a_click_on_a_line_shows_its_cell(browser, showcase):
    with opened(browser, showcase) as page:
        figure = page.locator('[data-plot="learning_curves"]')
        figure.scroll_into_view_if_needed()
        figure.locator("select").select_option(label="nin pointwise=2 head=gap")
        figure.locator(".main-svg").first.wait_for()
        # where the collapsed seed's line has its sixth point
        x, y = figure.evaluate(
            """(figure) => {
              const plot = figure.lastChild, box = plot.getBoundingClientRect();
              const { xaxis, yaxis } = plot._fullLayout;
              const line = plot.data.find((trace) => trace.line.dash === "dash");
              return [box.x + xaxis._offset + xaxis.l2p(line.x[5]), box.y + yaxis._offset + yaxis.l2p(line.y[5])];
            }"""
        )
        page.mouse.move(x, y)
        figure.locator(".hovertext").wait_for()
        assert "nin pointwise=2 head=gap, seed 1" in figure.locator(".hovertext").text_content()
        page.mouse.click(x, y)
        page.locator("#cell h3").wait_for()
        assert page.locator("#cell h3").inner_text() == "nin pointwise=2 head=gap, seed 1"


def test_hostile_labels_are_shown_and_do_not_run(browser, tmp_path):
    made = [record(metrics=metrics(0.9 + 0.01 * seed), history=learning(3, 0.9, seed)) for seed in range(3)]
    claims = [claim(label, "test_accuracy", label, HOSTILE[0], claim=label) for label in HOSTILE[1:]]
    folder = write_results(
        tmp_path / "results", dict.fromkeys(HOSTILE, made), name=HOSTILE[1], question=HOSTILE[2], hypotheses=claims
    )
    build_report(folder, tmp_path / "report")
    shown = [printable(label) for label in HOSTILE]
    with opened(browser, tmp_path / "report" / "report.html") as page:
        show_everything(page)
        assert page.title() == f"{shown[1]} · cpu"
        assert page.locator("h1").inner_text() == f"{shown[1]} · cpu"
        assert column(table_with(page, "given healthy, %"), 1) == shown
        assert column(page.locator("#cells table"), 1)[::3] == shown
        named = page.locator('[data-plot="learning_curves"] .legendtext').all_text_contents()
        assert named[: len(shown)] == shown
        strips = page.locator('[data-plot="escape"] .annotation-text')
        assert strips.all_text_contents() == [f"{label}: 3 of 3" for label in shown]
        assert (
            page.locator(
                ".legendtext a, .legendtext tspan, .annotation-text a, main img, main a[href^='javascript']"
            ).count()
            == 0
        )
        page.locator("#cells tbody tr").nth(-1).click()
        assert page.locator("#cell h3").inner_text() == f"{shown[-1]}, seed 2"


def test_the_embedded_data_cannot_end_its_script(tmp_path):
    folder = write_results(tmp_path / "results", {label: [record(metrics=metrics(0.9))] for label in HOSTILE})
    build_report(folder, tmp_path / "report")
    page = (tmp_path / "report" / "report.html").read_text()
    [embedded] = re.findall('<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert not re.search("[<>&\u2028\u2029\u202e]", embedded)
    assert [variant["name"] for variant in json.loads(embedded)["variants"]] == [
        printable(label) for label in HOSTILE
    ]


def test_a_phone_never_scrolls_sideways(browser, showcase):
    with opened(browser, showcase, viewport={"width": 360, "height": 740}, is_mobile=True, has_touch=True) as page:
        show_everything(page)
        page.locator("#cells tbody button").first.tap()
        page.locator("#cell .main-svg").first.wait_for()
        assert page.evaluate("document.documentElement.scrollWidth") == 360
        assert page.locator(".table").first.evaluate("(box) => box.scrollWidth > box.clientWidth")


def background(page):
    return page.evaluate("getComputedStyle(document.documentElement).backgroundColor")


def test_dark_is_what_the_system_or_the_reader_asks_for(browser, showcase):
    with opened(browser, showcase) as page:
        figure = page.locator('[data-plot="effects"]')
        figure.scroll_into_view_if_needed()
        figure.locator(".xtick text").first.wait_for()
        ink = "(figure) => getComputedStyle(figure.querySelector('.xtick text')).fill"
        light, light_ink = background(page), figure.evaluate(ink)
        assert light == "rgb(255, 255, 255)"
        page.emulate_media(color_scheme="dark")
        dark, dark_ink = background(page), figure.evaluate(ink)
        assert dark != light
        assert dark_ink != light_ink
        page.get_by_role("button", name="Use light colours").click()
        assert (background(page), figure.evaluate(ink)) == (light, light_ink)
        page.get_by_role("button", name="Use dark colours").click()
        assert (background(page), figure.evaluate(ink)) == (dark, dark_ink)


def test_a_count_is_said_to_be_exact_under_the_mouse(browser, showcase):
    with opened(browser, showcase) as page:
        figure = page.locator('[data-plot="effects"]')
        figure.scroll_into_view_if_needed()
        figure.locator(".xtick text").first.wait_for()
        said = figure.locator(".js-plotly-plot").evaluate(
            "(plot) => plot.data.flatMap(({ text }) => text ?? []).join()"
        )
    assert "a-tenth: supported, exact<br>" in said
    assert re.search(r"two-beat-none: [a-z-]+, n = \d", said)


def test_paper_is_white_and_holds_every_plot(browser, showcase):
    with opened(browser, showcase, color_scheme="dark") as page:
        page.locator("#theme").focus()
        page.emulate_media(media="print")
        assert background(page) == "rgb(255, 255, 255)"
        assert page.locator("header").is_hidden()
        assert page.get_by_role("searchbox").first.is_hidden()
        # Chromium repeats a table's headings on the next page only where they hold no box of a button
        buttons = page.locator("th button").evaluate_all(
            "(all) => all.map((one) => getComputedStyle(one).display)"
        )
        assert set(buttons) == {"contents"}
        page.evaluate("dispatchEvent(new Event('beforeprint'))")
        assert page.locator("figure.plot .main-svg").count() >= len(ALL_PLOTS)
        widths = page.locator("figure.plot .svg-container").evaluate_all(
            "(all) => all.map((one) => one.clientWidth)"
        )
        assert set(widths) == {680}
        page.evaluate("dispatchEvent(new Event('afterprint'))")


def test_without_scripts_all_text_is_there(browser, showcase):
    with opened(browser, showcase, java_script_enabled=False) as page:
        assert "Sorting, filtering, plots and single cells need JavaScript" in page.locator("main").inner_text()
        assert page.locator("section:has(#comparison) tbody tr").count() == 36
