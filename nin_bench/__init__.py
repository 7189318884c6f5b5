"""nin_bench: ablation and benchmarking of convolutional architectures.

The public functions are imported when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nin_bench.analysis.analysis import Analysis, analyse
    from nin_bench.analysis.compare import FolderComparison, compare_results
    from nin_bench.api import Plan, Run, load_grid, measure, plan, run
    from nin_bench.data import register_dataset
    from nin_bench.grid import Grid
    from nin_bench.models import ImageSpec, build_model, list_models, register_model, use_own_file
    from nin_bench.reporting.build import Report, report
    from nin_bench.results import Results, load_results
    from nin_bench.runner.session import RunOptions
    from nin_bench.trained import load_images, load_network

__version__ = "0.1.0"

_HOMES = {
    "nin_bench.analysis.analysis": ("Analysis", "analyse"),
    "nin_bench.analysis.compare": ("FolderComparison", "compare_results"),
    "nin_bench.api": ("Plan", "Run", "load_grid", "measure", "plan", "run"),
    "nin_bench.grid": ("Grid",),
    "nin_bench.data": ("register_dataset",),
    "nin_bench.models": ("ImageSpec", "build_model", "list_models", "register_model", "use_own_file"),
    "nin_bench.reporting.build": ("Report", "report"),
    "nin_bench.results": ("Results", "load_results"),
    "nin_bench.runner.session": ("RunOptions",),
    "nin_bench.trained": ("load_images", "load_network"),
}

__all__ = [
    "Analysis",
    "FolderComparison",
    "Grid",
    "ImageSpec",
    "Plan",
    "Report",
    "Results",
    "Run",
    "RunOptions",
    "__version__",
    "analyse",
    "build_model",
    "compare_results",
    "list_models",
    "load_grid",
    "load_images",
    "load_network",
    "load_results",
    "measure",
    "plan",
    "register_dataset",
    "register_model",
    "report",
    "run",
    "use_own_file",
]


def __getattr__(name: str) -> Any:
    for home, names in _HOMES.items():
        if name in names:
            return getattr(import_module(home), name)
    raise AttributeError(f"module 'nin_bench' has no attribute {name!r}")


def __dir__() -> list[str]:
    return __all__
