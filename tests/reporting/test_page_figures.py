"""Figures of report.html in a browser: what they say of marks, highlight, hide and open."""

import pytest

from nin_bench.reporting.build import build_report
from tests.browser import opened
from tests.costs_fixture import CPU, write_showcase_costs
from tests.report_fixture import write_showcase

PHONE = {"viewport": {"width": 390, "height": 844}, "is_mobile": True, "has_touch": True}


@pytest.fixture(scope="module")
def showcase(tmp_path_factory):
    root = tmp_path_factory.mktemp("figures")
    folder = write_showcase(root / "results", machine=CPU)
    write_showcase_costs(folder)
    build_report(folder, root / "report")
    return root / "report" / "report.html"


def mark_of(page, figure, cell):
    """A network's mark, and where its middle is."""
    mark = page.locator(f"#{figure} [data-cell='{cell}']").first
    mark.scroll_into_view_if_needed()
    box = mark.bounding_box()
    return mark, (box["x"] + box["width"] / 2, box["y"] + box["height"] / 2)


def style(page, selector, of="fill"):
    return page.locator(selector).first.evaluate(f"(part) => getComputedStyle(part).{of}")


def test_every_figure_stands_in_the_page_and_nothing_complains(browser, showcase):
    with opened(browser, showcase) as page:
        assert page.locator("svg.figure").count() >= 9
        assert page.locator("main img, main image, [style]:not(#tip)").count() == 0
        labels = page.locator("svg.figure").evaluate_all(
            "(all) => all.map((one) => one.getAttribute('aria-label'))"
        )
        assert all(labels)


def test_pointing_at_a_mark_says_what_it_is_and_sets_its_variant_off_in_every_figure(browser, showcase):
    with opened(browser, showcase, reduced_motion="reduce") as page:
        _, (x, y) = mark_of(page, "seeds", "c07s2")
        page.mouse.move(x, y + 5)  # beside the mark is near enough
        tip = page.locator("#tip")
        tip.wait_for()
        assert tip.inner_text().startswith("alexnet, seed 2: 8")
        assert style(page, "#escape [data-variant=v00]", of="opacity") == "0.12"
        assert style(page, "#escape [data-variant=v07]", of="opacity") == "1"
        page.mouse.move(1, 1)
        assert style(page, "#escape [data-variant=v00]", of="opacity") == "1"
        assert tip.is_hidden()


def test_a_click_on_a_mark_opens_its_cell(browser, showcase):
    with opened(browser, showcase) as page:
        _, place = mark_of(page, "accuracy_against_costs", "c04s2")
        page.mouse.click(*place)
        assert page.locator("#cell h3").inner_text() == "nin pointwise=0 head=fc, seed 2"
        chosen = page.locator("svg .chosen").evaluate_all("(all) => all.map((one) => one.closest('svg').id)")
        assert {"accuracy_against_costs", "learning_curves", "training_loss", "seeds"} <= set(chosen)
        page.locator("#cell").get_by_role("button", name="Close").click()
        assert page.locator(".chosen").count() == 0


def test_the_legend_hides_a_variant_everywhere_by_mouse_and_by_keyboard(browser, showcase):
    with opened(browser, showcase) as page:
        entry = page.locator("#accuracy_against_costs [data-switch=v08]")
        seen = "(all) => all.filter((one) => getComputedStyle(one).visibility !== 'hidden').length"
        entry.click()
        assert entry.get_attribute("aria-pressed") == "false"
        assert page.locator("[data-variant=v08]").evaluate_all(seen) == 0
        assert page.locator("[data-variant=v07]").evaluate_all(seen) > 9
        entry.focus()
        page.keyboard.press("Enter")
        assert entry.get_attribute("aria-pressed") == "true"
        assert page.locator("[data-variant=v08]").evaluate_all(seen) > 9


def test_marks_are_reached_by_keyboard(browser, showcase):
    with opened(browser, showcase) as page:
        page.locator("#seeds").focus()
        page.keyboard.press("End")
        last = page.locator("#tip").inner_text()
        page.keyboard.press("ArrowRight")
        first = page.locator("#tip").inner_text()
        page.keyboard.press("ArrowLeft")
        assert page.locator("#tip").inner_text() == last != first
        page.keyboard.press("Enter")
        assert page.locator("#cell h3").inner_text() == last.partition(":")[0]
        page.locator("#seeds").focus()
        page.keyboard.press("Home")
        page.keyboard.press("Escape")
        assert page.locator("#tip").is_hidden()


def test_a_finger_asks_first_and_opens_at_its_second_touch(browser, showcase):
    with opened(browser, showcase, **PHONE) as page:
        mark, place = mark_of(page, "seeds", "c07s2")
        page.touchscreen.tap(*place)
        assert page.locator("#tip").inner_text().startswith("alexnet, seed 2")
        assert page.locator("#cell").is_hidden()
        page.touchscreen.tap(*place)
        assert page.locator("#cell h3").inner_text() == "alexnet, seed 2"
        assert "current" in (mark.get_attribute("class") or "") or page.locator("#tip").is_hidden()
        assert page.evaluate("document.documentElement.scrollWidth") == 390
        size = page.locator("#seeds text").first.evaluate("(text) => text.getBoundingClientRect().height")
        assert size >= 7, "letters of a figure can be read on a phone"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_figures_take_the_page_s_colours(browser, showcase, scheme):
    with opened(browser, showcase, color_scheme=scheme) as page:
        assert style(page, "#seeds text") == style(page, "body", of="color")
        line = style(page, "#escape path[data-variant=v00]", of="stroke")
        assert line == {"light": "rgb(1, 115, 178)", "dark": "rgb(86, 174, 232)"}[scheme]


def test_paper_shows_what_was_hidden_in_the_colours_of_paper(browser, showcase):
    with opened(browser, showcase, color_scheme="dark") as page:
        page.locator("#accuracy_against_costs [data-switch=v08]").click()
        page.emulate_media(media="print")
        shown = page.locator("[data-variant=v08]").first.evaluate("(one) => getComputedStyle(one).visibility")
        assert shown == "visible"
        assert (
            page.locator("#seeds text").first.evaluate("(one) => getComputedStyle(one).fill") == "rgb(28, 32, 36)"
        )
        assert page.locator("#tip").is_hidden()
