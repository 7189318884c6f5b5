import doctest

from nin_bench.reporting import blocks
from nin_bench.reporting.blocks import (
    Bullets,
    Details,
    Figure,
    Page,
    Paragraph,
    Section,
    Strong,
    Table,
    grouped,
    table_of,
)


def test_examples_in_the_docstrings_hold() -> None:
    assert doctest.testmod(blocks).failed == 0


def test_a_figure_that_could_not_be_drawn_is_left_out_with_the_section_that_it_leaves_empty() -> None:
    page = Page("p", (Figure("a"), Section("One", (Figure("b"), Details("d", (Figure("b"),)))), Paragraph("text")))
    assert page.with_figures({"a"}).blocks == (Figure("a"), Paragraph("text"))


def test_a_column_that_nobody_has_a_value_for_is_left_out() -> None:
    columns = [("double", lambda value: str(2 * value)), ("never", lambda value: "–")]
    assert table_of(columns, [1, 2], ["a", "b"]) == [Table(("variant", "double"), (("a", "2"), ("b", "4")))]
    assert table_of(columns[1:], [1, 2], ["a", "b"]) == []


def test_a_remark_on_several_stands_once() -> None:
    found = grouped([("a", "Early."), ("b", "Late."), ("c", "Early.")])
    assert Bullets(found).items == ((Strong("a, c"), ": Early."), (Strong("b"), ": Late."))
