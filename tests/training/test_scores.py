"""Scores of predictions, against scikit-learn's and against the definition of the calibration error."""

import warnings

import numpy as np
import pytest
import torch
from sklearn.metrics import (
    accuracy_score,
    balanced_accuracy_score,
    confusion_matrix,
    f1_score,
    top_k_accuracy_score,
)

from nin_bench.training.evaluation import answers
from nin_bench.training.scores import calibration_error, score


def answered(logits, labels):
    """Predictions as a file keeps them, and how often each class was predicted."""
    found = {name: tensor.numpy() for name, tensor in answers(logits, labels).items()}
    return found, found.pop("times_predicted")[0]


def accuracy(predictions):
    return ((predictions["predicted"] == predictions["label"]) * predictions["credit"].astype(float)).mean()


@pytest.fixture(params=[3, 6, 30])
def drawn(request) -> tuple[torch.Tensor, torch.Tensor]:
    """400 images whose logits know something of the labels; of the classes, some are rare or do not occur."""
    num_classes = request.param
    generator = torch.Generator().manual_seed(num_classes)
    labels = (num_classes * torch.rand(400, generator=generator) ** 2).long()
    logits = torch.randn(400, num_classes, generator=generator)
    logits[torch.arange(400), labels] += 1.5 * torch.rand(400, generator=generator)
    return logits, labels


def test_scores_are_scikit_learns(drawn):
    logits, labels = drawn
    predictions, times_predicted = answered(logits, labels)
    guesses = logits.argmax(1)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # a class that was predicted and does not occur
        balanced = balanced_accuracy_score(labels, guesses)
    found = score(predictions, times_predicted)
    assert accuracy(predictions) == accuracy_score(labels, guesses)
    assert found["test_balanced_accuracy"] == pytest.approx(balanced, rel=1e-12)
    assert found["test_macro_f1"] == pytest.approx(f1_score(labels, guesses, average="macro", zero_division=0))
    matrix = np.zeros((logits.shape[1],) * 2, int)
    for true, guess, count in found["confusion"]:
        matrix[true, guess] = count
    assert (matrix == confusion_matrix(labels, guesses, labels=range(logits.shape[1]))).all()
    assert found["confusion"] == sorted(found["confusion"])
    assert found["lost_classes"] == sorted(set(labels.tolist()) - set(guesses.tolist()))
    assert found["num_lost_classes"] == len(found["lost_classes"])
    assert found["num_tied"] == 0


def test_the_five_highest_are_scikit_learns(drawn):
    logits, labels = drawn
    if logits.shape[1] > 5:
        expected = top_k_accuracy_score(labels, logits, k=5, labels=range(logits.shape[1]))
        assert answered(logits, labels)[0]["top5"].mean() == pytest.approx(expected, rel=1e-6)


def guo(confidence, right, num_bins=15):
    """Guo et al., 2017: the sum over bins of |accuracy − confidence|, weighted by their share of the images."""
    found = 0.0
    for number in range(num_bins):
        inside = (confidence > number / num_bins) & (confidence <= (number + 1) / num_bins)
        if inside.any():
            found += inside.mean() * abs(right[inside].mean() - confidence[inside].mean())
    return found


def test_the_calibration_error_is_that_of_its_definition(drawn):
    logits, labels = drawn
    predictions, _ = answered(logits, labels)
    confidence = logits.double().softmax(1).amax(1).numpy()
    expected = guo(confidence, (logits.argmax(1) == labels).numpy())
    assert expected > 0.01
    assert calibration_error(predictions) == pytest.approx(expected, abs=1e-6)


def test_borders_of_bins_belong_to_the_lower_bin_and_certainty_to_the_last():
    predictions = {
        "predicted": np.array([0, 0, 1, 0]),
        "label": np.array([0, 1, 1, 0]),
        "credit": np.ones(4, np.float32),
        "probability": np.array([1.0, 1.0, 0.0, 0.0], np.float32),
    }
    assert calibration_error(predictions) == pytest.approx((abs(1 - 2) + abs(2 - 0)) / 4)


def test_ties_count_as_the_chance_of_a_right_pick():
    # Two classes share the first image, all three the second; the third is alone and wrong.
    logits = torch.tensor([[1.0, 1.0, 0.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    predictions, times_predicted = answered(logits, torch.tensor([0, 1, 1]))
    found = score(predictions, times_predicted)
    assert accuracy(predictions) == pytest.approx((1 / 2 + 1 / 3 + 0) / 3)
    assert found["test_balanced_accuracy"] == pytest.approx((1 / 2 + (1 / 3 + 0) / 2) / 2)
    # TP 1/2, 1/3, 0; images 1, 2, 0; predicted 1/2 + 1/3 + 1, 1/2 + 1/3, 1/3.
    expected = [2 * (1 / 2) / (1 + 11 / 6), 2 * (1 / 3) / (2 + 5 / 6), 0]
    assert found["test_macro_f1"] == pytest.approx(sum(expected) / 3)
    assert (found["confusion"], found["num_tied"]) == ([[1, 0, 1]], 2)
    assert (found["lost_classes"], found["num_lost_classes"]) == ([1], 1)


def test_a_random_pick_scores_the_same_on_average():
    logits = torch.randint(0, 3, (200, 4), generator=torch.Generator().manual_seed(0)).float()
    labels = torch.arange(200) % 4
    predictions, times_predicted = answered(logits, labels)
    draw = np.random.default_rng(0)
    picked = []
    for _ in range(400):
        guesses = (logits.numpy() + 0.5 * draw.random(logits.shape)).argmax(1)
        picked.append((accuracy_score(labels, guesses), balanced_accuracy_score(labels, guesses)))
    found = score(predictions, times_predicted)
    assert np.mean(picked, axis=0) == pytest.approx(
        [accuracy(predictions), found["test_balanced_accuracy"]], abs=0.005
    )
    assert times_predicted.sum() == pytest.approx(200)
    assert found["num_tied"] + sum(count for _, _, count in found["confusion"]) == 200


def test_an_image_whose_logits_are_no_numbers_is_predicted_by_none():
    logits = torch.tensor([[float("nan"), 0.0], [1.0, 0.0]])
    predictions, times_predicted = answered(logits, torch.tensor([1, 0]))
    found = score(predictions, times_predicted)
    assert accuracy(predictions) == 0.5
    assert (found["confusion"], found["num_tied"], found["lost_classes"]) == ([[0, 0, 1]], 0, [1])
    assert np.isfinite(calibration_error(predictions))
