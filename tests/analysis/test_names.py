from typing import Any

from nin_bench.analysis.names import Names
from nin_bench.results.schema import ResolvedVariant

GAP = {"head": "gap", "width": 0.25, "hidden": 4096}
FC = {"head": "fc", "width": 0.25, "hidden": 1024}


def variant(label: str, name: str, arguments: dict[str, Any], **others: Any) -> ResolvedVariant:
    model = {"name": name, "revision": 1, **arguments}
    data = {"name": "digits", "train_size": 6000}
    fields = {"variant_id": "v", "label": label, "model": model, "data": data, "recipe": {"lr": 0.1}}
    return ResolvedVariant.model_validate(fields | others)


ONEXONE = [
    variant("one", "nin", {"pointwise": 1, **GAP}),
    variant("two", "nin", {"pointwise": 2, **GAP}),
    variant("two, dense", "nin", {"pointwise": 2, **FC}),
    variant("alex", "alexnet", {"width": 0.25}),
]


def test_a_name_tells_a_model_s_variants_apart() -> None:
    names = Names.of(ONEXONE)
    assert names.by_label == {
        "one": "nin pointwise=1 head=gap",
        "two": "nin pointwise=2 head=gap",
        "two, dense": "nin pointwise=2 head=fc",
        "alex": "alexnet",
    }
    assert names.axes == {"nin": ["pointwise", "head"], "alexnet": []}
    assert names.not_repeated == {"nin": ["width=0.25"], "alexnet": ["width=0.25"]}
    assert names["never planned"] == "never planned"


def test_two_variants_are_told_apart_by_what_differs() -> None:
    names = Names.of(ONEXONE)
    assert names.contrast("two", "one") == ("pointwise=2", "pointwise=1")
    assert names.contrast("two", "two, dense") == ("head=gap", "head=fc")
    assert names.contrast("one", "two, dense") == ("pointwise=1 head=gap", "pointwise=2 head=fc")
    assert names.contrast("two", "alex") == ("nin pointwise=2 head=gap", "alexnet")


def test_what_stands_for_all_values_of_an_axis_is_not_called_by_one_of_them() -> None:
    crossed = [
        variant(f"{label}, {size}", name, arguments, data={"name": "digits", "train_size": size})
        for label, name, arguments in (
            ("one", "nin", {"pointwise": 1}), ("two", "nin", {"pointwise": 2}), ("alex", "alexnet", {})
        )
        for size in (100, 200)
    ]  # fmt: skip
    names = Names.of(crossed)
    assert names.contrast("two, 100", "one, 100", over="data.train_size") == ("nin pointwise=2", "nin pointwise=1")
    assert names.contrast("two, 100", "alex, 100", over="data.train_size") == ("nin pointwise=2", "alexnet")
    assert names.contrast("two, 100", "alex, 100") == ("nin pointwise=2 train_size=100", "alexnet train_size=100")


def test_a_recipe_that_differs_is_named_and_is_an_axis_if_nothing_determines_it() -> None:
    tuned = [
        variant("a", "nin", {"pointwise": 1}, recipe={"lr": 0.1}),
        variant("b", "nin", {"pointwise": 2}, recipe={"lr": 0.03}),
    ]
    names = Names.of(tuned)
    assert names.by_label["b"] == "nin pointwise=2"
    assert names.contrast("b", "a") == ("pointwise=2", "pointwise=1")
    assert names.also_differing("b", "a") == ["lr"]
    assert names.axes == {"nin": ["pointwise"]}
    crossed = [*tuned, variant("c", "nin", {"pointwise": 2}, recipe={"lr": 0.1})]
    assert Names.of(crossed).axes == {"nin": ["pointwise", "lr"]}


def test_two_labels_of_the_grid_s_own_hide_no_field_also_where_a_third_makes_it_an_axis() -> None:
    tuned = [
        variant("ReLU", "nin", {"pointwise_relu": True}, recipe={"lr": 0.01}, own_label=True),
        variant("linear", "nin", {"pointwise_relu": False}, recipe={"lr": 0.003}, own_label=True),
    ]
    further = variant("linear, faster", "nin", {"pointwise_relu": False}, recipe={"lr": 0.006}, own_label=True)
    for known in (tuned, [*tuned, further]):
        assert Names.of(known).also_differing("ReLU", "linear") == ["pointwise_relu", "lr"]


def test_a_label_of_the_grid_s_own_is_the_name() -> None:
    own = [variant("NiN-1", "nin", {"pointwise": 1}, own_label=True), variant("x", "nin", {"pointwise": 2})]
    names = Names.of(own)
    assert names.by_label == {"NiN-1": "NiN-1", "x": "nin pointwise=2"}
    assert names.contrast("NiN-1", "x") == ("pointwise=1", "pointwise=2")
    both = [own[0], variant("NiN-2", "nin", {"pointwise": 2}, own_label=True)]
    assert Names.of(both).contrast("NiN-1", "NiN-2") == ("NiN-1", "NiN-2")


def test_variants_that_no_field_tells_apart_keep_their_labels() -> None:
    alike = [variant(label, "nin", {}) for label in ("a|b", "<i>")]
    assert Names.of(alike).by_label == {"a|b": "a|b", "<i>": "<i>"}
