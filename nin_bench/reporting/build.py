"""Build reports: pure functions of an analysis, so that the same results give the same bytes."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from nin_bench.analysis.analysis import Analysis, analyse
from nin_bench.analysis.compare import FolderComparison, compare_results
from nin_bench.analysis.gates import Asked
from nin_bench.analysis.search.analysis import SearchAnalysis, analyse_search
from nin_bench.analysis.search.studies import read_search
from nin_bench.errors import ResultsError
from nin_bench.files import write_atomically
from nin_bench.reporting.blocks import Block, Page, Paragraph
from nin_bench.reporting.export import make_folder, write_tables
from nin_bench.reporting.figures import FIGURES, SEARCH_FIGURES, Drawing, figures_of, search_figures_of
from nin_bench.reporting.html import render_html
from nin_bench.reporting.markdown import render_markdown
from nin_bench.reporting.sections import REPORT, SEARCH
from nin_bench.reporting.sections.cells import cell_facts, cells
from nin_bench.reporting.sections.compare import comparison, gates
from nin_bench.results import ResultsFolder, load_results

Found = TypeVar("Found")


@dataclass(frozen=True)
class Report:
    """The pages of a results folder's report; beside each lie the same page as HTML, and its data as JSON."""

    page: Path | None
    """report.md; None if the folder holds a search alone."""
    search_page: Path | None
    """search.md; None if the folder holds no search."""

    @cached_property
    def analysis(self) -> Analysis:
        """What report.md shows; ResultsError if there is no such page."""
        return Analysis.read(_data_of(self.page))

    @cached_property
    def search(self) -> SearchAnalysis:
        """What search.md shows; ResultsError if there is no such page."""
        return SearchAnalysis.read(_data_of(self.search_page))


def _data_of(page: Path | None) -> Path:
    if page is None:
        raise ResultsError("the folder has no such page")
    return page.with_suffix(".json")


def report(folder: Path | str, out: Path | str | None = None) -> Report:
    """Write the report of a results folder, of its run and of its search, from its records alone.

    Args:
        folder: a results folder, `<root>/<grid>/<profile>`.
        out: where the report goes; None is where a run writes it.

    Raises:
        ResultsError: there is nothing to report of, or `out` cannot be written.
    """
    folder = Path(folder)
    out = report_folder(folder) if out is None else Path(out)
    searched = (folder / "search.json").exists()
    search_page = build_search_report(folder, out) if searched else None
    has_run = ResultsFolder(folder).grid_path.exists() or not searched
    return Report(build_report(folder, out) if has_run else None, search_page)


def report_folder(results: Path) -> Path:
    """Where a results folder's report goes: results/… beside it in reports/…, any other in its own report/."""
    if not results.is_absolute() and results.parts[:1] == ("results",):
        return Path("reports", *results.parts[1:])
    return results / "report"


def build_report(folder: Path, out: Path) -> Path:
    """Write report.md, report.html, report.json, figures/ and tables/; each file is seen whole or not at all.

    What an earlier report left there and this one lacks is removed.

    Returns:
        The path of report.md.

    Raises:
        ResultsError: there is no readable grid.json, or `out` cannot be written.
    """
    analysis = analyse(load_results(folder))
    drawings = figures_of(analysis)
    page = report_page(analysis)
    _write_figures(drawings, out, [name for name, *_ in FIGURES])
    write_tables(analysis, out / "tables")
    analysis.write(out / "report.json")
    listed = Page(page.title, (*page.blocks, *cells(analysis)))
    _write(out / "report.html", listed, drawings, {"cells": cell_facts(analysis)})
    return _write(out / "report.md", page, drawings)


def build_search_report(folder: Path, out: Path) -> Path:
    """Write search.md, search.html, search.json and figures/search_*; each is seen whole or not at all.

    Returns:
        The path of search.md.

    Raises:
        ResultsError: there is no readable search.json, or `out` cannot be written or is the folder itself, where
            the report's search.json would take the place of the search's.
    """
    if out.resolve() == folder.resolve():
        raise ResultsError(f"{out}: holds the search itself; give its report another --out")
    analysis = analyse_search(read_search(folder))
    drawings = search_figures_of(analysis)
    page = search_page(analysis)
    _write_figures(drawings, out, [name for name, *_ in SEARCH_FIGURES])
    analysis.write(out / "search.json")
    _write(out / "search.html", page, drawings)
    return _write(out / "search.md", page, drawings)


def compare_folders(
    before: Path, after: Path, out: Path, fail_on: Sequence[Asked] = ()
) -> tuple[Path, FolderComparison]:
    """Write compare.md, compare.html and compare.json.

    Args:
        before: a results folder, A.
        after: another, B.
        out: where the comparison goes.
        fail_on: in what B must not be worse; gate.md, for the page of a CI run, says whether it is.

    Returns:
        The path of compare.md, and what it says.

    Raises:
        ResultsError: one of them has no readable grid.json, or `out` cannot be written.
    """
    found = compare_results(load_results(before), load_results(after), fail_on)
    found.write(out / "compare.json")
    page = comparison_page(found)
    _write(out / "compare.html", page, {})
    if fail_on:
        judged = gates(found) or [Paragraph("No variant is in both folders, so nothing could be judged.")]
        _write(out / "gate.md", Page("Gate", tuple(judged)), {})
    return _write(out / "compare.md", page, {}), found


def report_page(analysis: Analysis) -> Page:
    """What report.md and report.html say."""
    return Page(f"{analysis.name} · {analysis.profile}", _blocks(REPORT, analysis))


def search_page(analysis: SearchAnalysis) -> Page:
    """What search.md and search.html say."""
    return Page(f"{analysis.name} · {analysis.profile} · search", _blocks(SEARCH, analysis))


def comparison_page(found: FolderComparison) -> Page:
    """What compare.md and compare.html say."""
    a, b = found.a, found.b
    return Page(f"{a.name} · {a.profile} against {b.name} · {b.profile}", tuple(comparison(found)))


def _blocks(sections: Iterable[Callable[[Found], Sequence[Block]]], found: Found) -> tuple[Block, ...]:
    return tuple(block for section in sections for block in section(found))


def _write(path: Path, page: Page, drawings: Mapping[str, Drawing], data: Mapping[str, Any] | None = None) -> Path:
    """Write a page as its suffix says."""
    shown = page.with_figures(drawings)
    content = render_markdown(shown, drawings) if path.suffix == ".md" else render_html(shown, drawings, data)
    write_atomically(path, content)
    return path


def _write_figures(drawings: Mapping[str, Drawing], out: Path, known: Iterable[str]) -> None:
    """Write each figure's file; of the known names, remove those of an earlier report that this one lacks."""
    folder = out / "figures"
    lacking = set(known) - drawings.keys()
    make_folder(folder, without=[f"{name}.svg" for name in lacking])
    for drawing in drawings.values():
        write_atomically(out / drawing.file, drawing.signed)
