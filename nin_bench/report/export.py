"""The tables of a report for other programs: raw values as CSV, what the page shows as LaTeX (booktabs)."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.verdicts import Verdict
from nin_bench.errors import printable
from nin_bench.files import write_atomically
from nin_bench.report.comparison import comparison_tables
from nin_bench.report.cost_text import Table
from nin_bench.report.page import make_folder
from nin_bench.report.text import num_pairs
from nin_bench.report.verdict_text import VerdictText, describe_verdict

_MATHS = {"−": "$-$", "×": r"$\times$", "±": r"$\pm$", "→": r"$\to$"}
"""What pdflatex has no letter for."""

_NAMES = (
    "comparison.csv", "hypotheses.csv", "learned.tex", "scores.tex", "sizes.tex", "speeds.tex", "hypotheses.tex",
)  # fmt: skip


def write_tables(analysis: Analysis, folder: Path) -> None:
    """Write comparison.csv and hypotheses.csv, raw; learned, scores, sizes, speeds and hypotheses.tex, rounded.

    Args:
        analysis: what they show.
        folder: where they go; it is made. Tables of an earlier report that this one lacks are removed.

    Raises:
        ResultsError: the folder cannot be written.
    """
    files = {"comparison.csv": _csv([asdict(row) for row in analysis.comparison])}
    files |= {f"{name}.tex": to_latex(table) for name, table in comparison_tables(analysis).items()}
    if verdicts := [(verdict, describe_verdict(verdict, analysis.names)) for verdict in analysis.hypotheses]:
        files["hypotheses.csv"] = _csv([_raw(verdict, said) for verdict, said in verdicts], ("n",))
        files["hypotheses.tex"] = to_latex(_verdicts(verdicts))
    make_folder(folder, without=set(_NAMES) - files.keys())
    for name, content in files.items():
        write_atomically(folder / name, content)


def to_latex(table: Table) -> str:
    r"""A tabular in the style of booktabs; every letter that steers LaTeX is escaped.

    >>> to_latex(Table(["variant", "accuracy, %"], [["50_%", "87.2 ± 0.3"]])).splitlines()[4]
    '50\\_\\% & 87.2 $\\pm$ 0.3 \\\\'
    """
    frame = pd.DataFrame(
        [[printable(cell) for cell in row] for row in table.rows],
        columns=[printable(heading) for heading in table.headings],
    )
    style = frame.style.hide(axis="index").format(escape="latex").format_index(escape="latex", axis="columns")
    found = str(style.to_latex(hrules=True, column_format="l" + "r" * (len(table.headings) - 1)))
    for letter, maths in _MATHS.items():
        found = found.replace(letter, maths)
    return found


def _csv(rows: Sequence[Mapping[str, Any]], whole: Sequence[str] = ()) -> str:
    """A column for each value, under its dotted name; empty where there is none.

    Columns in `whole` are written as whole numbers, also beside empty cells.
    """
    table = pd.json_normalize([dict(row) for row in rows]).astype(dict.fromkeys(whole, "Int64"))
    return str(table.to_csv(index=False, lineterminator="\n"))


def _raw(verdict: Verdict, said: VerdictText) -> dict[str, Any]:
    low, high = verdict.interval or (None, None)
    kept = ("id", "says", "primary", "metric", "expect", "margin", "factor", "verdict", "effect")
    rest = ("n", "test", "level", "trade_off", "post_hoc", "early")
    return {
        **{name: getattr(verdict, name) for name in kept},
        "interval_low": low,
        "interval_high": high,
        **{name: getattr(verdict, name) for name in rest},
        "headline": said.headline,
        "a": verdict.compare[0],
        "b": verdict.compare[1],
    }


def _verdicts(verdicts: Sequence[tuple[Verdict, VerdictText]]) -> Table:
    return Table(
        headings=["hypothesis", "says", "verdict", "headline", "n"],
        rows=[
            [verdict.id, verdict.says, verdict.verdict, said.headline, num_pairs(verdict.n)]
            for verdict, said in verdicts
        ],
    )
