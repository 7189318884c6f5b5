"""The page that compares two results folders."""

from pathlib import Path

from nin_bench.analysis.compare import compare_results
from nin_bench.files import write_atomically
from nin_bench.report.compare_text import COMPARE_FILTERS
from nin_bench.report.page import render_page
from nin_bench.results import load_results


def compare_folders(before: Path, after: Path, out: Path) -> Path:
    """Write compare.md and compare.json.

    Args:
        before: a results folder, A.
        after: another, B.
        out: where the comparison goes.

    Returns:
        The path of compare.md.

    Raises:
        ResultsError: one of them has no readable grid.json, or `out` cannot be written.
    """
    comparison = compare_results(load_results(before), load_results(after))
    comparison.write(out / "compare.json")
    page = out / "compare.md"
    write_atomically(page, render_page("compare.md.j2", dict(comparison), COMPARE_FILTERS))
    return page
