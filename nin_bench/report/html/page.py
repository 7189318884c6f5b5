"""Put the page together: text, data, script and plotly in one file that needs no other and makes no request."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from nin_bench.analysis.analysis import Analysis
from nin_bench.errors import printable
from nin_bench.report.html.body import Section, render_sections
from nin_bench.report.plots import MAX_DRAWN

_CAPTIONS = {
    "learning_curves": (
        "Thick lines are means of healthy seeds, thin ones single seeds, dashed those that failed or collapsed. "
        "The axis shows where most of the values lie; a hollow triangle stands for seeds that end below it. "
        "Choose one variant for the range of its healthy seeds; a click on a thin line shows its cell."
    ),
    "training_loss": (
        "Lines as for validation accuracy; one that stays on the dotted line has learned no more than how often "
        "each class occurs."
    ),
    "accuracy_against_costs": (
        "Up and to the left is better: large marks are means of healthy seeds with ± one standard deviation, "
        "small ones single seeds, hollow triangles at the bottom seeds that end below the axis; the dashed line "
        "joins the variants that no other of the grid beats at the same cost, by the means of healthy seeds on "
        "test images, however many of a variant's seeds failed. Where it is missing, one variant is both the "
        "cheapest and the best: nothing is traded. A click on a small mark shows its cell. Training time is of "
        "steps alone, seen while cells trained side by side."
    ),
    "escape": (
        "Each line climbs from none to all of a variant's cells as they escape (Kaplan and Meier's estimate, with "
        "its 95 % interval); one that never reaches the top has cells that learned nothing, and the count beside "
        "the name says how many did. Epochs after the last such step, in which nothing changes, are left out."
    ),
}
"""How to read those that are drawn otherwise than report.md's, by name."""

_CELLS = Section("Every cell", "every-cell", Markup())
"""A section that report.md has not; its list is made by cells.js."""

_AFTER_CELLS = "Failures and collapsed runs"

_SCRIPTS = ("look.js", "tables.js", "drawing.js", "plots.js", "cells.js")
"""Of one script, in this order."""
_PLOTLY_STYLE = re.compile(r'getElementById\("([0-9a-f]{64})"\)')
_FROM_LIBRARIES = re.compile(rb'(?<=id="plotly">).*?(?=</script>)|(?<=sha256-)[\w+/=]*', re.DOTALL)


def render_html(
    analysis: Analysis, figures: Sequence[Mapping[str, str]], markdown: str, data: Mapping[str, Any]
) -> str:
    """The content of report.html.

    Args:
        analysis: what the page shows.
        figures: `describe_figures`.
        markdown: the content of report.md, whose text the page repeats.
        data: `page_data` of the same analysis.
    """
    captions = {
        figure["caption"]: _caption(figure["name"], len(analysis.comparison))
        for figure in figures
        if figure["name"] in _CAPTIONS
    }
    sections = render_sections(markdown, captions)
    titles = [section.title for section in sections]
    sections.insert(titles.index(_AFTER_CELLS) if _AFTER_CELLS in titles else len(sections), _CELLS)
    plotly, script, style = get_plotlyjs(), "".join(map(_asset, _SCRIPTS)), _asset("style.css")
    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("nin_bench.report.html", "assets"),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.policies["json.dumps_kwargs"] = {"separators": (",", ":"), "allow_nan": False}
    return environment.get_template("report.html.j2").render(
        title=printable(f"{analysis.name} · {analysis.profile}"),
        sections=sections,
        cells=_CELLS,
        data=data,
        num_records=len(analysis.cells),
        policy=_policy(scripts=[plotly, script], styles=[style, ""]),
        plotly=Markup(plotly),
        plotly_style_ids=_PLOTLY_STYLE.findall(plotly),
        script=Markup(script),
        style=Markup(style),
    )


def _caption(name: str, num_variants: int) -> str:
    drawn = f" Drawn are the first {MAX_DRAWN} of {num_variants} variants, in the grid's order."
    return _CAPTIONS[name] + (drawn if num_variants > MAX_DRAWN else "")


def without_libraries(page: bytes) -> bytes:
    """What of a page is ours: all but plotly, whose bytes differ from version to version, and its digest."""
    return _FROM_LIBRARIES.sub(b"", page)


def _policy(scripts: Sequence[str], styles: Sequence[str]) -> str:
    """What a browser may run of the page, by digest: anything else in it is refused, and so is every request.

    Plotly makes an empty style element and fills it by rules, so that the digest of nothing is among the styles.
    Blob addresses are what it offers a drawing for download by.
    """
    allowed = {
        "default-src": "'none'",
        "script-src": " ".join(map(_source, scripts)),
        "style-src": " ".join(map(_source, styles)),
        "img-src": "data:",
        "base-uri": "'none'",
        "form-action": "'none'",
    }
    return "; ".join(f"{name} {value}" for name, value in allowed.items())


def _source(content: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()}'"


def _asset(name: str) -> str:
    return (files("nin_bench.report.html") / "assets" / name).read_text(encoding="utf-8")
