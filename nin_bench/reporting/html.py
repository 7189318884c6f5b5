"""A page as one HTML file that needs no other and makes no request. Every value is escaped here."""

import base64
import hashlib
import html
import json
import re
from collections.abc import Iterable, Mapping
from importlib.resources import files
from typing import Any

from nin_bench.errors import printable
from nin_bench.reporting import blocks as page
from nin_bench.reporting.figures import Drawing
from nin_bench.reporting.figures.plot_style import page_style

_LONGEST_WORDS = 48
"""Letters of a cell that is a name or a number; a table with a longer one holds sentences."""
_HEAD = """<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{policy}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{title}</title>
<style>{style}</style>
</head>
<body>
<header>
<nav aria-label="Sections">{links}</nav>
<button type="button" id="theme" hidden></button>
</header>
<main>
<h1>{title}</h1>
"""
_FOOT = """
</main>
<script type="application/json" id="data">{data}</script>
<script>{script}</script>
</body>
</html>
"""
_IN_SCRIPT = str.maketrans({char: f"\\u{ord(char):04x}" for char in "<>&\u2028\u2029"})


def render_html(whole: page.Page, drawings: Mapping[str, Drawing], data: Mapping[str, Any] | None = None) -> str:
    """A page as HTML, with its figures by name; `data` is what its script shows of single cells."""
    style, script = page_style() + _asset("style.css"), _asset("page.js")
    sections = [block.title for block in whole.blocks if isinstance(block, page.Section)]
    head = _HEAD.format(
        policy=_policy(script, style),
        title=escape(whole.title),
        style=style,
        links="\n".join(f'<a href="#{_anchor(title)}">{escape(title)}</a>' for title in sections),
    )
    embedded = json.dumps(_printable(data or {}), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    foot = _FOOT.format(data=embedded.translate(_IN_SCRIPT), script=script)
    return head + "\n".join(_blocks(whole.blocks, drawings, level=2)) + foot


def escape(text: str) -> str:
    """Text that a page shows letter by letter, whatever is in it.

    >>> escape("a <i>")
    'a &lt;i&gt;'
    """
    return html.escape(printable(re.sub(r"\s*\n\s*", " ", text)))


def _blocks(blocks: Iterable[page.Block], drawings: Mapping[str, Drawing], level: int) -> list[str]:
    found = []
    for block in blocks:
        match block:
            case page.Paragraph():
                found.append(f"<p>{_text(block.text)}</p>")
            case page.Bullets():
                found.append("<ul>\n" + "\n".join(f"<li>{_text(item)}</li>" for item in block.items) + "\n</ul>")
            case page.Table():
                found.append(_table(block))
            case page.CodeBlock():
                found.append(f"<pre><code>{html.escape(block.text)}</code></pre>")
            case page.Figure():
                drawing = drawings[block.name]
                title, caption = escape(drawing.title), escape(drawing.caption)
                found.append(
                    f'<figure class="plot" id="figure-{block.name}">\n'
                    f'<div class="drawing">{drawing.page_svg()}</div>\n'
                    f"<figcaption><strong>{title}.</strong> {caption}</figcaption>\n</figure>"
                )
            case page.Details():
                inner = _blocks(block.blocks, drawings, level)
                found += [f"<details>\n<summary>{escape(block.summary)}</summary>", *inner, "</details>"]
            case page.Section():
                anchor = f' id="{_anchor(block.title)}"' if level == 2 else ""
                heading = f"<h{level}{anchor}>{escape(block.title)}</h{level}>"
                found += ["<section>", heading, *_blocks(block.blocks, drawings, level + 1), "</section>"]
    return found


def _table(table: page.Table) -> str:
    has_prose = any(len(page.plain(cell)) > _LONGEST_WORDS for row in table.rows for cell in row)
    kind = ' class="prose"' if has_prose else ""
    # reachable by keyboard, so that a table wider than the screen can be scrolled
    lines = [f'<div class="table" role="region" aria-label="table" tabindex="0"><table{kind}>', "<thead>"]
    lines += [_row("th", "", table.headings, table.alignments), "</thead>", "<tbody>"]
    keys = table.keys or [""] * len(table.rows)
    lines += [_row("td", key, row, table.alignments) for key, row in zip(keys, table.rows, strict=True)]
    return "\n".join([*lines, "</tbody>", "</table></div>"])


def _row(tag: str, key: str, cells: Iterable[page.Text], alignments: str) -> str:
    of = f' data-cell="{escape(key)}"' if key else ""
    kinds = {"l": "", "r": ' class="number"'}
    shown = (f"<{tag}{kinds[where]}>{_text(cell)}</{tag}>" for cell, where in zip(cells, alignments, strict=True))
    return f"<tr{of}>{''.join(shown)}</tr>"


def _text(text: page.Text) -> str:
    return "".join(map(_inline, (text,) if isinstance(text, str) else text))


def _inline(part: page.Inline) -> str:
    match part:
        case str():
            return escape(part)
        case page.Strong():
            kind = f' class="verdict {part.kind.replace(" ", "-")}"' if part.kind else ""
            return f"<strong{kind}>{escape(part.text)}</strong>"
        case page.Code():
            return f"<code>{escape(part.text)}</code>"
        case page.Link():
            return f'<a href="{part.path}">{escape(part.text)}</a>'


def _anchor(title: str) -> str:
    return re.sub(r"[^a-z0-9]+", "-", title.lower())


def _printable(value: Any) -> Any:
    """Text on one line, with direction marks written out, wherever it stands in the data."""
    if isinstance(value, Mapping):
        return {printable(key): _printable(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_printable(item) for item in value]
    return printable(value) if isinstance(value, str) else value


def _policy(script: str, style: str) -> str:
    """What a browser may run of the page, by digest: it refuses anything else in it, and every request."""
    allowed = {
        "default-src": "'none'",
        "script-src": _source(script),
        "style-src": _source(style),
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _source(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("nin_bench.reporting") / "assets" / name).read_text(encoding="utf-8")
