"""Cells that train in a moment, for tests that run them."""

from typing import Any

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Cell, DataSpec, Recipe

QUICK = {"epochs": 2, "batch_size": 64, "lr": 0.1, "momentum": 0.9}


def make_cell(
    name: str = "mlp",
    *,
    recipe: dict[str, Any] | None = None,
    data: dict[str, Any] | None = None,
    seed: int = 0,
    **arguments: object,
) -> Cell:
    """A cell on the digits: 1,438 to train on, less 200 for validation unless told otherwise, 359 for tests."""
    catalog = RegistryCatalog()
    return Cell(
        model=catalog.resolve_model(name, arguments),
        data=catalog.resolve_data(DataSpec(name="digits", **(data or {}))),
        recipe=Recipe(**{**QUICK, **(recipe or {})}),
        seed=seed,
        label=f"{name} label",
    )


def repeated(values: Any) -> dict[str, Any]:
    """What is known of metrics or of a row of a history, without what time and memory decide."""
    varying = ("seconds", "per_second", "memory_bytes", "joules")
    return {key: value for key, value in dict(values).items() if value is not None and not key.endswith(varying)}
