"""Every cell in a line, and what the page's script shows of one: for report.html alone."""

from collections.abc import Callable
from typing import Any

from nin_bench.analysis.analysis import Analysis, Cell
from nin_bench.metrics import METRICS
from nin_bench.reporting.blocks import NOT_KNOWN, Block, Paragraph, Section, Table
from nin_bench.reporting.sections.networks import describe_trouble

MOST_CELLS = 2_000
"""Cells that a page lists."""


def _number(name: str, decimals: int, scale: float = 1.0) -> Callable[[Cell], str]:
    def shown(cell: Cell) -> str:
        value = cell.metrics.get(name)
        return NOT_KNOWN if value is None else f"{scale * value:.{decimals}f}"

    return shown


_COLUMNS: dict[str, Callable[[Cell], str]] = {
    "test accuracy, %": _number("test_accuracy", 1, 100),
    "validation accuracy, %": _number("validation_accuracy", 1, 100),
    "train accuracy, %": _number("train_accuracy", 1, 100),
    "left chance level in epoch": _number("escape_epoch", 2),
    "lost classes": _number("num_lost_classes", 0),
    "training seconds": _number("train_seconds", 1),
}


def cells(analysis: Analysis) -> list[Block]:
    """A table of the cells that have a record."""
    listed = analysis.cells[:MOST_CELLS]
    if not listed:
        return []
    filled = {heading: [shown(cell) for cell in listed] for heading, shown in _COLUMNS.items()}
    kept = {heading: texts for heading, texts in filled.items() if any(one != NOT_KNOWN for one in texts)}
    rows = zip(
        [analysis.names[cell.label] for cell in listed],
        [str(cell.seed) for cell in listed],
        [outcome(cell) for cell in listed],
        *kept.values(),
        strict=True,
    )
    table = Table(
        ("variant", "seed", "outcome", *kept),
        tuple(rows),
        "lrl" + "r" * len(kept),
        tuple(one.cell_id for one in listed),
    )
    said = "Choose a row, or a mark in a figure, to see what a cell's record says."
    if len(listed) < len(analysis.cells):
        said += f" Listed are the first {len(listed):,} of {len(analysis.cells):,}; report.json has all."
    return [Section("Every cell", (Paragraph(said), table))]


def outcome(cell: Cell) -> str:
    """How a cell ended; `failed` if it ran to its end and learned nothing."""
    return "failed" if cell.metrics.get("failed") and cell.outcome == "trained" else cell.outcome.replace("_", " ")


def cell_facts(analysis: Analysis) -> dict[str, Any]:
    """What the page's script shows of each cell that is listed, by id."""
    causes = {trouble.cell_id: describe_trouble(trouble) for trouble in analysis.troubles}
    return {
        cell.cell_id: {
            "title": f"{analysis.names[cell.label]}, seed {cell.seed}",
            "cause": causes.get(cell.cell_id),
            "facts": {"outcome": outcome(cell), **_facts(cell), "cell id": cell.cell_id},
        }
        for cell in analysis.cells[:MOST_CELLS]
    }


def _facts(cell: Cell) -> dict[str, str]:
    found = {}
    for name, value in cell.metrics.items():
        title = METRICS[name].title if name in METRICS else name.replace("_", " ")
        if isinstance(value, bool):
            found[title] = "yes" if value else "no"
        elif isinstance(value, int | float):
            found[title] = f"{value:,}" if isinstance(value, int) else f"{value:.6g}"
    return found
