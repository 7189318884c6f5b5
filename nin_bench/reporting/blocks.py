"""What a page is made of, before it is Markdown or HTML. All text is plain: a renderer escapes it."""

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import TypeVar

NOT_KNOWN = "–"
"""A cell of a table for which there is no value."""


@dataclass(frozen=True)
class Strong:
    """Words that stand out."""

    text: str
    kind: str = ""
    """A verdict, which a style sheet may give a colour."""


@dataclass(frozen=True)
class Code:
    """Words of a program or a file."""

    text: str


@dataclass(frozen=True)
class Link:
    """Words that lead to a file beside the page."""

    text: str
    path: str


Inline = str | Strong | Code | Link
Text = str | tuple[Inline, ...]


def plain(text: Text) -> str:
    """Words without what makes some of them stand out."""
    parts = (text,) if isinstance(text, str) else text
    return "".join(part if isinstance(part, str) else part.text for part in parts)


@dataclass(frozen=True)
class Paragraph:
    """A few sentences."""

    text: Text


@dataclass(frozen=True)
class Bullets:
    """A list."""

    items: tuple[Text, ...]


@dataclass(frozen=True)
class Table:
    """Cells in rows."""

    headings: tuple[str, ...]
    rows: tuple[tuple[Text, ...], ...]
    columns: str = ""
    """`l` for each column of words and `r` for each of numbers; the first one alone holds words if empty."""
    keys: tuple[str, ...] = ()
    """What the page's script knows each row by, if anything."""

    @property
    def alignments(self) -> str:
        """`l` or `r` for each column."""
        return self.columns or "l" + "r" * (len(self.headings) - 1)


@dataclass(frozen=True)
class Figure:
    """The place of a figure, by its name."""

    name: str


@dataclass(frozen=True)
class CodeBlock:
    """Lines to type."""

    text: str
    language: str = "sh"


@dataclass(frozen=True)
class Details:
    """What is folded up until a reader asks for it."""

    summary: str
    blocks: tuple["Block", ...]


@dataclass(frozen=True)
class Section:
    """A heading, and what stands under it."""

    title: str
    blocks: tuple["Block", ...]


Block = Paragraph | Bullets | Table | Figure | CodeBlock | Details | Section


@dataclass(frozen=True)
class Page:
    """A title, and what stands under it."""

    title: str
    blocks: tuple[Block, ...]

    def with_figures(self, names: Collection[str]) -> "Page":
        """The page without the figures that could not be drawn, and without sections that this leaves empty."""
        return replace(self, blocks=_with_figures(self.blocks, names))


def _with_figures(blocks: Iterable[Block], names: Collection[str]) -> tuple[Block, ...]:
    found: list[Block] = []
    for block in blocks:
        if isinstance(block, Section | Details):
            block = replace(block, blocks=_with_figures(block.blocks, names))
            if not block.blocks:
                continue
        if not isinstance(block, Figure) or block.name in names:
            found.append(block)
    return tuple(found)


Row = TypeVar("Row")

Column = tuple[str, Callable[[Row], str]]
"""A heading, and what it shows of a row."""


def table_of(columns: Sequence[Column[Row]], rows: Sequence[Row], names: Sequence[str]) -> list[Table]:
    """A table of variants; a column for which none has a value is left out, and so is a table without columns."""
    filled = [(heading, [shown(row) for row in rows]) for heading, shown in columns]
    kept = [(heading, cells) for heading, cells in filled if any(cell != NOT_KNOWN for cell in cells)]
    if not kept:
        return []
    headings = ("variant", *(heading for heading, _ in kept))
    return [Table(headings, tuple(zip(names, *(cells for _, cells in kept), strict=True)))]


def grouped(remarks: Iterable[tuple[str, str]]) -> tuple[Text, ...]:
    """Remarks, each once, with the names of all that it concerns.

    >>> grouped([("a", "Too few."), ("b", "Too few.")])
    ((Strong(text='a, b', kind=''), ': Too few.'),)
    """
    groups: dict[str, list[str]] = {}
    for name, remark in remarks:
        groups.setdefault(remark, []).append(name)
    return tuple((Strong(", ".join(dict.fromkeys(names))), f": {remark}") for remark, names in groups.items())


def fields(values: Mapping[str, str]) -> str:
    """Names and values on one line."""
    return " · ".join(f"{name} {value}" for name, value in values.items())
