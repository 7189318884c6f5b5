"""Show on screen what a run, a measuring or a search tells while it lasts."""

from nin_bench.progress.run import forecast_line, human_duration, human_memory, memory_warning, progress_on
from nin_bench.progress.search import search_progress_on

__all__ = [
    "forecast_line",
    "human_duration",
    "human_memory",
    "memory_warning",
    "progress_on",
    "search_progress_on",
]
