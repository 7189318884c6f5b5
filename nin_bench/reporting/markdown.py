"""A page as Markdown, made for GitHub. Every value is escaped here, so that none breaks a table or runs."""

import re
from collections.abc import Iterable, Mapping

from nin_bench.errors import printable
from nin_bench.reporting import blocks as page
from nin_bench.reporting.figures import Drawing

_MARKUP = re.compile(r"[\\`*\[\]{}|~#$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])")
_BECOMES_LINK = re.compile(
    r"(?<=:)(?=//)|(?<=www)(?=\.)|(?<=@)|(?<=#)(?=\d)|(?<=GH-)(?=\d)|(?<=:)(?=[\w+-]+:)", re.IGNORECASE
)
"""Where GitHub would go on to an address, a person, an issue or a picture (`:name:`)."""
_BEGINS_BLOCK = re.compile(r"^(?=[-+=])|(?<=^\d)(?=[.)])|(?<=^\d\d)(?=[.)])")
"""Where a line would begin a list or make a heading of the line before."""
_NOTHING = "<!-- -->"
"""Shows nothing, and parts what stands before it from what stands behind."""
_ENTITIES = {"&": "&amp;", "<": "&lt;", ">": "&gt;"}
_RULES = {"l": "---", "r": "---:"}


def render_markdown(whole: page.Page, drawings: Mapping[str, Drawing]) -> str:
    """A page as Markdown, with its figures by name; the first file of each is shown."""
    found = [f"# {_text(whole.title)}", *_blocks(whole.blocks, drawings, level=2)]
    return "\n\n".join(found) + "\n"


def escape(text: str) -> str:
    r"""Text that a Markdown table or paragraph shows letter by letter, whatever is in it.

    >>> escape("a|b <i>")
    'a\\|b &lt;i&gt;'
    """
    escaped = _MARKUP.sub(r"\\\g<0>", printable(re.sub(r"\s*\n\s*", " ", text)))
    escaped = re.sub("[&<>]", lambda match: _ENTITIES[match.group()], escaped)
    return _BECOMES_LINK.sub(_NOTHING, escaped)


def _blocks(blocks: Iterable[page.Block], drawings: Mapping[str, Drawing], level: int) -> list[str]:
    found = []
    for block in blocks:
        match block:
            case page.Paragraph():
                found.append(_line(block.text))
            case page.Bullets():
                found.append("\n".join(f"- {_line(item)}" for item in block.items))
            case page.Table():
                found.append(_table(block))
            case page.CodeBlock():
                found.append(f"```{block.language}\n{block.text}\n```")
            case page.Figure():
                drawing = drawings[block.name]
                path = drawing.file
                found.append(f"[![{escape(drawing.alt)}]({path})]({path})")
                found.append(f"**{escape(drawing.title)}.** {escape(drawing.caption)}")
            case page.Details():
                inner = _blocks(block.blocks, drawings, level)
                summary = f"<summary>{escape(block.summary)}</summary>"
                found.append("\n\n".join([f"<details>\n{summary}", *inner, "</details>"]))
            case page.Section():
                found.append(f"{'#' * level} {_text(block.title)}")
                found += _blocks(block.blocks, drawings, level + 1)
    return found


def _table(table: page.Table) -> str:
    rows = [table.headings, *table.rows]
    lines = [f"| {' | '.join(map(_text, row))} |" for row in rows]
    return "\n".join([lines[0], f"|{'|'.join(_RULES[column] for column in table.alignments)}|", *lines[1:]])


def _line(text: page.Text) -> str:
    """Text that begins a line."""
    return _BEGINS_BLOCK.sub(r"\\", _text(text).lstrip(), count=1)


def _text(text: page.Text) -> str:
    return "".join(map(_inline, (text,) if isinstance(text, str) else text))


def _inline(part: page.Inline) -> str:
    match part:
        case str():
            return escape(part)
        case page.Strong():
            return f"**{escape(part.text.strip())}**"
        case page.Code():
            return escape(part.text) if re.search(r"[`|]", part.text) else f"`{printable(part.text)}`"
        case page.Link():
            return f"[{escape(part.text)}]({part.path})"
