"""What a network's answers on the test images amount to. NumPy only, no torch.

An image whose highest logits tie counts as a random pick among the tied classes would on average.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

NUM_BINS = 15
"""Bins of equal width, by which the calibration error compares confidence and accuracy."""

NO_PREDICTION = -1
"""In the place of a predicted class, where logits are not a number."""

Array = npt.NDArray[Any]


def _right(predictions: Mapping[str, Array]) -> npt.NDArray[np.float64]:
    """What each image adds to the number of right ones, (N,)."""
    right = (predictions["predicted"] == predictions["label"]) * predictions["credit"].astype(np.float64)
    assert isinstance(right, np.ndarray)
    return right


def score(predictions: Mapping[str, Array], times_predicted: Array) -> dict[str, Any]:
    """The metrics of a record that follow from the classes that were predicted.

    Balanced accuracy is the mean over classes of the share of right images; macro F1 is the mean over classes of
    2·TP / (images of the class + times it was predicted). Both are scikit-learn's where no logits tie.

    Args:
        predictions: `predicted`, `credit` and `label`, each (N,), as a predictions file keeps them.
        times_predicted: how often each class was predicted, (classes,); an image whose highest logits tie adds its
            share to each of the tied classes.
    """
    label, predicted, credit = (predictions[name] for name in ("label", "predicted", "credit"))
    num_classes = len(times_predicted)
    num_images = np.bincount(label, minlength=num_classes)
    num_right = np.bincount(label, weights=_right(predictions), minlength=num_classes)
    present = num_images > 0
    known = num_images + times_predicted > 0
    unique = credit == 1
    lost = np.flatnonzero(present & ~np.isin(np.arange(num_classes), predicted[unique])).tolist()
    return {
        "test_balanced_accuracy": float((num_right[present] / num_images[present]).mean()),
        "test_macro_f1": float((2 * num_right[known] / (num_images + times_predicted)[known]).mean()),
        "confusion": _confusion(label[unique], predicted[unique]),
        "num_tied": int(((credit > 0) & ~unique).sum()),
        "lost_classes": lost,
        "num_lost_classes": len(lost),
    }


def _confusion(label: Array, predicted: Array) -> list[list[int]]:
    """[true class, predicted class, count] for every pair that occurs, sorted."""
    pairs, counts = np.unique(np.stack([label, predicted]), axis=1, return_counts=True)
    triples: list[list[int]] = np.vstack([pairs, counts]).T.tolist()
    return triples


def calibration_error(predictions: Mapping[str, Array]) -> float:
    """The expected calibration error (Guo et al., 2017), with bins (0, 1/15], (1/15, 2/15], … of the confidence.

    Args:
        predictions: `predicted`, `credit`, `label` and `probability` of the predicted class, each (N,).
    """
    confidence = predictions["probability"].astype(np.float64)
    bins = np.clip(np.ceil(confidence * NUM_BINS).astype(np.int64) - 1, 0, NUM_BINS - 1)
    # A bin's |accuracy − confidence|, weighted by its share of the images, is |sum of its differences| over all.
    differences = np.bincount(bins, weights=_right(predictions) - confidence, minlength=NUM_BINS)
    return float(np.abs(differences).sum() / len(confidence))
