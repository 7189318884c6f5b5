"""What a run leaves in its results folder: written whole, checked when read. Imports no torch."""

from nin_bench.results.folder import FINAL_OUTCOMES, PARTS, ResultsFolder
from nin_bench.results.load import Results, load_results
from nin_bench.results.stored import Predictions, Record, is_of, planned_cells

__all__ = [
    "FINAL_OUTCOMES",
    "PARTS",
    "Predictions",
    "Record",
    "Results",
    "ResultsFolder",
    "is_of",
    "load_results",
    "planned_cells",
]
