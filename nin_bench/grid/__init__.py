"""The question: a YAML file, read into variants, cells and hypotheses. Imports no torch."""

from nin_bench.grid.load import Grid
from nin_bench.grid.search import SearchSpec
from nin_bench.grid.variants import Variant

__all__ = ["Grid", "SearchSpec", "Variant"]
