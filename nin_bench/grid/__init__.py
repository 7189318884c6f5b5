"""The question: a YAML file, read into variants, cells and hypotheses. Imports no torch."""

from nin_bench.grid.hypotheses import Assumption, Hypothesis, OpenClaim
from nin_bench.grid.load import Grid
from nin_bench.grid.references import Reference
from nin_bench.grid.search import SearchSpec, trial_variant, with_params
from nin_bench.grid.space import MODEL, Choice, Range
from nin_bench.grid.variants import Catalog, Match, Size, Variant

__all__ = [
    "MODEL",
    "Assumption",
    "Catalog",
    "Choice",
    "Grid",
    "Hypothesis",
    "Match",
    "OpenClaim",
    "Range",
    "Reference",
    "SearchSpec",
    "Size",
    "Variant",
    "trial_variant",
    "with_params",
]
