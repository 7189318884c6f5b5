"""Put the page together: text, data, script and plotly in one file that needs no other and makes no request."""

import base64
import hashlib
import re
from collections.abc import Mapping, Sequence
from importlib.resources import files
from typing import Any

import jinja2
import pandas as pd
from markupsafe import Markup
from plotly.offline import get_plotlyjs

from nin_bench.errors import printable
from nin_bench.report.costs import MachineCosts
from nin_bench.report.html.body import Section, render_sections
from nin_bench.report.html.data import page_data
from nin_bench.report.plots import MAX_DRAWN

INTERACTIVE = {
    "effects": (
        "A mark is what was measured, its line the interval that decides, and the shaded stretch what was "
        "claimed: a claim is supported where the whole interval lies in it. A hollow mark is of the pairs of "
        "which both networks are healthy, and decides nothing."
    ),
    "learning_curves": (
        "Thick lines are means of healthy seeds, thin ones single seeds, dashed those that failed or "
        "collapsed. Choose one variant for the range of its healthy seeds; a click on a thin line shows its "
        "cell."
    ),
    "training_loss": (
        "Lines as for validation accuracy; one that stays on the dotted line has learned no more than how "
        "often each class occurs."
    ),
    "accuracy_against_costs": (
        "Up and to the left is better: large marks are means of healthy seeds with ± one standard deviation, "
        "small ones single seeds, hollow triangles at the bottom seeds that end below the axis, and the "
        "dashed line joins the variants that no other of the grid beats at the same cost. A click on a small "
        "mark shows its cell."
    ),
    "escape": (
        "The share of a variant's cells that have left chance level; a line that ends below 100 % has cells "
        "that learned nothing."
    ),
    "cost_shares": (
        "Percent of each variant's total, by kind of layer; where a kind's share of the time is larger than "
        "its share of the MACs, its MACs are dear."
    ),
    "roofline": (
        "Each mark is a layer in its forward pass, the larger the more time it takes. The line is what the "
        "machine can do at most: below its slope a layer waits for memory, below its flat part for "
        "arithmetic; how far a mark lies under the line is what is left to gain. A mark above it worked in "
        "caches that are faster than memory."
    ),
}
"""How to read the figures that plots.js draws, by name; any other is shown as it was drawn for report.md."""

_CELLS = Section("Every cell", "every-cell", Markup())
"""A section that report.md has not; its list is made by cells.js."""

_AFTER_CELLS = "Failures and collapsed runs"

_SCRIPTS = ("look.js", "tables.js", "plots.js", "cells.js")
_PLOTLY_STYLE = re.compile(r'getElementById\("([0-9a-f]{64})"\)')
_FROM_LIBRARIES = re.compile(
    rb'(?<=id="plotly">).*?(?=</script>)|(?<=data:image/png;base64,)[\w+/=]*|(?<=sha256-)[\w+/=]*',
    re.DOTALL,
)


def render_html(
    report: Mapping[str, Any],
    markdown: str,
    pictures: Mapping[str, bytes],
    epochs: Mapping[str, pd.DataFrame],
    costs: Sequence[MachineCosts],
) -> str:
    """The content of report.html.

    Args:
        report: the content of report.json.
        markdown: the content of report.md, whose text the page repeats.
        pictures: every figure's PNG, by name.
        epochs: `known_epochs` by history column.
        costs: `compare_costs`.
    """
    captions = _captions(len(report["comparison"]))
    sections = render_sections(markdown, report["figures"], pictures, captions)
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
        title=printable(f"{report['name']} · {report['profile']}"),
        sections=sections,
        cells=_CELLS,
        effects=captions["effects"] if "effects" not in {figure["name"] for figure in report["figures"]} else None,
        data=page_data(report, epochs, costs),
        num_records=len(report["cells"]),
        policy=_policy(scripts=[plotly, script], styles=[style, ""]),
        plotly=Markup(plotly),
        plotly_style_ids=_PLOTLY_STYLE.findall(plotly),
        script=Markup(script),
        style=Markup(style),
    )


def _captions(num_variants: int) -> dict[str, str]:
    if num_variants <= MAX_DRAWN:
        return INTERACTIVE
    drawn = f" Drawn are the first {MAX_DRAWN} of {num_variants} variants, in the grid's order."
    return {name: caption + drawn for name, caption in INTERACTIVE.items()}


def without_libraries(page: bytes) -> bytes:
    """What of a page is ours: all but plotly, the pictures that matplotlib drew, and the digests of both.

    Libraries differ in bytes from version to version, and what they were given to draw does not.
    """
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
