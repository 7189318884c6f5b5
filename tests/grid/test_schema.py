import json
from typing import Any

import jsonschema
import pytest

from nin_bench.cell import DataSpec, Recipe, Spec
from nin_bench.grid.schema import grid_schema, shipped_schema
from nin_bench.grid.yaml_source import parse_yaml
from nin_bench.models import list_models, model_arguments

HEAD = "schema: 1\nname: tiny\ndata: {name: digits}\nmodels: [{name: lenet}]\n"


@pytest.fixture(scope="module")
def schema() -> dict[str, Any]:
    return grid_schema()


def is_valid(schema: dict[str, Any], text: str) -> bool:
    return jsonschema.Draft202012Validator(schema).is_valid(parse_yaml(text, "grid.yaml").plain())


def test_the_shipped_copy_is_that_of_the_built_in_models(schema):
    # after a change: python -m nin_bench schema --rebuild
    assert shipped_schema() == json.dumps(schema, indent=1) + "\n"


def test_it_is_a_schema(schema):
    jsonschema.Draft202012Validator.check_schema(schema)


def test_it_knows_every_model_argument_and_field_and_says_what_it_is(schema):
    models = {model["properties"]["name"]["const"]: model for model in schema["$defs"]["model"]["oneOf"]}
    assert list(models) == list_models()
    for name, model in models.items():
        assert model["description"]
        match = {"match"} & model["properties"].keys()
        assert ("width" in model_arguments(name)) == bool(match)
        assert model["properties"].keys() - match == {"name", "label", "recipe", "data", *model_arguments(name)}
    specs: dict[str, type[Spec]] = {"data": DataSpec, "recipe": Recipe}
    for name, spec in specs.items():
        properties = schema["$defs"][name]["properties"]
        assert properties.keys() == spec.model_fields.keys()
        assert all(value["description"] for value in properties.values())


@pytest.mark.parametrize(
    "text",
    [
        "",
        "seeds: [0, 3]",
        "recipe: {lr: [1e-3, 0.1], micro_batch: null, optimizer: [sgd, adam]}",
        "exclude: [{name: [lenet, nin], activation: relu, seed: [0, 1]}, {recipe: {lr: 0.1}}]",
        "baseline: {name: lenet, data: {resolution: 28}}",
        "profiles: {cpu: {seeds: 2, models: [{name: nin, pointwise: [0, 1], recipe: {lr: [0.1, 0.2]}}]}}",
        "exclude: [{name: nin, match: num_params}, {match: null}]",
        "recipe: {micro_batch: [auto, 16, null], early_stop: validation_loss, precision: fp16}",
        "search: {space: {micro_batch: {low: 1, high: 8}, mixup: [0, 0.2]}, trials: 4}",
        "ablate: {of: {name: nin, pointwise: 2}, change: {head: fc, data: {resolution: [28, 32]}}, pairs: on}",
        "profiles: {cpu: {ablate: {change: {recipe: {lr: [0.1, 0.2]}}}}}",
        "profiles: {cpu: {models: [{name: nin, match: {num_macs: {name: lenet}}}]}}",
        "hypotheses: [{id: a, says: b, metric: num_params, compare: [{}, {name: nin}], expect: less, factor: 2}]",
    ],
)
def test_a_grid_that_is_right_passes(schema, text):
    assert is_valid(schema, HEAD + text)


@pytest.mark.parametrize(
    "text",
    [
        "model: []",
        "seeds: 0",
        "seeds: [0, 0]",
        "recipe: {lr: -1}",
        "recipe: {lr: []}",
        "recipe: {epoch: 1}",
        "recipe: {optimizer: sdg}",
        "exclude: [{seed: -1}]",
        "baseline: {name: nni}",
        "profiles: {full: {}}",
        "profiles: {cpu: {name: other}}",
        "recipe: {micro_batch: all}",
        "ablate: {of: {name: nni}, change: {head: fc}}",
        "ablate: {of: {name: nin, poinwise: 2}, change: {head: fc}}",
        "ablate: {of: {name: nin}, change: {recipe: {lrr: 2}}}",
        "ablate: {of: {name: nin}, changes: {head: fc}}",
        "profiles: {cpu: {models: [{name: nin, pointwise: -1}]}}",
        "profiles: {cpu: {models: [{name: nin, dropout: 1}]}}",
        "profiles: {cpu: {models: [{name: nin, hed: gap}]}}",
        "profiles: {cpu: {models: [{name: nin, head: gapp}]}}",
        "hypotheses: [{id: a, says: b, metric: num_params, compare: [{}, {}], expect: less}]",
        "exclude: [{match: params}]",
        "profiles: {cpu: {models: [{name: nin, match: {}}]}}",
        "profiles: {cpu: {models: [{name: nin, width: 1.0, match: {num_macs: {name: lenet}}}]}}",
        "profiles: {cpu: {models: [{name: mlp, match: {num_macs: {name: nin}}}]}}",
        "hypotheses: [{id: a, says: b, metric: num_params, compare: [{}], expect: less, margin: 0}]",
        "hypotheses: [{id: a, says: b, metric: params, compare: [{}, {}], expect: less, margin: 0}]",
    ],
)
def test_a_grid_that_is_wrong_does_not(schema, text):
    assert not is_valid(schema, HEAD + text)


def test_a_grid_has_models_or_an_ablation(schema):
    head = HEAD.partition("models")[0]
    assert is_valid(schema, f"{head}ablate: {{of: {{name: lenet}}, change: {{activation: relu}}}}\n")
    assert not is_valid(schema, head)
