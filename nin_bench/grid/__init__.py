"""The question: a YAML file, read into variants, cells and hypotheses. Imports no torch."""

from nin_bench.grid.entries import Catalog, Size
from nin_bench.grid.file import Assumption
from nin_bench.grid.load import Grid
from nin_bench.grid.search import MODEL, SearchSpec, trial_variant, with_params
from nin_bench.grid.variants import Variant

__all__ = [
    "MODEL",
    "Assumption",
    "Catalog",
    "Grid",
    "SearchSpec",
    "Size",
    "Variant",
    "trial_variant",
    "with_params",
]
