"""Whole pages, word by word.

After a change of wording, read the difference: WRITE_GOLDEN=1 python -m pytest tests/reporting/test_golden.py
"""

import os
import re
from dataclasses import replace
from pathlib import Path

import pytest

from nin_bench.analysis.analysis import analyse
from nin_bench.analysis.compare import compare_results
from nin_bench.analysis.search.analysis import analyse_search
from nin_bench.analysis.search.studies import read_search
from nin_bench.reporting.blocks import Page
from nin_bench.reporting.build import build_report, comparison_page, report_page, search_page
from nin_bench.reporting.markdown import render_markdown
from nin_bench.results import load_results
from tests.costs_fixture import CPU, write_showcase_costs
from tests.report_fixture import SHOWCASE, metrics, record, write_results, write_showcase
from tests.search_fixture import write_two_parameters

GOLDEN = Path(__file__).parent / "golden"
MOST_WORDS = 2_500
"""Of a report on nine variants and twelve claims; numbers are no words."""


def showcase(folder: Path) -> Path:
    """Nine variants and twelve claims, measured."""
    labels = list(SHOWCASE)
    claims = [
        {
            "id": f"claim-{number}", "claim": f"More layers are better in {metric.replace('_', ' ')}.",
            "primary": number < 4, "metric": metric, "compare": [labels[number % 9], labels[(number + 1) % 9]],
            "expect": "greater", "margin": 0.0, "factor": None,
        }
        for number, metric in enumerate(
            ["test_accuracy", "generalisation_gap", "escape_epoch", "test_accuracy"] * 2
            + ["num_params", "num_macs", "train_images_per_second", "latency_p50_seconds"]
        )
    ]  # fmt: skip
    write_showcase(folder, machine=CPU, hypotheses=claims)
    write_showcase_costs(folder, 9)
    return folder


def compared(root: Path) -> Page:
    sides = {
        name: write_results(root / name, {"a": [record(metrics=metrics(score + seed / 100)) for seed in range(6)]})
        for name, score in (("before", 0.9), ("after", 0.8))
    }
    found = compare_results(*(load_results(folder) for folder in sides.values()))
    named = {"a": replace(found.a, path="before"), "b": replace(found.b, path="after")}
    return comparison_page(found.model_copy(update=named))


PAGES = {
    "report": lambda root: report_page(analyse(load_results(showcase(root / "r")))),
    "search": lambda root: search_page(analyse_search(read_search(write_two_parameters(root / "s", variants=2)))),
    "compare": compared,
}


@pytest.mark.parametrize("name", PAGES)
def test_a_page_reads_as_it_did(tmp_path: Path, name: str) -> None:
    page = render_markdown(PAGES[name](tmp_path).with_figures(()), {})
    kept = GOLDEN / f"{name}.md"
    if os.environ.get("WRITE_GOLDEN"):
        kept.write_text(page)
    assert page == kept.read_text()


def test_a_page_can_be_read_in_ten_minutes(tmp_path: Path) -> None:
    page = build_report(showcase(tmp_path / "r"), tmp_path / "report").read_text()
    without_links = re.sub(r"\[!\[.*?\]\(.*?\)\]\(.*?\)", "", page)
    assert len(re.findall(r"[^\W\d_]{2,}", without_links)) <= MOST_WORDS
