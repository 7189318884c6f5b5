"""The tables of a report for other programs: raw values as CSV, what the page shows as LaTeX (booktabs)."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pandas as pd

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.names import Names
from nin_bench.analysis.verdicts import Verdict
from nin_bench.errors import ResultsError, printable
from nin_bench.files import write_atomically
from nin_bench.reporting.blocks import Table, plain
from nin_bench.reporting.sections.costs import cost_tables
from nin_bench.reporting.sections.networks import score_table
from nin_bench.reporting.sections.summary import variant_table
from nin_bench.reporting.verdict_text import VerdictText

_LATEX = str.maketrans({
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "%": r"\%", "&": r"\&", "_": r"\_", "#": r"\#", "$": r"\$",
    "~": r"\textasciitilde{}", "^": r"\textasciicircum{}", "−": "$-$", "×": r"$\times$", "±": r"$\pm$",
    "→": r"$\to$",
})  # fmt: skip
"""What steers LaTeX, and what pdflatex has no letter for."""

_NAMES = (
    "comparison.csv", "hypotheses.csv", "hypotheses.tex", "variants.tex", "scores.tex", "sizes.tex",
    "speeds.tex", "memory.tex", "batches.tex",
)  # fmt: skip


def write_tables(analysis: Analysis, folder: Path) -> None:
    """Write comparison.csv and hypotheses.csv, raw; the variants, scores, costs and hypotheses, rounded, as .tex.

    Raises:
        ResultsError: the folder cannot be written.
    """
    costs = next((machine.rows for machine in analysis.costs if machine.of_grid), [])
    tables = {"variants": variant_table(analysis), "scores": score_table(analysis)}
    tables |= {name: [table] for name, table in cost_tables(costs).items()}
    files = {"comparison.csv": _csv([asdict(row) for row in analysis.comparison])}
    files |= {f"{name}.tex": to_latex(table) for name, found in tables.items() for table in found}
    if analysis.hypotheses:
        files["hypotheses.csv"] = _csv([_raw(one, analysis.names) for one in analysis.hypotheses], ("n",))
        files["hypotheses.tex"] = to_latex(_verdicts(analysis))
    make_folder(folder, without=set(_NAMES) - files.keys())
    for name, content in files.items():
        write_atomically(folder / name, content)


def make_folder(folder: Path, without: Iterable[str]) -> None:
    """Make a report's folder, without what an earlier report left that this one lacks; else ResultsError."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for name in without:
            (folder / name).unlink(missing_ok=True)
    except OSError as error:
        raise ResultsError(
            f"{error.filename or folder}: {error.strerror or error}; give the report a folder that can be written"
        ) from error


def to_latex(table: Table) -> str:
    r"""A tabular in the style of booktabs; every letter that steers LaTeX is escaped.

    >>> to_latex(Table(("variant", "accuracy, %"), (("50_%", "87.2 ± 0.3"),))).splitlines()[4]
    '50\\_\\% & 87.2 $\\pm$ 0.3 \\\\'
    """

    def line(cells: Sequence[Any]) -> str:
        return " & ".join(printable(plain(cell)).translate(_LATEX) for cell in cells) + r" \\"

    head = [f"\\begin{{tabular}}{{{table.alignments}}}", r"\toprule", line(table.headings), r"\midrule"]
    return "\n".join([*head, *map(line, table.rows), r"\bottomrule", r"\end{tabular}"]) + "\n"


def _csv(rows: Sequence[Mapping[str, Any]], whole: Sequence[str] = ()) -> str:
    """A column for each value, under its dotted name; empty where there is none.

    Columns in `whole` are written as whole numbers, also beside empty cells.
    """
    table = pd.json_normalize([dict(row) for row in rows]).astype(dict.fromkeys(whole, "Int64"))
    return str(table.to_csv(index=False, lineterminator="\n"))


def _raw(verdict: Verdict, names: Names) -> dict[str, Any]:
    low, high = verdict.interval or (None, None)
    kept = ("id", "claim", "primary", "metric", "expect", "margin", "factor", "verdict", "effect")
    rest = ("n", "test", "level", "trade_off", "post_hoc", "early")
    return {
        **{name: getattr(verdict, name) for name in kept},
        "interval_low": low,
        "interval_high": high,
        **{name: getattr(verdict, name) for name in rest},
        "headline": VerdictText(verdict, names).headline,
        "a": verdict.compare[0],
        "b": verdict.compare[1],
    }


def _verdicts(analysis: Analysis) -> Table:
    texts = [VerdictText(verdict, analysis.names) for verdict in analysis.hypotheses]
    rows = tuple(
        (one.verdict.id, one.verdict.claim, one.verdict.verdict, one.headline, one.rests_on) for one in texts
    )
    return Table(("hypothesis", "claim", "verdict", "headline", "n, test"), rows, "lllll")
