"""Datasets as uint8 tensors: found, verified, split, and made into batches where they are needed."""

from nin_bench.data.batches import ImageBatches
from nin_bench.data.dataset import Dataset, count_images, describe_data, load_dataset, resolve_data

__all__ = ["Dataset", "ImageBatches", "count_images", "describe_data", "load_dataset", "resolve_data"]
