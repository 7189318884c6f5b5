"""Patterns: a variant matches when every field that the pattern names is equal."""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from nin_bench.errors import unknown_name
from nin_bench.grid.variants import Variant
from nin_bench.yaml_source import Node


def matches(pattern: Mapping[str, Node], variant: Variant, seed: int | None = None) -> bool:
    """Whether every field that a pattern names is equal in the variant (and the seed, where it names one)."""
    values = _comparable(variant) | ({} if seed is None else {"seed": seed})
    return all(_equal(values.get(key), node.plain()) for key, node in _flat(pattern))


def _comparable(variant: Variant) -> dict[str, Any]:
    return {
        "name": variant.model.name,
        **variant.model.arguments,
        **{f"recipe.{key}": value for key, value in variant.recipe},
        **{f"data.{key}": value for key, value in variant.data},
    }


def _flat(pattern: Mapping[str, Node]) -> Iterator[tuple[str, Node]]:
    for key, node in pattern.items():
        if key in ("recipe", "data"):
            yield from ((f"{key}.{inner}", value) for inner, value in node.mapping("a pattern").items())
        else:
            yield key, node


def _equal(found: object, wanted: object) -> bool:
    if isinstance(wanted, list):
        return any(_equal(found, one) for one in wanted)
    return found == wanted and isinstance(found, bool) == isinstance(wanted, bool)


def check_pattern(pattern: Mapping[str, Node], variants: Sequence[Variant], also: tuple[str, ...] = ()) -> None:
    """Refuse a pattern that names a field which no variant has."""
    known = {key for variant in variants for key in _comparable(variant)} | set(also)
    for key, node in _flat(pattern):
        if key not in known:
            inner = [name for name in known if name.partition(".")[0] == key.partition(".")[0] and "." in key]
            outer = [name for name in known if "." not in name] + ["data", "recipe"]
            raise node.error(unknown_name("field", key, inner or outer))


def the_one(node: Node, variants: Sequence[Variant]) -> Variant:
    """The variant that a pattern matches; it must be exactly one."""
    pattern = node.mapping("a pattern")
    check_pattern(pattern, variants)
    found = [variant for variant in variants if matches(pattern, variant)]
    if len(found) == 1:
        return found[0]
    names = "; ".join(variant.label for variant in found or variants)
    raise node.error(f"matches {len(found)} variants, must match exactly one of: {names}")
