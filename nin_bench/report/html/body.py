"""report.md's text as the sections of an HTML page, so that both say the same, whatever a report comes to say.

The text is Markdown in which every value was escaped. HTML is shown letter by letter but for the few tags of our
templates, so that a value which had not been escaped would not run either.
"""

import re
from collections.abc import Iterator, Mapping, MutableMapping, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath
from typing import Any, get_args

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.token import Token
from markdown_it.utils import OptionsDict
from markupsafe import Markup, escape

from nin_bench.analysis.verdicts import Outcome
from nin_bench.report.text import BREAK

_VERDICTS = get_args(Outcome)

_LONGEST_WORDS = 48
"""Letters of a cell that is a name or a number; a table with a longer one holds sentences."""

_TAGS = {"<br>", "<details>", "</details>", "<summary>", "</summary>"}
"""The HTML of our templates."""


@dataclass(frozen=True)
class Section:
    """A heading of the second level with all that stands under it."""

    title: str
    anchor: str
    """The heading's id; empty, as the title, of what stands before the first."""
    body: Markup


def render_sections(markdown: str, captions: Mapping[str, str]) -> list[Section]:
    """Render the text of a report.

    Args:
        markdown: the content of report.md.
        captions: what takes the place of whole paragraphs, by their text.
    """
    parser = MarkdownIt("commonmark", renderer_cls=_Renderer).enable("table").disable("html_block")
    sections = []
    for part in _split(_with_figures(parser.parse(markdown), captions)):
        title = _text(part[1]) if part[0].tag == "h2" else ""
        anchor = re.sub(r"[^a-z0-9]+", "-", title.lower())
        if anchor:
            part[0].attrSet("id", anchor)
        body = parser.renderer.render(part, parser.options, {})
        sections.append(Section(title, anchor, Markup(body)))
    return sections


def _split(tokens: Sequence[Token]) -> Iterator[Sequence[Token]]:
    """Before each heading of the second level."""
    starts = [place for place, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h2"]
    for start, end in zip([0, *starts], [*starts, len(tokens)], strict=True):
        if start < end:
            yield tokens[start:end]


def _with_figures(tokens: Sequence[Token], captions: Mapping[str, str]) -> list[Token]:
    """A picture that was a link to its file becomes a place for the script, and captions others."""
    found = list(tokens)
    for place, token in enumerate(found):
        for image in [child for child in token.children or () if child.type == "image"]:
            meta = {"name": PurePosixPath(str(image.attrs["src"])).stem, "title": _text(image)}
            found[place] = Token("figure", "", 0, meta=meta)
            found[place - 1].hidden = found[place + 1].hidden = True
        if any(child.content in {"<details>", "</details>"} for child in token.children or ()):
            found[place - 1].hidden = found[place + 1].hidden = True  # no paragraph holds these
        if caption := captions.get(_text(token)):
            token.children = [Token("text", "", 0, content=caption)]
    return found


def _text(token: Token) -> str:
    """What a reader sees of it."""
    return "".join(" " if child.type == "softbreak" else child.content for child in token.children or ())


class _Renderer(RendererHTML):
    """Adds what the page's style and script go by: figures, boxes for wide tables, verdicts by name."""

    def figure(self, tokens: Sequence[Token], place: int, *_: Any) -> str:
        name, title = escape(tokens[place].meta["name"]), escape(tokens[place].meta["title"])
        return f'<figure class="plot" data-plot="{name}" aria-label="{title}"></figure>\n'

    def html_inline(self, tokens: Sequence[Token], place: int, *_: Any) -> str:
        content = tokens[place].content
        return {BREAK: ""}.get(content, content if content in _TAGS else escape(content))

    def table_open(self, tokens: Sequence[Token], place: int, *_: Any) -> str:
        end = next(at for at in range(place, len(tokens)) if tokens[at].type == "table_close")
        has_prose = any(
            len(_text(token)) > _LONGEST_WORDS for token in tokens[place:end] if token.type == "inline"
        )
        kind = ' class="prose"' if has_prose else ""
        # reachable by keyboard, so that a table wider than the screen can be scrolled
        return f'<div class="table" role="region" aria-label="table" tabindex="0"><table{kind}>\n'

    def table_close(self, *_: Any) -> str:
        return "</table></div>\n"

    def th_open(self, tokens: Sequence[Token], place: int, *_: Any) -> str:
        return f"<th{_class_of(tokens[place])}>"

    def td_open(self, tokens: Sequence[Token], place: int, *_: Any) -> str:
        return f"<td{_class_of(tokens[place])}>"

    def strong_open(
        self, tokens: Sequence[Token], place: int, options: OptionsDict, env: MutableMapping[str, Any]
    ) -> str:
        said = tokens[place + 1].content.rstrip(".").lower()
        return f'<strong class="verdict {said.replace(" ", "-")}">' if said in _VERDICTS else "<strong>"


def _class_of(cell: Token) -> str:
    """A column set to the right holds numbers; markdown-it says so by a style, which the page's policy refuses."""
    return ' class="number"' if cell.attrGet("style") == "text-align:right" else ""
