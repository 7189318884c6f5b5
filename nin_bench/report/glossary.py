"""What the fields in variants' names mean, as the schema of grids documents them; it needs no torch."""

import json
from typing import Any

from nin_bench.analysis.names import Names
from nin_bench.grid.schema import shipped_schema

_VALUES = {
    ("head", "gap"): "gap: the last block has a map per class, and global average pooling makes each map's mean "
    "its class's score",
    ("head", "fc"): "fc: maps are flattened, and fully connected (dense) layers follow",
}
"""Values that do not say what they are, by argument."""


def explain_arguments(names: Names) -> dict[str, str]:
    """What each field in the variants' names means.

    Returns:
        By field; one that the schema does not know, as an installed model's, is left out.
    """
    definitions = json.loads(shipped_schema())["$defs"]
    models = {one["properties"]["name"]["const"]: one["properties"] for one in definitions["model"]["oneOf"]}
    settings = {**definitions["data"]["properties"], **definitions["recipe"]["properties"]}
    found: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    for label, fields in names.fields.items():
        for name, value in fields.items():
            documented: dict[str, Any] = models.get(names.models[label], {}).get(name) or settings.get(name, {})
            if description := documented.get("description"):
                found.setdefault(name, description[:1].upper() + description[1:].rstrip("."))
                if said := _VALUES.get((name, value)):
                    values.setdefault(name, {})[value] = said
    return {name: "; ".join([found[name], *values.get(name, {}).values()]) for name in found}
