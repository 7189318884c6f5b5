from nin_bench.cell import Recipe
from nin_bench.docstrings import Documented
from nin_bench.results.records import Record


class Base(Documented):
    width: int = 1
    """Of the base."""
    height: int = 1


class Derived(Base):
    width: int = 2
    depth: int = 3
    """Only here."""


def test_a_field_is_described_by_the_docstring_below_it():
    described = {name: one.get("description") for name, one in Derived.model_json_schema()["properties"].items()}
    assert described == {"width": "Of the base.", "height": None, "depth": "Only here."}


def test_what_is_nested_in_a_record_is_described_as_the_record_is():
    schema = Record.model_json_schema()
    assert schema["properties"]["history"]["description"] == "A row for each epoch that ended."
    assert schema["$defs"]["Recipe"]["properties"] == Recipe.model_json_schema()["properties"]
    assert schema["$defs"]["Metrics"]["properties"]["num_macs"]["description"]
