"""What a run leaves in its results folder: written whole, checked when read. Imports no torch."""

from nin_bench.results.folder import ResultsFolder
from nin_bench.results.load import Results, load_results
from nin_bench.results.records import FINAL_OUTCOMES, Record
from nin_bench.results.schema import ResolvedGrid

__all__ = [
    "FINAL_OUTCOMES",
    "Record",
    "ResolvedGrid",
    "Results",
    "ResultsFolder",
    "load_results",
]
