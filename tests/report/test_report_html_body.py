import re

from nin_bench.report.html.body import render_sections
from nin_bench.report.text import escape_markdown


def render(markdown, captions=None):
    return render_sections(markdown, captions or {})


def test_sections_begin_at_headings_of_the_second_level():
    sections = render("# a · b\n\ntext\n\n## One more, *please*\n\n### deeper\n\n## Last\n")
    assert [(section.title, section.anchor) for section in sections] == [
        ("", ""), ("One more, please", "one-more-please"), ("Last", "last"),
    ]  # fmt: skip
    assert sections[0].body == "<h1>a · b</h1>\n<p>text</p>\n"
    assert sections[1].body.startswith('<h2 id="one-more-please">')
    assert "<h3>deeper</h3>" in sections[1].body


def test_an_escaped_value_is_shown_letter_by_letter():
    value = "<b>|`*_x_*` [l](http://a.b) :c: @d #1 </script>"
    [section] = render(f"{escape_markdown(value)}\n")
    assert section.body == (
        "<p>&lt;b&gt;|`*_x_*` [l](http://a.b) :c: @d #1 &lt;/script&gt;</p>\n"
    )  # fmt: skip


def test_html_that_nobody_escaped_does_not_become_html():
    [section] = render("<script>alert(1)</script>\n\na <img src=x onerror=alert(2)> b\n\n<div>\n<!-- c -->\n")
    assert "<script" not in section.body
    assert "<img" not in section.body
    assert "<div" not in section.body
    assert "&lt;img src=x onerror=alert(2)&gt;" in section.body


def test_the_templates_line_breaks_break_lines():
    [section] = render("- one\n  <br>two\n")
    assert "one\n<br>two" in section.body


def test_the_templates_details_open_and_close_outside_of_paragraphs():
    [section] = render("<details>\n<summary>More</summary>\n\n- one\n\n</details>\n\nafter\n")
    assert section.body.replace("\n", "") == (
        "<details><summary>More</summary><ul><li>one</li></ul></details><p>after</p>"
    )
    [section] = render("<details open onclick=alert(1)>\n")
    assert "<details" not in section.body


def test_a_verdict_in_bold_is_marked():
    [section] = render("| a | b |\n|---|---:|\n| **undecided** | 1 |\n\n**Not testable.** **two-beat-one**\n")
    assert '<td><strong class="verdict undecided">undecided</strong></td>' in section.body
    assert (
        '<strong class="verdict not-testable">Not testable.</strong> <strong>two-beat-one</strong>' in section.body
    )


def test_a_table_can_be_scrolled_and_needs_no_inline_style():
    [section] = render("| a | b |\n|---|---:|\n| x | 1 |\n")
    assert '<div class="table" role="region" aria-label="table" tabindex="0"><table>' in section.body
    assert '<th>a</th>\n<th class="number">b</th>' in section.body
    assert "style=" not in section.body


def test_a_table_with_a_sentence_in_it_is_marked():
    sentence = "What a cell says in more letters than a name takes."
    [section] = render(
        f"| a | b |\n|---|---|\n| x | {sentence} |\n\nBetween.\n\n| a | b |\n|---|---|\n| x | y |\n"
    )
    assert re.findall("<table.*?>", section.body) == ['<table class="prose">', "<table>"]


def test_a_figure_is_a_place_for_the_script():
    page = "[![T \\| t](figures/one.png)](one.svg)\n\nHow to read it.\n"
    [section] = render(page, {"How to read it.": "Otherwise."})
    assert re.sub("\n+", "\n", section.body) == (
        '<figure class="plot" data-plot="one" aria-label="T | t"></figure>\n<p>Otherwise.</p>\n'
    )
