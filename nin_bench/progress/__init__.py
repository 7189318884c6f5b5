"""Show how a run, a measuring or a search goes: bars on a terminal, plain lines elsewhere."""

from nin_bench.progress.displays import counting_on, progress_on

__all__ = ["counting_on", "progress_on"]
