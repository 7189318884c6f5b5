import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nin_bench.cell import DataSpec, Recipe
from nin_bench.errors import InputError
from nin_bench.grid.hypotheses import Hypothesis
from nin_bench.grid.validation import check_value, required, section, validated
from nin_bench.grid.yaml_source import Node, parse_yaml

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
FIELDS = [
    (spec, field)
    for spec in (Recipe, DataSpec, Hypothesis)
    for field in spec.model_fields
    if field != "compare"  # whose patterns are resolved before
]


def refusal(spec, text: str) -> str:
    node = parse_yaml(text, "grid.yaml")
    with pytest.raises(InputError) as caught:
        validated(spec, node.value, node)
    return str(caught.value)


def test_a_spec_is_built_from_nodes():
    node = parse_yaml("{lr: 1e-3, optimizer: adamw, nesterov: off, micro_batch: null}", "grid.yaml")
    assert validated(Recipe, node.value, node) == Recipe(lr=0.001, optimizer="adamw")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 2.5", "grid.yaml:1:9: epochs: 2.5 is not a whole number; write digits, without quotes"),
        ("epochs: 2.0", "grid.yaml:1:9: epochs: 2.0 is not a whole number; write digits, without quotes"),
        ("epochs: on", "grid.yaml:1:9: epochs: true is not a whole number; write digits, without quotes"),
        ("epochs:", "grid.yaml:1:8: epochs: null is not a whole number; write digits, without quotes"),
        ("epochs: 0", "grid.yaml:1:9: epochs: 0 is not in range; use 1 or more"),
        ("lr: fast", "grid.yaml:1:5: lr: 'fast' is not a number; write digits, without quotes"),
        ("lr: 0", "grid.yaml:1:5: lr: 0 is not in range; use more than 0"),
        ("lr: .inf", "grid.yaml:1:5: lr: inf is not a finite number"),
        ("lr: .nan", "grid.yaml:1:5: lr: nan is not a finite number"),
        ("lr: [0.1]", "grid.yaml:1:5: lr: a list cannot stand here; give one value"),
        ("lr: {low: 0.1}", "grid.yaml:1:5: lr: a mapping cannot stand here; give one value"),
        ("momentum: 1", "grid.yaml:1:11: momentum: 1 is not in range; use less than 1"),
        ("weight_decay: -1e-4", "grid.yaml:1:15: weight_decay: -0.0001 is not in range; use 0 or more"),
        ("nesterov: 1", "grid.yaml:1:11: nesterov: 1 is not true or false"),
        (
            "optimizer: sdg",
            "grid.yaml:1:12: optimizer: unknown optimizer 'sdg'; did you mean 'sgd'? Known: adam, adamw, sgd",
        ),
        ("optimizer: off", "grid.yaml:1:12: optimizer: false is none of adam, adamw, sgd"),
        ("optimizer: [sgd]", "grid.yaml:1:12: optimizer: a list cannot stand here; give one value"),
        (
            "precision: fp16",
            "grid.yaml:1:12: precision: unknown precision 'fp16'; did you mean 'bf16'? Known: bf16, fp32",
        ),
        (
            "momentum: 0.9\noptimizer: adam",
            "grid.yaml:1:11: momentum: 0.9, but adam has none; use 0, or optimizer sgd",
        ),
    ],
)
def test_a_wrong_recipe_is_answered_at_its_place(text, message):
    assert refusal(Recipe, text) == message


def test_an_unknown_field_is_answered_at_its_name():
    assert refusal(Recipe, "epochs: 2\nepoch:\n  - 1").startswith(
        "grid.yaml:2:1: epoch: unknown field 'epoch'; did you mean 'epochs'? Known: augmentation, batch_size, "
    )


def test_a_missing_field_is_answered_at_the_section():
    assert refusal(DataSpec, "resolution: 8") == "grid.yaml:1:1: lacks 'name'; add it"
    assert (
        refusal(DataSpec, "name: on")
        == "grid.yaml:1:7: name: true is not text; put it in quotes if it is meant so"
    )


@pytest.mark.parametrize(("spec", "field"), FIELDS)
@settings(max_examples=30, deadline=None)
@given(value=ANYTHING)
def test_any_value_is_taken_or_refused(spec, field, value):
    node = Node(_nodes(value), "grid.yaml", 1, 1, field)
    refused = ""
    try:
        check_value(spec, field, node)
    except InputError as error:
        refused = str(error)
    assert not refused or re.fullmatch(f"grid.yaml:1:1: {field}: .+", refused)


def _nodes(value: object) -> object:
    if isinstance(value, dict):
        return {key: Node(_nodes(inner), "grid.yaml", 1, 1) for key, inner in value.items()}
    if isinstance(value, list):
        return [Node(_nodes(inner), "grid.yaml", 1, 1) for inner in value]
    return value


def test_a_value_is_checked_whatever_the_other_fields_are():
    node = parse_yaml("on", "grid.yaml")
    check_value(Recipe, "nesterov", node)  # which needs a momentum, given or not
    with pytest.raises(InputError, match=r"^grid.yaml:1:1: true is not a whole number; write digits"):
        check_value(Recipe, "epochs", node)


def test_sections():
    root = parse_yaml("data: {name: dots}\nrecipe: sgd", "grid.yaml")
    assert section(root, "data").plain() == {"name": "dots"}
    assert section(root, "profiles").plain() == {}
    assert required(root, "data") is root.value["data"]
    with pytest.raises(
        InputError, match=r"^grid.yaml:2:9: recipe: 'sgd' is not a section; write a mapping of fields$"
    ):
        section(root, "recipe")
    with pytest.raises(InputError, match=r"^grid.yaml:1:1: lacks 'models'; add it$"):
        required(root, "models")
