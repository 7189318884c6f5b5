import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nin_bench.cell import Recipe
from nin_bench.errors import InputError
from nin_bench.grid.entries import DataAxes, RecipeAxes
from nin_bench.grid.file import HypothesisEntry
from nin_bench.grid.refusals import validated
from nin_bench.grid.yaml_source import Node, parse_yaml

ANYTHING = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=2) | st.dictionaries(st.text(), inner, max_size=2),
    max_leaves=3,
)
FIELDS = [
    (spec, field)
    for spec in (RecipeAxes, DataAxes, HypothesisEntry)
    for field in spec.model_fields
    if field != "compare" and (spec, field) != (DataAxes, "name")  # they ask the catalog
]


def answers(spec: type, text: str) -> list[str]:
    with pytest.raises(InputError) as caught:
        validated(spec, parse_yaml(text, "grid.yaml"), None)
    return str(caught.value).splitlines()


def test_an_axis_holds_values_and_keeps_them_as_they_are():
    axes: Any = validated(
        RecipeAxes, parse_yaml("{lr: [1e-3, 1], optimizer: adamw, micro_batch: [null, 8]}", "f"), None
    )
    assert (axes.lr, axes.optimizer, axes.micro_batch) == ([0.001, 1], "adamw", [None, 8])
    assert axes.model_fields_set == {"lr", "optimizer", "micro_batch"}
    assert RecipeAxes.model_fields.keys() == Recipe.model_fields.keys()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("epochs: 2.5", "1:9: epochs: 2.5 is not a whole number; write digits, without quotes"),
        ("epochs: 2.0", "1:9: epochs: 2.0 is not a whole number; write digits, without quotes"),
        ("epochs: on", "1:9: epochs: true is not a whole number; write digits, without quotes"),
        ("epochs:", "1:8: epochs: null is not a whole number; write digits, without quotes"),
        ("epochs: 0", "1:9: epochs: 0 is not in range; use 1 or more"),
        ("epochs: [1, 0]", "1:13: epochs[1]: 0 is not in range; use 1 or more"),
        ("lr: fast", "1:5: lr: 'fast' is not a number; write digits, without quotes"),
        ("lr: 0", "1:5: lr: 0 is not in range; use more than 0"),
        ("lr: .inf", "1:5: lr: inf is not a finite number"),
        ("lr: .nan", "1:5: lr: nan is not a finite number"),
        ("lr: [[0.1]]", "1:6: lr[0]: a list cannot stand here; give one value"),
        ("lr: {low: 0.1}", "1:5: lr: a mapping cannot stand here; give one value"),
        ("lr: []", "1:5: lr: none given; give at least one"),
        ("momentum: 1", "1:11: momentum: 1 is not in range; use less than 1"),
        ("weight_decay: -1e-4", "1:15: weight_decay: -0.0001 is not in range; use 0 or more"),
        ("nesterov: 1", "1:11: nesterov: 1 is not true or false"),
        ("init: norml", "1:7: init: unknown init 'norml'; did you mean 'normal'? Known: default, kaiming_normal, "
         "normal, xavier_uniform"),
        ("schedule: off", "1:11: schedule: false is none of constant, cosine, one_cycle, step"),
        ("[epochs]", "1:1: a list is not a section; write a mapping of fields"),
        ("lr:0.1", "1:1: 'lr:0.1' is not a section; write a mapping of fields"),
        ("{lr:0.1, epochs: 2}", "1:2: lr:0.1: 'lr:0.1' is no field; put a space after the colon"),
    ],
)  # fmt: skip
def test_a_wrong_value_is_answered_once_and_at_its_place(text, message):
    assert answers(RecipeAxes, text) == [f"grid.yaml:{message}"]


def test_an_unknown_field_is_answered_at_its_name():
    (told,) = answers(RecipeAxes, "epochs: 2\nepoch:\n  - 1")
    assert told.startswith(
        "grid.yaml:2:1: epoch: unknown field 'epoch'; did you mean 'epochs'? Known: augmentation, "
    )


@pytest.mark.parametrize(("spec", "field"), FIELDS)
@settings(max_examples=30, deadline=None)
@given(value=ANYTHING)
def test_any_value_is_taken_or_refused(spec, field, value):
    inner = Node(_nodes(value, field), "grid.yaml", 1, 1, field)
    try:
        validated(spec, Node({field: inner}, "grid.yaml", 1, 1), None)
    except InputError as error:
        told = str(error).splitlines()
        assert all(re.match(rf"grid.yaml:1:1: ({field}|lacks '|margin: |and \d+ more)", line) for line in told)


def _nodes(value: object, field: str) -> object:
    if isinstance(value, dict):
        return {key: Node(_nodes(inner, field), "grid.yaml", 1, 1, field) for key, inner in value.items()}
    if isinstance(value, list):
        return [Node(_nodes(inner, field), "grid.yaml", 1, 1, field) for inner in value]
    return value


# The whole grid's mistakes at once


def test_all_mistakes_of_a_grid_are_told_at_once_in_its_order(refusals):
    told = refusals(
        "recipe: {epochs: 0, lrr: 3}\n"
        "seeds: [1, 1, -2]\n"
        "models:\n  - {name: net, depth: -1}\n  - {name: nett}\n"
        "baseline: {name: flat, lr: 1}\n"
        "hypotheses: [{id: A}]\n"
        "profiles: {cpu: {recipe: {epochs: x}}}\n",
        profile="full",
    )
    assert [": ".join(line.split(": ")[:2]) for line in told] == [
        "grid.yaml:4:18: recipe.epochs",
        "grid.yaml:4:21: recipe.lrr",
        "grid.yaml:5:15: seeds[2]",
        "grid.yaml:7:24: models[0].depth",
        "grid.yaml:8:12: models[1].name",
        "grid.yaml:9:24: baseline.lr",
        "grid.yaml:10:14: hypotheses[0]",
        "grid.yaml:10:14: hypotheses[0]",
        "grid.yaml:10:14: hypotheses[0]",
        "grid.yaml:10:19: hypotheses[0].id",
        "and 1 more",
    ]


def test_what_the_variants_make_wrong_is_told_at_once_too(refusals):
    told = refusals(
        "models: [{name: net, depth: [1, 2]}]\nbaseline: {depth: 3}\n"
        "hypotheses: [{id: a, claim: b, metric: test_loss, expect: less, margin: 0, "
        "compare: [{name: net}, {depth: 4}]}]\n"
        "references: [{id: a, says: b, metric: test_loss, model: {}, value: 1, source: c}]\n"
    )
    assert [line.split(": ")[1] for line in told] == [
        "baseline", "hypotheses[0].compare[0]", "hypotheses[0].compare[1]", "references[0].model",
    ]  # fmt: skip


def test_impossible_combinations_are_told_once_for_each_value(refusals):
    told = refusals(
        "recipe: {momentum: [0.5, 0.9], optimizer: [adam, adamw]}\nmodels: [{name: net, depth: [1, 2]}]\n"
    )
    assert told == [
        f"grid.yaml:4:{column}: recipe.momentum[{n}]: {momentum}, but {optimizer} has none; "
        "use 0, or optimizer sgd"
        for n, column, momentum in ((0, 21, 0.5), (1, 26, 0.9))
        for optimizer in ("adam", "adamw")
    ]


def test_more_than_ten_are_counted(refusals):
    told = refusals(f"recipe: {{lr: {[-1] * 30}}}\nmodels: [{{name: net}}]\n")
    assert len(told) == 11
    assert told[-1] == "and 20 more"


def test_a_mistake_that_both_the_grid_and_its_profile_show_is_told_once(refusals):
    told = refusals("models: [{name: net}]\nprofiles: {cpu: {recipe: {epochs: 0}}}\n", profile="cpu")
    assert told == ["grid.yaml:5:35: profiles.cpu.recipe.epochs: 0 is not in range; use 1 or more"]
