import json
from pathlib import Path
from typing import Any, get_args

import pytest

from nin_bench.files import DamagedFileError
from nin_bench.results.artefact import Artefact
from nin_bench.results.records import Outcome, Record
from nin_bench.results.schema import ResolvedGrid
from nin_bench.results.studies import SearchConfig, StudySummary
from tests.cells import make_cell

SHIPPED = Path(__file__).parents[2] / "results" / "reference"
SPEC = {"model": {"name": "mlp", "hidden": 16}, "data": {"name": "digits"}, "recipe": {"epochs": 2}}


@pytest.mark.parametrize(
    ("kind", "files"),
    [
        (ResolvedGrid, "*/*/grid.json"),
        (Record, "*/*/cells/*.json"),
        (SearchConfig, "*/*/search.json"),
        (StudySummary, "*/*/studies/*.json"),
    ],
)
def test_what_ships_is_written_again_as_it_was_read(kind: type[Artefact], files, tmp_path):
    paths = sorted(SHIPPED.glob(files))[:8]
    assert paths
    for path in paths:
        read = kind.read(path)
        read.write(tmp_path / path.name)
        assert kind.read(tmp_path / path.name) == read
        assert json.loads((tmp_path / path.name).read_text())["digest"]


@pytest.mark.parametrize("kind", [ResolvedGrid, Record, SearchConfig, StudySummary])
def test_a_json_schema_describes_every_field(kind: type[Artefact]):
    schema = kind.model_json_schema()
    assert set(schema["properties"]) == set(kind.model_fields)


# grid.json


def grid(**changes: Any) -> dict[str, Any]:
    return {
        "name": "tiny", "profile": "full", "question": "?", "data": {"name": "digits"},
        "recipe": {"epochs": 2, "lr": [0.1, 0.2]}, "seeds": [0], "device_kind": "cpu",
        "variants": [{"variant_id": "v0", "label": "mlp", **SPEC}],
        "cells": [{"cell_id": "c0", "variant_id": "v0", "label": "mlp", "seed": 0}],
        **changes,
    }  # fmt: skip


def cell(**changes: Any) -> list[dict[str, Any]]:
    return [{"cell_id": "c0", "variant_id": "v0", "label": "mlp", "seed": 0, **changes}]


def variant(**changes: Any) -> list[dict[str, Any]]:
    return [{"variant_id": "v0", "label": "mlp", **SPEC, **changes}]


HYPOTHESIS = {
    "id": "h", "claim": "A is better.", "primary": True, "metric": "test_accuracy", "compare": ["a", "b"],
    "expect": "greater", "margin": 0.01, "factor": None,
}  # fmt: skip


def test_a_grid_as_a_run_writes_it_passes():
    read = ResolvedGrid.parse(grid(hypotheses=[HYPOTHESIS]))
    assert read.variants[0].model.name == "mlp"
    assert read.variants[0].model.arguments == {"hidden": 16}
    assert read.recipe["lr"] == (0.1, 0.2)
    assert read.hypotheses[0].compare == ("a", "b")
    assert read.planned_cells["c0"].recipe.epochs == 2


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"name": None}, "name"),
        ({"cells": {}}, "cells"),
        ({"cells": []}, "cells"),
        ({"cells": [1]}, "cells.0"),
        ({"cells": cell(seed="0")}, "cells.0.seed"),
        ({"cells": cell(seed=True)}, "cells.0.seed"),
        ({"cells": cell(cell_id="../../grid")}, "cells.0.cell_id"),
        ({"cells": cell(cell_id="a/b")}, "cells.0.cell_id"),
        ({"cells": cell(cell_id="c0\n")}, "cells.0.cell_id"),
        ({"cells": cell(cell_id="")}, "cells.0.cell_id"),
        ({"cells": cell(cell_id="c" * 65)}, "cells.0.cell_id"),
        ({"cells": cell(variant_id="v1")}, "cells.0.variant_id: 'v1' is none of the variants"),
        ({"variants": variant(variant_id="..")}, "variants.0.variant_id"),
        ({"variants": variant(label=7)}, "variants.0.label"),
        ({"variants": variant(recipe=None)}, "variants.0.recipe"),
        ({"variants": variant(recipe={"epochs": "2"})}, "variants.0.recipe.epochs"),
        ({"variants": variant(recipe={"nesterov": True})}, "nesterov: needs a momentum"),
        ({"variants": variant(model={"name": {"a": 1}})}, "variants.0.model.name"),
        ({"variants": [{"variant_id": "v0", "label": "mlp"}]}, "variants.0.model"),
        ({"recipe": []}, "recipe"),
        ({"data": {"name": [["digits"]]}}, "data.name"),
        ({"machine": "mine"}, "machine"),
        ({"lock": "locked"}, "lock"),
        ({"hypotheses": [HYPOTHESIS | {"metric": "charm"}]}, "hypotheses.0.metric: unknown metric 'charm'"),
        ({"hypotheses": [HYPOTHESIS | {"compare": ["a"]}]}, "hypotheses.0.compare"),
        ({"hypotheses": [HYPOTHESIS | {"factor": 1.0}]}, "hypotheses.0.factor"),
        ({"anything_else": 1}, "anything_else"),
    ],
)
def test_a_grid_that_no_run_writes_is_damaged(changes, place):
    with pytest.raises(DamagedFileError) as damage:
        ResolvedGrid.parse(grid(**changes))
    assert str(damage.value).startswith(f"is not as a run writes it ({place}")


# Records


def record(**changes: Any) -> dict[str, Any]:
    return {
        "cell_id": "c0", "variant_id": "v0", "label": "mlp", "outcome": "trained",
        "attempts": [{"outcome": "trained", "error": None}],
        "cell": {**SPEC, "seed": 0}, "environment": {"cores": 2},
        "metrics": {"test_accuracy": 0.5, "escaped": True, "escape_epoch": None, "num_params": 2**40},
        "history": [{"epoch": 1, "train_loss": 0.5}, {"epoch": 2, "train_loss": None}],
        **changes,
    }  # fmt: skip


def test_a_record_as_a_run_writes_it_passes():
    read = Record.parse(record())
    assert read.metrics.num_params == 2**40
    assert read.history[1].train_loss is None
    assert read.cell.model.arguments == {"hidden": 16}
    Record.parse(
        record(outcome="crashed", metrics={}, history=[], attempts=[{"outcome": "crashed", "error": "x"}])
    )
    Record.parse(record(metrics={"test_accuracy": 1, "train_accuracy": 0.0}))
    Record.parse(record(metrics={"dead_maps": [0, 7]}, history=[{"epoch": 1, "dead_maps": []}]))
    Record.parse(record(metrics={"confusion": [[0, 0, 9], [0, 3, 1], [1, 0, 2]]}))


def test_a_row_of_the_history_is_written_with_what_is_known():
    assert Record.parse(record()).model_dump()["history"] == ({"epoch": 1, "train_loss": 0.5}, {"epoch": 2})


ATTEMPT = {"outcome": "trained"}


@pytest.mark.parametrize(
    ("changes", "place"),
    [
        ({"cell_id": None}, "cell_id"),
        ({"outcome": "fine"}, "outcome"),
        ({"outcome": []}, "outcome"),
        ({"metrics": None}, "metrics"),
        ({"metrics": [1]}, "metrics"),
        ({"metrics": {"charm": 1}}, "metrics.charm"),
        ({"history": {}}, "history"),
        ({"history": [[]]}, "history.0"),
        ({"attempts": []}, "attempts"),
        ({"attempts": "once"}, "attempts"),
        ({"attempts": [ATTEMPT | {"error": ["x"]}]}, "attempts.0.error"),
        ({"attempts": [ATTEMPT, ATTEMPT | {"seconds": {}}]}, "attempts.1.seconds"),
        ({"attempts": [ATTEMPT | {"seconds": -3}]}, "attempts.0.seconds"),
        ({"cell": []}, "cell"),
        ({"cell": {"recipe": 3}}, "cell.model"),
        ({"environment": "a laptop"}, "environment"),
        ({"metrics": {"test_loss": "low"}}, "metrics.test_loss"),
        ({"metrics": {"test_loss": {}}}, "metrics.test_loss"),
        ({"metrics": {"test_accuracy": 1.01}}, "metrics.test_accuracy"),
        ({"metrics": {"train_accuracy": -1}}, "metrics.train_accuracy"),
        ({"metrics": {"train_accuracy": True}}, "metrics.train_accuracy"),
        ({"metrics": {"train_seconds": -0.1}}, "metrics.train_seconds"),
        ({"metrics": {"train_loss": 1e39}}, "metrics.train_loss"),
        ({"metrics": {"num_params": 0.5}}, "metrics.num_params"),
        ({"metrics": {"num_params": True}}, "metrics.num_params"),
        ({"metrics": {"escaped": 1}}, "metrics.escaped"),
        ({"metrics": {"dead_maps": 3}}, "metrics.dead_maps"),
        ({"metrics": {"dead_maps": [3, 1]}}, "metrics.dead_maps"),
        ({"metrics": {"dead_maps": [1, 1]}}, "metrics.dead_maps"),
        ({"metrics": {"dead_maps": [True]}}, "metrics.dead_maps.0"),
        ({"metrics": {"dead_maps": [2**15]}}, "metrics.dead_maps.0"),
        ({"metrics": {"confusion": [[0, 1, 0]]}}, "metrics.confusion.0.2"),
        ({"metrics": {"confusion": [[0, 1, 2], [0, 1, 2]]}}, "metrics.confusion"),
        ({"metrics": {"confusion": [[0, 1]]}}, "metrics.confusion.0.2"),
        ({"history": [{"epoch": 1, "dead_maps": [-1]}]}, "history.0.dead_maps.0"),
        ({"history": [{"epoch": 2}]}, "history.0: epoch 2 in the place of epoch 1"),
        ({"history": [{"epoch": 1}, {"epoch": 1}]}, "history.1: epoch 1 in the place of epoch 2"),
        ({"history": [{"loss": 1}]}, "history.0.epoch"),
        ({"history": [{"epoch": 1, "lr": []}]}, "history.0.lr"),
        ({"history": [{"epoch": 1, "seed": 3}]}, "history.0.seed"),
        ({"batched_seeds": 1}, "batched_seeds"),
        ({"devices": {"count": 1}}, "devices.count"),
    ],
)
def test_a_record_that_no_run_writes_is_damaged(changes, place):
    with pytest.raises(DamagedFileError) as damage:
        Record.parse(record(**changes))
    assert str(damage.value).startswith(f"is not as a run writes it ({place}")


def test_outcomes_are_those_of_the_design():
    outcomes = ("trained", "diverged", "invalid", "out_of_memory", "crashed", "timed_out", "interrupted")
    assert get_args(Outcome) == outcomes


@pytest.mark.parametrize(
    ("changes", "same"),
    [
        ({}, True),
        ({"seed": 1}, False),
        ({"recipe": {"epochs": 3}}, False),
        ({"data": {"name": "digits", "resolution": 9}}, False),
        ({"model": {"name": "mlp", "hidden": 17}}, False),
        ({"model": {"name": "mlp", "revision": 2, "hidden": 16}}, False),
        ({"model": {"name": "mlp"}}, True),  # an argument that is younger than the record
        ({"model": {"name": "mlp", "hidden": 16, "gone": 1}}, False),
    ],
)
def test_a_record_is_of_the_cell_with_the_same_values(changes, same):
    planned = ResolvedGrid.parse(grid()).planned_cells["c0"]
    assert Record.parse(record(cell={**SPEC, "seed": 0, **changes})).is_of(planned) is same


def test_a_models_values_stand_side_by_side_in_files():
    cell = make_cell(hidden=32)
    assert cell.model_dump()["model"] == {"name": "mlp", "revision": 1, **cell.model.arguments}
    assert type(cell).model_validate(cell.model_dump()).model.arguments == cell.model.arguments
