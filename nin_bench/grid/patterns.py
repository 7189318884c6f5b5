"""Patterns: a variant matches when every field that the pattern names is equal, or in the list it gives."""

from collections.abc import Sequence

from nin_bench.cell import DataSpec, Recipe, Spec
from nin_bench.errors import SpecError, some_of, unknown_name
from nin_bench.grid.validation import Point, check_value
from nin_bench.grid.variants import Catalog, Variant, model_name
from nin_bench.yaml_source import Node

_SECTIONS: dict[str, type[Spec]] = {"recipe": Recipe, "data": DataSpec}


def read_pattern(node: Node, variants: Sequence[Variant], catalog: Catalog, *, seeds: bool = False) -> Point:
    """Read a pattern, its recipe and data fields as `recipe.lr`.

    Args:
        node: the pattern.
        variants: know the fields of a pattern that names no model.
        catalog: knows those of one that does, which need not be among the variants.
        seeds: whether the pattern may name seeds.

    Raises:
        InputError: a field that nothing has, a model that is not registered, or a value that it refuses.
    """
    outer: dict[str, Node] = {}
    flat: dict[str, Node] = {}
    for key, value in node.mapping("a pattern").items():
        if key in _SECTIONS:
            for field, one in value.mapping("a section", _SECTIONS[key].model_fields).items():
                flat[f"{key}.{field}"] = one
                for choice in _choices(one):
                    check_value(_SECTIONS[key], field, choice)
        else:
            outer[key] = value
    arguments = {key: value for key, value in outer.items() if key != "name" and not (seeds and key == "seed")}
    if "name" in outer:
        for name in _choices(outer["name"]):
            _check_arguments(name, arguments, catalog)
    else:
        known = {key for variant in variants for key in variant.model.arguments}
        for key, value in arguments.items():
            if key not in known:
                others = {"name", "seed", *_SECTIONS} if seeds else {"name", *_SECTIONS}
                raise value.key_error(unknown_name("field", key, known | others))
    return flat | outer


def _check_arguments(name: Node, arguments: Point, catalog: Catalog) -> None:
    try:
        catalog.resolve_model(model_name(name), {})
    except SpecError as error:
        raise name.error(error.message) from error
    for key, node in arguments.items():
        for choice in _choices(node):
            try:
                catalog.resolve_model(name.value, {key: choice.plain()})
            except SpecError as error:
                raise choice.error(error.message) from error


def _choices(node: Node) -> list[Node]:
    return node.value if isinstance(node.value, list) else [node]


def matches(pattern: Point, variant: Variant, seed: int | None = None) -> bool:
    """Whether every field that a pattern names is equal in the variant, and the seed, where it names one."""
    return all(
        _equal(seed if key == "seed" else variant.comparable.get(key), node.plain())
        for key, node in pattern.items()
    )


def _equal(found: object, wanted: object) -> bool:
    if isinstance(wanted, list):
        return any(_equal(found, one) for one in wanted)
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def the_one(node: Node, variants: Sequence[Variant], catalog: Catalog) -> Variant:
    """The variant that a pattern matches; it must be exactly one."""
    pattern = read_pattern(node, variants, catalog)
    found = [variant for variant in variants if matches(pattern, variant)]
    if len(found) == 1:
        return found[0]
    names = some_of([variant.label for variant in found or variants])
    raise node.error(f"matches {len(found)} variants, must match exactly one of: {names}")
