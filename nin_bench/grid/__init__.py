"""The question: a YAML file, read into variants, cells and hypotheses. Imports no torch."""

from nin_bench.grid.hypotheses import Hypothesis
from nin_bench.grid.load import Grid
from nin_bench.grid.search import SearchSpec, trial_variant, with_params
from nin_bench.grid.space import Choice, Range
from nin_bench.grid.variants import Catalog, Match, Size, Variant

__all__ = [
    "Catalog",
    "Choice",
    "Grid",
    "Hypothesis",
    "Match",
    "Range",
    "SearchSpec",
    "Size",
    "Variant",
    "trial_variant",
    "with_params",
]
