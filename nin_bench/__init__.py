"""nin_bench: ablation and benchmarking of convolutional architectures.

The public functions are imported when they are first used, so that importing the package costs nothing.
"""

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nin_bench.data import register_dataset
    from nin_bench.models import ImageSpec, build_model, list_models, register_model, use_own_file
    from nin_bench.results import Results, load_results
    from nin_bench.trained import load_images, load_network

__version__ = "0.1.0"

_HOMES = {
    "ImageSpec": "nin_bench.models",
    "Results": "nin_bench.results",
    "build_model": "nin_bench.models",
    "list_models": "nin_bench.models",
    "load_images": "nin_bench.trained",
    "load_network": "nin_bench.trained",
    "load_results": "nin_bench.results",
    "register_dataset": "nin_bench.data",
    "register_model": "nin_bench.models",
    "use_own_file": "nin_bench.models",
}

__all__ = [
    "ImageSpec",
    "Results",
    "__version__",
    "build_model",
    "list_models",
    "load_images",
    "load_network",
    "load_results",
    "register_dataset",
    "register_model",
    "use_own_file",
]


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'nin_bench' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)
