import re
from html import unescape

import pytest
from markdown_it import MarkdownIt

from nin_bench.errors import printable
from nin_bench.reporting.blocks import (
    Bullets,
    Code,
    CodeBlock,
    Details,
    Link,
    Page,
    Paragraph,
    Section,
    Strong,
    Table,
)
from nin_bench.reporting.markdown import escape, render_markdown

HOSTILE = [
    "<script>alert(1)</script>", "a|b", "x\u2028# heading", "\u202eevil", "![x](http://e.com/x.png)", "`", "]( )[",
    "</td>", "www.e.com", "a@e.com", "@somebody #12 :smile:", "$1$", "- list", "1. list", "=== ", "    code",
]  # fmt: skip


def as_html(*blocks) -> str:
    page = render_markdown(Page("title", blocks), {})
    return MarkdownIt("commonmark").enable("table").render(page).replace("<!-- -->", "")


def test_every_block_is_what_markdown_calls_it() -> None:
    table = Table(("a", "b"), (("x", (Strong("1"), " of 2")),))
    details = Details("More", (Bullets(("one", "two")),))
    page = Page("p", (Section("Title", (table, details, Section("Deeper", (CodeBlock("ls"),)))),))
    assert render_markdown(page, {}) == (
        "# p\n\n## Title\n\n| a | b |\n|---|---:|\n| x | **1** of 2 |\n\n<details>\n<summary>More</summary>\n\n"
        "- one\n- two\n\n</details>\n\n### Deeper\n\n```sh\nls\n```\n"
    )
    assert '<p><code>ls</code> <a href="f.json">file</a></p>' in as_html(
        Paragraph((Code("ls"), " ", Link("file", "f.json")))
    )


@pytest.mark.parametrize("text", HOSTILE)
def test_text_is_shown_letter_by_letter_wherever_it_stands(text: str) -> None:
    html = as_html(
        Section(text, (Paragraph(text), Bullets((text,)), Table((text,), ((text,),)), Details(text, ()))),
        Paragraph((Code(text), Strong(text))),
    )
    assert not re.search("<(script|img|pre|h[34])", html)
    assert "href" not in html
    shown = [unescape(cell) for cell in re.findall("<(?:h2|t[hd]|li)>(.*?)</", html)]
    assert shown == [printable(text).strip()] * 4
    assert len(re.findall("<li>", html)) == 1


@pytest.mark.parametrize(
    ("name", "escaped"),
    [
        ("class_pointwise=1", "class_pointwise=1"),  # GitHub takes no emphasis from within a word
        ("_hidden_", r"\_hidden\_"),
        ("<b>&amp;", "&lt;b&gt;&amp;amp;"),
        ("folded\n  line", "folded line"),
        ("http://e.com", "http:<!-- -->//e.com"),
        ("#12, GH-34 and gh-5", r"\#<!-- -->12, GH-<!-- -->34 and gh-<!-- -->5"),
        (":smile: at 10:30", ":<!-- -->smile: at 10:30"),
    ],
)
def test_names_become_no_markup_and_no_link(name: str, escaped: str) -> None:
    assert escape(name) == escaped
