"""The page that compares two results folders."""

from pathlib import Path
from typing import Any

from nin_bench.analysis.compare import describe_moves
from nin_bench.files import to_json, write_atomically
from nin_bench.report.compare_text import COMPARE_FILTERS
from nin_bench.report.page import plain, render_page
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
    said: dict[str, Any] = plain(describe_moves(load_results(before), load_results(after)))
    write_atomically(out / "compare.json", to_json(said))
    page = out / "compare.md"
    write_atomically(page, render_page("compare.md.j2", said, COMPARE_FILTERS))
    return page
