"""Results folders made by hand: what `load_results` reads, without training anything."""

import json
import math
import re
import zlib
from pathlib import Path
from typing import Any

import numpy as np

from nin_bench.results.artefact import RUN_SCHEMA
from nin_bench.results.lock import lock_digest
from nin_bench.results.schema import Hypothesis

DATA = {
    "name": "fashion_mnist", "folder": None, "content": None, "resolution": 131, "normalize": "none",
    "train_size": 6000, "validation_size": 2000,
}  # fmt: skip
RECIPE = {
    "epochs": 12, "batch_size": 32, "optimizer": "sgd", "lr": 0.1, "momentum": 0.9, "schedule": "cosine",
    "init": "xavier_uniform", "precision": "bf16", "test_every_epoch": False,
}  # fmt: skip
ENVIRONMENT = {
    "processor": "Example CPU", "cores": 2, "memory_bytes": 8 * 2**30, "system": "Linux x86_64",
    "python": "3.11.9", "software": {"torch": "2.14.0"}, "nin_bench": "0.1.0", "commit": None,
    "workers": 2, "device": "cpu",
}  # fmt: skip


def metrics(test_accuracy: float, *, healthy: bool | None = True, **others: Any) -> dict[str, Any]:
    """A healthy cell's metrics, unless told otherwise."""
    return {
        "test_accuracy": test_accuracy, "test_loss": 0.3, "train_accuracy": min(1, test_accuracy + 0.02),
        "train_loss": 0.25, "validation_accuracy": test_accuracy - 0.01, "validation_loss": 0.31,
        "num_params": 1_992_166, "num_macs": 762_297_352, "train_seconds": 90.0,
        "observed_images_per_second": 800.0, "peak_memory_bytes": 500_000_000, "escaped": True,
        "escape_epoch": 0.4, "num_dead_maps": 0, "num_lost_classes": 0,
        "failed": None if healthy is None else not healthy, "num_tied": 0,
        "num_steps": 2256, "failed_step": None, "chance_loss": math.log(10), "chance_accuracy": 0.1, **others,
    }  # fmt: skip


COLLAPSED = {
    "train_accuracy": 0.1, "train_loss": math.log(10), "failed": True, "num_lost_classes": 9, "escaped": False,
    "escape_epoch": None, "num_dead_maps": 10, "num_tied": 10_000,
}  # fmt: skip


def record(
    outcome: str = "trained",
    metrics: dict[str, Any] | None = None,
    history: list[dict[str, Any]] | None = None,
    error: str | None = None,
) -> dict[str, Any]:
    """A record but for what its place in the folder says."""
    return {
        "outcome": outcome,
        "attempts": [{"outcome": outcome, "error": error}],
        "metrics": metrics or {},
        "history": history or [],
        "environment": ENVIRONMENT,
    }


def locked(seeds: list[int], hypotheses: list[dict[str, Any]], **others: Any) -> dict[str, Any]:
    """What a first run stores of its seeds and hypotheses."""
    digest = lock_digest(seeds, [Hypothesis.model_validate(entry) for entry in hypotheses])
    fixed = {"seeds": seeds, "hypotheses": hypotheses}
    return {"digest": digest, "locked_at": "2026-01-01T00:00:00+00:00", **others, **fixed}


def model_of(label: str) -> dict[str, Any]:
    """The model that a label tells, `nin pointwise=2`; else a `nin` whose label is its own."""
    name, *words = label.split(" ")
    if re.fullmatch(r"[a-z0-9_]{2,}( \w+=[\w.]+)*", label) is None:
        return {"model": {"name": "nin", "revision": 1}, "own_label": True}
    return {"model": {"name": name, "revision": 1, **dict(word.split("=") for word in words)}}


def write_results(
    folder: Path,
    variants: dict[str, list[dict[str, Any] | None]],
    *,
    recipes: dict[str, dict[str, Any]] | None = None,
    **grid: Any,
) -> Path:
    """Write a results folder.

    Args:
        folder: where.
        variants: for each label its seeds' records; None is a cell without a record.
        recipes: recipes of single variants, by label, that are not the usual one.
        grid: fields of grid.json that replace the usual ones.
    """
    num_seeds = max((len(records) for records in variants.values()), default=0)
    planned = [
        {"cell_id": f"c{number:02}s{seed}", "variant_id": f"v{number:02}", "label": label, "seed": seed}
        for number, label in enumerate(variants)
        for seed in range(len(variants[label]))
    ]
    content: dict[str, Any] = {
        "schema": RUN_SCHEMA, "name": "onexone", "profile": "cpu",
        "question": "how many 1×1 layers does a NiN block need, and what does a fully connected head cost?",
        "expect": "45 cells", "source": "", "device_kind": "cpu", "data": DATA, "recipe": RECIPE,
        "seeds": list(range(num_seeds)), "baseline": None,
        "variants": [
            {"variant_id": f"v{number:02}", "label": label, **model_of(label),
             "data": DATA, "recipe": (recipes or {}).get(label, RECIPE)}
            for number, label in enumerate(variants)
        ],
        "cells": planned, "hypotheses": [],
        **grid,
    }  # fmt: skip
    content.setdefault("lock", locked(content["seeds"], content["hypotheses"]))
    written = content["variants"]
    (folder / "cells").mkdir(parents=True)
    (folder / "grid.json").write_text(json.dumps(content))
    for cell, made in zip(planned, [made for records in variants.values() for made in records], strict=True):
        if made is not None:
            variant = next(one for one in written if one["variant_id"] == cell["variant_id"])
            named = {key: cell[key] for key in ("cell_id", "variant_id", "label")}
            resolved = {**{key: variant[key] for key in ("model", "data", "recipe")}, "seed": cell["seed"]}
            content = {"schema": RUN_SCHEMA, **named, "cell": resolved, **made}
            (folder / "cells" / f"{cell['cell_id']}.json").write_text(json.dumps(content))
    return folder


def learning(
    epochs: int, final: float, seed: int, tau: float = 2.5, collapsed: bool = False
) -> list[dict[str, Any]]:
    """A plausible history: accuracy and loss approach their ends within `tau` epochs, or never move."""
    draw = np.random.default_rng(seed)
    rows = []
    for epoch in range(1, epochs + 1):
        progress = 0.0 if collapsed else 1 - math.exp(-epoch / tau)
        accuracy = 0.1 + (final - 0.1) * progress + (0 if collapsed else draw.normal(0, 0.012))
        noise = draw.normal(0, 0.002 if collapsed else 0.02)
        loss = math.log(10) - (math.log(10) - 3 * (1 - final)) * progress + noise
        rows.append({
            "epoch": epoch, "train_loss": loss, "train_accuracy": accuracy, "validation_loss": loss + 0.03,
            "validation_accuracy": accuracy - 0.01, "seconds": 7.5, "lr": 0.1,
        })  # fmt: skip
    return rows


SHOWCASE = {  # label: accuracy, parameters, MACs; counts of the notebooks' networks at 224×224
    "nin pointwise=0 head=gap": (0.871, 1_546_058, 577_472_640),
    "nin pointwise=1 head=gap": (0.893, 1_769_112, 669_884_996),
    "nin pointwise=2 head=gap": (0.902, 1_992_166, 762_297_352),
    "nin pointwise=3 head=gap": (0.898, 2_215_220, 854_709_708),
    "nin pointwise=0 head=fc": (0.884, 57_659_246, 632_000_000),
    "nin pointwise=1 head=fc": (0.899, 57_882_300, 725_000_000),
    "nin pointwise=2 head=fc": (0.905, 58_105_354, 817_000_000),
    "alexnet": (0.897, 46_764_746, 938_146_176),
    "vgg11 width=0.25": (0.918, 43_093_322, 512_155_648),
}


def write_showcase(folder: Path, **grid: Any) -> Path:
    """Nine variants with three seeds; some collapsed, one diverged, one crashed, one has no record."""
    variants: dict[str, list[dict[str, Any] | None]] = {}
    for label, (accuracy, num_params, num_macs) in SHOWCASE.items():
        variants[label] = []
        for seed in range(3):
            draw = np.random.default_rng(zlib.crc32(f"{label} {seed}".encode()))
            tau = 0.8 + 0.35 * len(variants) * draw.uniform(0.8, 1.2)
            reached = accuracy + draw.normal(0, 0.004)
            counts = {
                "num_params": num_params, "num_macs": num_macs, "escape_epoch": float(draw.uniform(0.1, 2.5)),
                "train_seconds": num_macs / 7e6 * draw.uniform(0.95, 1.05),
                "observed_images_per_second": 8e10 / num_macs * draw.uniform(0.95, 1.05),
            }  # fmt: skip
            made = record(metrics=metrics(reached, **counts), history=learning(12, reached, seed, tau))
            variants[label].append(made)

    def replace(label: str, seed: int, made: dict[str, Any] | None) -> None:
        variants[label][seed] = made

    flat = learning(12, 0.1, 1, collapsed=True)
    for label, seed in [("nin pointwise=3 head=gap", 0), ("nin pointwise=3 head=gap", 2),
                        ("nin pointwise=2 head=gap", 1)]:  # fmt: skip
        counts = {"num_params": SHOWCASE[label][1], "num_macs": SHOWCASE[label][2]}
        replace(label, seed, record(metrics=metrics(0.1, **COLLAPSED, **counts), history=flat))
    three_dead = {
        "healthy": False,
        "num_lost_classes": 3,
        "num_dead_maps": 3,
        "num_tied": 812,
        "escape_epoch": 5.2,
    }
    counts = {"num_params": 57_659_246, "num_macs": 632_000_000}
    replace(
        "nin pointwise=0 head=fc", 2,
        record(metrics=metrics(0.61, **three_dead, **counts), history=learning(12, 0.61, 4)),
    )  # fmt: skip
    replace(
        "alexnet", 0,
        record("diverged", {"num_params": 46_764_746, "num_macs": 938_146_176, "failed_step": 612,
                            "escaped": True, "escape_epoch": 0.9},
               learning(3, 0.7, 5), "training loss is nan"),
    )  # fmt: skip
    replace("vgg11 width=0.25", 1, record("crashed", {}, [], "worker ended with signal 9 (SIGKILL)"))
    replace("vgg11 width=0.25", 2, None)
    return write_results(folder, variants, baseline="nin pointwise=2 head=gap", **grid)
