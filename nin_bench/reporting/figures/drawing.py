"""A figure as it is drawn, and as it is shown: files beside report.md, and inline SVG for a page.

A function of this package draws on matplotlib's `Figure` and returns a `Canvas`, which also says what its marks
stand for. `Drawing` is what comes of it.
"""

import hashlib
import io
import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

import numpy as np
from matplotlib.artist import Artist
from matplotlib.collections import Collection
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.patches import Patch
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter

from nin_bench.reporting.figures.page_svg import inline_svg
from nin_bench.reporting.figures.plot_style import theme
from nin_bench.reporting.figures.provenance import sign_svg

MOST_MARKS = 2_000
"""Marks of a figure that a page can ask what they stand for; beyond, marks are only drawn."""


@dataclass(frozen=True)
class Mark:
    """What one mark of a figure stands for."""

    says: str
    """What the page says to a reader who points at it."""
    variant: str | None = None
    """A variant's id."""
    cell: str | None = None
    """A cell's id: what a click opens."""


@dataclass
class Canvas:
    """A drawn figure, and what its marks stand for."""

    figure: Figure
    alt: str
    """One sentence for readers who see no picture."""
    caption: str
    """How it is read."""
    marks: dict[str, Sequence[Mark]] = field(default_factory=dict)
    """Marks by the id of the artist that draws them, in the order in which it does."""
    parts: dict[str, str] = field(default_factory=dict)
    """Ids of variants by the id of what belongs to them and is no mark: a band, a mean behind other lines."""
    switches: dict[str, str] = field(default_factory=dict)
    """Ids of variants by the id of their entry in the legend, which hides them."""

    def mark(self, artist: Artist, *marks: Mark) -> None:
        """Join what an artist draws, in its order, to what it stands for."""
        if sum(map(len, self.marks.values())) + len(marks) <= MOST_MARKS:
            self.marks[_named(artist, f"mark{len(self.marks)}")] = marks

    def belongs(self, artist: Artist, variant: str) -> None:
        """Say that something drawn belongs to a variant, and is hidden and highlighted with it."""
        self.parts[_named(artist, f"part{len(self.parts)}")] = variant

    def switch(self, artist: Artist, variant: str) -> None:
        """Make an entry of the legend hide its variant."""
        self.switches[_named(artist, f"switch{len(self.switches)}")] = variant


def _named(artist: Artist, gid: str) -> str:
    artist.set_gid(gid)
    return gid


@dataclass(frozen=True)
class Drawing:
    """A figure of a report."""

    name: str
    title: str
    alt: str
    caption: str
    digest: str
    """SHA-256 of the data that it draws, in hexadecimal: another sentence on the page does not change it."""
    canvas: Canvas

    @property
    def file(self) -> str:
        """Where it lies, from report.md on."""
        return f"figures/{self.name}.svg"

    @property
    def signed(self) -> bytes:
        """The content of its file, which carries the digest."""
        return sign_svg(self.svg, self.digest)

    def page_svg(self) -> str:
        """The figure as it stands in an HTML page: in the page's colours, with marks that answer its script."""
        canvas = self.canvas
        return inline_svg(
            self.svg, self.name, self.alt, self.digest,
            {gid: [vars(mark) for mark in marks] for gid, marks in canvas.marks.items()},
            canvas.parts, canvas.switches,
        )  # fmt: skip

    @cached_property
    def svg(self) -> bytes:
        """The SVG as matplotlib writes it, without a date."""
        figure, content = self.canvas.figure, io.BytesIO()
        with theme():
            if layout := figure.get_layout_engine():
                layout.execute(figure)
                # once: the layout is much of the time, and with any engine set savefig draws everything twice
                figure.set_layout_engine(None)
            figure.savefig(content, format="svg", metadata={"Date": None})
        return content.getvalue()


def draw(name: str, title: str, make: Callable[[], Canvas | None]) -> Drawing | None:
    """Draw a figure."""
    with theme():
        canvas = make()
    if canvas is None:
        return None
    return Drawing(name, title, canvas.alt, canvas.caption, digest_of(canvas.figure), canvas)


def digest_of(figure: Figure) -> str:
    """The digest of what a figure draws: its words, numbers and limits, but not how matplotlib sets them."""
    drawn = [_content(artist) for ax in figure.axes for artist in _artists(ax)]
    limits = [[_rounded(ax.get_xlim()), _rounded(ax.get_ylim())] for ax in figure.axes]
    legends = [text.get_text() for legend in figure.legends for text in legend.get_texts()]
    return hashlib.sha256(json.dumps([drawn, limits, legends]).encode()).hexdigest()


def _artists(ax: Any) -> Iterable[Artist]:
    yield from (*ax.lines, *ax.collections, *ax.patches, *ax.texts, ax.title, ax.xaxis.label, ax.yaxis.label)
    yield from ax.get_legend().get_texts() if ax.get_legend() else ()
    for axis in (ax.xaxis, ax.yaxis):
        formatter = axis.get_major_formatter()
        if isinstance(formatter, FixedFormatter):
            yield from (Text(text=str(label)) for label in formatter.seq)


def _content(artist: Artist) -> Any:
    match artist:
        case Text():
            return [artist.get_text(), _rounded(artist.get_position())]
        case Line2D():
            return _rounded(np.asarray(artist.get_xydata(), dtype=float))
        case Collection():
            offsets = np.ma.filled(artist.get_offsets(), np.nan)
            own = [] if len(offsets) > 1 else [_rounded(path.vertices) for path in artist.get_paths()]
            return [_rounded(offsets), own]
        case Patch():
            return _rounded(artist.get_patch_transform().transform(artist.get_path().vertices))
    raise AssertionError(f"{artist} is drawn, but the digest does not cover it")


def _rounded(values: Any) -> Any:
    """Numbers to 9 digits, as text: what the last bits of a processor differ in is no other figure."""
    return [f"{value:.9g}" for value in np.asarray(values, dtype=float).ravel()]
