"""What is installed on this machine beside Python packages."""

import os
from pathlib import Path

DEBIAN_FASHION_MNIST = Path("/usr/share/datasets/fashion-mnist")


def has_fashion_mnist() -> bool:
    """Whether Fashion-MNIST can be read without a download."""
    data_dir = os.environ.get("NIN_BENCH_DATA")
    return DEBIAN_FASHION_MNIST.is_dir() or bool(data_dir and (Path(data_dir) / "FashionMNIST").is_dir())
