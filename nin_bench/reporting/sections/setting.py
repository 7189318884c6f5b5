"""What was held fixed and what differed, what to bear in mind, and how to read the page."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.names import Names
from nin_bench.analysis.setting import FieldValue
from nin_bench.cell import Recipe
from nin_bench.grid.schema import shipped_schema
from nin_bench.reporting import blocks as page
from nin_bench.reporting import text

_HOW_TO_READ: tuple[page.Text, ...] = (
    (
        "Two variants are compared seed by seed, A less B; speeds and memory round by round. ",
        page.Strong("n"),
        " counts these pairs; ",
        page.Strong("points"),
        " are percentage points.",
    ),
    (
        page.Strong("Effect"),
        ": the typical difference. ",
        page.Strong("Interval"),
        ": the differences that the pairs leave possible, with its level. ",
        page.Strong("Claimed"),
        ": what the claim says of the effect, with the smallest difference that matters, set before the run.",
    ),
    (
        page.Strong("Supported"),
        ": the whole interval lies where the claim says. ",
        page.Strong("Refuted"),
        ": it lies wholly elsewhere. ",
        page.Strong("Undecided"),
        ": it reaches across; that is not the same as equal.",
    ),
    (
        "Primary claims share a chance of 5 % for any wrong verdict; each ",
        page.Strong("secondary"),
        " one has 5 % of its own.",
    ),
    (
        page.Strong("Failed"),
        ": a network that diverged or ended no better than a constant guess; it counts with its accuracy. ",
        page.Strong("Lost a class"),
        ": it never predicts a class of the test images. Both are counted for A / B.",
    ),
    (
        page.Strong("Signed-rank"),
        ": the exact test if no network failed or lost a class and accuracies spread over 5 points or less; else ",
        page.Strong("sign"),
        " test. ",
        page.Strong("Trade-off"),
        ": what the verdict calls better, or as good, fails more often.",
    ),
    (
        page.Strong("MACs"),
        ": multiply-accumulates for one image. ",
        page.Strong("Generalisation gap"),
        ": training less test accuracy.",
    ),
)
_ALWAYS_TOLD = {"epochs", "batch_size", "optimizer", "lr", "schedule", "init", "precision"}
"""Fields of the recipe that every training has."""
_VALUES = {
    ("head", "gap"): "gap: the last block has a map per class, whose mean is the class's score",
    ("head", "fc"): "fc: dense layers",
}
"""Values that do not say what they are, by argument."""


def setting(analysis: Analysis) -> list[page.Block]:
    """Data, recipe, machine; what differs between variants; what to bear in mind."""
    found = analysis.setting
    rows = [
        ("Data", _fields(found.data)),
        ("Recipe", recipe_fields(found.recipe)),
        ("Seeds", text.number_ranges(found.seeds)),
        *((title, page.fields(values)) for title, values in machine_and_software(found.environment).items()),
    ]
    blocks: list[page.Block] = [page.Table(("", ""), tuple(rows), "ll")]
    if len(analysis.comparison) > 1:
        blocks += differing(found.differing, analysis.names)
    if analysis.matches:
        headings = ("variant", "as large as", "in", "the other has", "it has", "difference")
        matched = [
            (
                analysis.names[one.label], analysis.names[one.to],
                "parameters" if one.size == "num_params" else "MACs per image",
                f"{one.target:,}", f"{one.reached:,}", text.residue(one.residue),
            )
            for one in analysis.matches
        ]  # fmt: skip
        blocks.append(page.Table(headings, tuple(matched), "lllrrr"))
    blocks.append(page.Bullets(tuple(caveats(analysis))))
    return [page.Section("Setting", tuple(blocks)), *left_out(analysis.left_out)]


def differing(found: Sequence[FieldValue], names: Names) -> list[page.Block]:
    """What differs between variants beside the model."""
    if not found:
        return [page.Paragraph("Held fixed: everything in the table; only the models differ.")]
    rows = [
        (one.field, text.field_value(one.value, one.field), "; ".join(names[label] for label in one.labels))
        for one in found
    ]
    said = page.Paragraph("What differs between variants beside the model:")
    return [said, page.Table(("field", "value", "variants"), tuple(rows), "lrl")]


def caveats(analysis: Analysis) -> list[str]:
    """What to bear in mind: what the grid's author says first."""
    setting = analysis.setting
    found = list(analysis.caveats)
    if any(cell.outcome == "trained" and cell.metrics["failed"] is None for cell in analysis.cells):
        found.append("Some cells trained too few steps to tell whether their networks failed.")
    if len(analysis.comparison) > 1 and "lr" in setting.recipe:
        found.append("All variants have the same learning rate; one that needs another is shown below its best.")
    elif "lr" not in setting.recipe and not analysis.caveats:
        found.append("Learning rates differ between variants; the records do not tell how they were chosen.")
    if analysis.outcomes.get("trained"):
        found.append(
            "Training seconds are of steps alone, while cells trained side by side; no claim about speed uses "
            "them."
        )
    if setting.recipe.get("test_every_epoch"):
        found.append("The test images were read after every epoch, as a diagnostic; no choice used it.")
    if setting.reused_from:
        counts = ", ".join(f"{count} from {source}" for source, count in setting.reused_from.items())
        found.append(f"Cells that other results folders held were taken over, with their predictions: {counts}.")
    if setting.replayed:
        counts = ", ".join(f"{count} {verdict}" for verdict, count in setting.replayed.items())
        found.append(f"Of {sum(setting.replayed.values())} cells that were trained again, {counts}.")
    if mixed := [name for name, values in setting.environment.items() if len(values) > 1]:
        found.append(f"The records come from more than one machine or version: {', '.join(mixed)} differ.")
    if "+" in " ".join(map(str, setting.environment.get("commit", []))):
        found.append(
            "A commit with a + had changed files when the cells were trained: the code is known only roughly."
        )
    return found


def left_out(sentences: Sequence[str]) -> list[page.Block]:
    """Files that were not used."""
    return [page.Section("Left out", (page.Bullets(tuple(sentences)),))] if sentences else []


def machine_and_software(environment: Mapping[str, Sequence[Any]]) -> dict[str, dict[str, str]]:
    """The environment in two lines; several values of one name side by side."""
    lines: dict[str, dict[str, str]] = {"Machine": {}, "Software": {}}
    for name, values in environment.items():
        is_software = name.startswith("software.") or name in {"python", "nin_bench", "commit"}
        if values != [None]:
            shown = " / ".join(text.field_value(value, name) for value in values)
            own = name.removeprefix("software.").removesuffix("_bytes")
            lines["Software" if is_software else "Machine"][own] = shown
    return {title: values for title, values in lines.items() if values}


def recipe_fields(recipe: Mapping[str, Any]) -> str:
    """What every training has, what is not at its default, and what that depends on."""
    defaults = Recipe().model_dump()
    used = _ALWAYS_TOLD | {
        *(("patience",) if recipe.get("early_stop") else ()),
        *(("step_epochs", "step_factor") if recipe.get("schedule") == "step" else ()),
        *(("init_std",) if recipe.get("init") == "normal" else ()),
        *(("rand_augment_magnitude",) if recipe.get("rand_augment") else ()),
    }
    told = {name: value for name, value in recipe.items() if name in used or value != defaults.get(name)}
    return f"{_fields(told)} · what else is fixed is off, or at its default"


def _fields(values: Mapping[str, Any]) -> str:
    known = {name: value for name, value in values.items() if value is not None}
    return page.fields(
        {name.removesuffix("_bytes"): text.field_value(value, name) for name, value in known.items()}
    )


def how_to_read(analysis: Analysis) -> list[page.Block]:
    """The words of the page, each once, and how to make it again."""
    again = (
        page.Code("python -m nin_bench report RESULTS_DIR"),
        " makes this page again. ",
        page.Link("report.json", "report.json"),
        " holds everything unrounded; docs/reports.md says how verdicts are computed.",
    )
    items = (*_HOW_TO_READ, *arguments(analysis.names))
    blocks = (page.Bullets(items), page.Paragraph(again))
    return [page.Section("How to read this", blocks)]


def arguments(names: Names) -> list[page.Text]:
    """What the fields in the variants' names mean, and what the names leave out."""
    found: list[page.Text] = [
        (page.Strong(name), f": {meaning}.") for name, meaning in explain_arguments(names).items()
    ]
    if names.not_repeated:
        shared = "; ".join(f"{model} {' '.join(words)}" for model, words in names.not_repeated.items())
        found.append(f"Left out of the variants' names: {shared}.")
    return found


def explain_arguments(names: Names) -> dict[str, str]:
    """What each field in the variants' names means, as the schema of grids documents it; that needs no torch.

    Returns:
        By field; one that the schema does not know, as an installed model's, is left out.
    """
    definitions = json.loads(shipped_schema())["$defs"]
    models = {one["properties"]["name"]["const"]: one["properties"] for one in definitions["model"]["oneOf"]}
    settings = {**definitions["data"]["properties"], **definitions["recipe"]["properties"]}
    found: dict[str, str] = {}
    values: dict[str, dict[str, str]] = {}
    for label, own in names.fields.items():
        for name in names.axes.get(names.models[label], []):
            value = own[name]
            documented: dict[str, Any] = models.get(names.models[label], {}).get(name) or settings.get(name, {})
            if description := documented.get("description"):
                found.setdefault(name, description[:1].upper() + description[1:].rstrip("."))
                if said := _VALUES.get((name, value)):
                    values.setdefault(name, {})[value] = said
    return {name: "; ".join([found[name], *values.get(name, {}).values()]) for name in found}
