"""Show a run's or a search's events on screen while it lasts."""

from nin_bench.progress.run import run_progress
from nin_bench.progress.search import search_progress

__all__ = ["run_progress", "search_progress"]
