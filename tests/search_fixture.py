"""Folders of searches made by hand: what `read_search` reads, without training anything."""

import json
import math
import zlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from nin_bench.results.studies import SCHEMA
from tests.report_fixture import DATA, ENVIRONMENT, RECIPE, model_of

SEEDS = [10_000, 10_001]
RATES = [10 ** (-3 + 0.6 * step) for step in range(6)]
"""Six log-spaced rates from 0.001 to 1."""
SPACE: dict[str, Any] = {"lr": {"low": 1e-3, "high": 1.0, "log": True}}
SETTINGS: dict[str, Any] = {
    "space": SPACE, "trials": 6, "seeds": SEEDS, "epochs": 12, "sampler": "grid", "sampler_seed": 0,
    "pruner": "none", "objective": "validation_accuracy", "direction": "maximize",
}  # fmt: skip

Made = dict[str, Any]


def run(accuracy: float | None, seed: int = SEEDS[0], *, loss: float | None = None, **others: Any) -> Made:
    """One seed of a trial; without an accuracy it diverged, and close to chance it did not escape.

    The loss follows from the accuracy unless it is given.
    """
    if loss is None and accuracy is not None:
        loss = 2.303 - 2.2 * (accuracy - 0.1)
    escaped = accuracy is None or accuracy > 0.15
    last = {
        "epoch": 12, "train_loss": loss, "train_accuracy": accuracy, "validation_loss": loss,
        "validation_accuracy": accuracy, "lr": 0.1, "seconds": 7.5,
    }  # fmt: skip
    return {
        "seed": seed, "outcome": "diverged" if accuracy is None else "trained",
        "value": accuracy if escaped and accuracy is not None else 0.0, "escaped": escaped,
        "escape_epoch": 0.4 if escaped else None, "num_steps": 2256,
        "history": [] if accuracy is None else [last],
        **others,
    }  # fmt: skip


def trial(number: int, params: Mapping[str, Any], accuracies: Sequence[float | None], **others: Any) -> Made:
    """A complete trial of one accuracy per seed; one that diverged or stayed at chance level counts as 0."""
    runs = [run(accuracy, SEEDS[0] + place) for place, accuracy in enumerate(accuracies)]
    return {
        "number": number, "state": "complete", "params": dict(params),
        "value": sum(made["value"] for made in runs) / max(len(runs), 1),
        "diverged": None in accuracies, "escaped": all(made["escaped"] for made in runs),
        "epochs": 12 * len(runs), "device_seconds": 45.0 * len(runs), "overhead_seconds": 0.08,
        "started_at": "2026-01-01T00:00:00+00:00", "finished_at": "2026-01-01T00:01:30+00:00", "error": None,
        "runs": runs, **others,
    }  # fmt: skip


def failed(number: int, params: Mapping[str, Any]) -> Made:
    """A trial whose search was killed, so that nothing is told of it."""
    return trial(
        number, params, [], state="failed", value=None, escaped=None, epochs=None, device_seconds=None,
        overhead_seconds=None, started_at=None, finished_at=None, error="its search ended before it did",
    )  # fmt: skip


def pruned(number: int, params: Mapping[str, Any], accuracies: Sequence[float], epochs: int = 4) -> Made:
    """A trial that was stopped after some epochs, with what it had reached."""
    made = trial(number, params, accuracies, state="pruned", epochs=epochs * len(accuracies), device_seconds=30.0)
    return {**made, "escaped": made["escaped"] or None, "value": sum(accuracies) / len(accuracies)}


def sweep(curve: Sequence[float | Sequence[float | None] | None], rates: Sequence[float] = RATES) -> list[Made]:
    """A trial per rate; one accuracy stands for both seeds."""
    return [
        trial(number, {"lr": rate}, [at, at] if at is None or isinstance(at, float) else at)
        for number, (rate, at) in enumerate(zip(rates, curve, strict=True))
    ]


def best_of(trials: Sequence[Made], direction: str = "maximize") -> Made | None:
    """What the search names as best: the best of the complete trials, the first of equal ones."""
    complete = [made for made in trials if made["state"] == "complete" and made["value"] is not None]
    if not complete:
        return None
    sign = 1 if direction == "maximize" else -1
    best = max(complete, key=lambda made: (sign * made["value"], -made["number"]))
    return {name: best[name] for name in ("number", "params", "value")}


def write_search(folder: Path, studies: Mapping[str, Sequence[Made] | None], **settings: Any) -> Path:
    """Write a search's folder.

    Args:
        folder: where.
        studies: for each label its study's trials; None is a variant without a study.
        settings: of the `search` section that replace the usual ones; `question`, `name`, `storage`,
            `baseline` (a variant's id), `recipes` and `num_params` (by label) of search.json.
    """
    top: dict[str, Any] = {
        "name": "lr_search", "question": "which learning rate suits each network?", "storage": "sqlite",
        "baseline": None,
    }  # fmt: skip
    top |= {key: settings.pop(key) for key in list(settings) if key in top}
    recipes: Mapping[str, Mapping[str, Any]] = settings.pop("recipes", {})
    num_params: Mapping[str, int | None] = settings.pop("num_params", {})
    variants = [
        {"variant_id": f"v{number:02}", "label": label,
         **model_of(label), "data": DATA,
         "recipe": {**RECIPE, **recipes.get(label, {})}, "num_params": num_params.get(label, 1_000 * (number + 1)),
         "study_name": f"{top['name']}/cpu/v{number:02}"}
        for number, label in enumerate(studies)
    ]  # fmt: skip
    section = {**SETTINGS, "run_epochs": {made["variant_id"]: 12 for made in variants}, **settings}
    content = {
        "schema": SCHEMA, **top, "profile": "cpu", "source": "schema: 1\n", "data": DATA, "recipe": RECIPE,
        "search": section, "chance_loss": math.log(10), "variants": variants, "environment": ENVIRONMENT,
    }  # fmt: skip
    (folder / "studies").mkdir(parents=True)
    (folder / "search.json").write_text(json.dumps(content))
    for variant, trials in zip(variants, studies.values(), strict=True):
        if trials is not None:
            study = {
                "schema": SCHEMA, **{key: variant[key] for key in ("variant_id", "label", "study_name")},
                "trials": trials, "best": best_of(trials, section["direction"]),
            }  # fmt: skip
            (folder / "studies" / f"{variant['variant_id']}.json").write_text(json.dumps(study))
    return folder


SHOWCASE = {  # label: accuracy at the peak, log10 of the best rate, of the rate where it collapses, steepness
    "nin pointwise=0 head=gap width=0.25": (0.874, -0.9, -0.1, 0.035),
    "nin pointwise=1 head=gap width=0.25": (0.868, -1.1, -0.5, 0.05),
    "nin pointwise=2 head=gap width=0.25": (0.859, -1.4, -0.8, 0.08),
    "nin pointwise=3 head=gap width=0.25": (0.851, -1.7, -1.4, 0.12),
    "nin pointwise=2 head=fc width=0.25": (0.866, -1.5, -1.0, 0.07),
    "alexnet width=0.25": (0.872, -1.6, -1.0, 0.03),
    "vgg11 width=0.0625": (0.881, -1.9, -1.5, 0.05),
    "lenet activation=relu": (0.842, -1.2, -0.2, 0.02),
    "mlp width=2": (0.821, -1.8, 0.1, 0.015),
}


def response(label: str, rate: float, seed: int, penalty: float = 0.0) -> float | None:
    """A plausible accuracy: a slow fall below the best rate, collapse and divergence above another."""
    top, best, cliff, steepness = SHOWCASE[label]
    draw = np.random.default_rng(zlib.crc32(f"{label} {rate:.6g} {seed} {penalty}".encode()))
    x = math.log10(rate) + draw.normal(0, 0.06)
    if x > cliff + 0.5:
        return None
    if x > cliff:
        return 0.1
    return top - steepness * (x - best) ** 2 - penalty + draw.normal(0, 0.004)


def write_search_showcase(folder: Path, variants: int = 9, trials: int = 6, **settings: Any) -> Path:
    """Up to nine variants over log-spaced rates: some collapse, some diverge, one trial was killed."""
    rates = [10 ** (-3 + 3 * step / max(trials - 1, 1)) for step in range(trials)]
    studies = {
        label: [trial(n, {"lr": rate}, [response(label, rate, s) for s in SEEDS]) for n, rate in enumerate(rates)]
        for label in list(SHOWCASE)[:variants]
    }
    first = next(iter(studies.values()))
    first.append(failed(len(first), first[0]["params"]))
    return write_search(folder, studies, trials=trials, **settings)


def write_two_parameters(folder: Path, variants: int = 3, sampler: str = "grid") -> Path:
    """Rates and initialisations together: on a grid, or drawn at random with weight decay beside them."""
    draw = np.random.default_rng(0)
    inits = {"default": 0.03, "xavier_uniform": 0.0}
    space: dict[str, Any] = {**SPACE, "init": list(inits)}
    points: list[dict[str, Any]] = [{"lr": rate, "init": init} for rate in RATES for init in inits]
    if sampler != "grid":
        space["weight_decay"] = {"low": 1e-6, "high": 1e-2, "log": True}
        points = [
            {"lr": 10 ** draw.uniform(-3, 0), "init": list(inits)[draw.integers(2)],
             "weight_decay": 10 ** draw.uniform(-6, -2)}
            for _ in range(24)
        ]  # fmt: skip
    studies = {
        label: [
            trial(n, at, [response(label, at["lr"], s, inits[at["init"]]) for s in SEEDS])
            for n, at in enumerate(points)
        ]
        for label in list(SHOWCASE)[:variants]
    }
    return write_search(folder, studies, space=space, trials=len(points), sampler=sampler)
