import re
from pathlib import Path

import pytest

from nin_bench.grid import Grid

OF = "ablate:\n  of: {name: net, depth: 2, head: gap, relu: on}\n"


def labels(grid: Grid) -> list[str]:
    return [variant.label for variant in grid.variants]


def ids(grid: Grid) -> dict[str, str]:
    return {cell.cell_id: cell.label for cell in grid.cells}


def test_a_baseline_and_a_variant_for_each_change(load):
    grid = load(
        f"{OF}  change: {{head: fc, depth: [0, 1, 3], recipe: {{lr: [0.01, 0.3]}}, data: {{name: lines}}}}\n"
    )
    assert labels(grid) == [
        "net depth=2 head=gap relu=true",
        "net head=fc",
        "net depth=0",
        "net depth=1",
        "net depth=3",
        "net lr=0.01",
        "net lr=0.3",
        "net data=lines",
    ]
    assert grid.baseline == "net depth=2 head=gap relu=true"
    # One field differs from the baseline's, and what follows from a dataset.
    values = [variant.values for variant in grid.variants]
    changed = [{key for key in one if one[key] != values[0][key]} for one in values[1:]]
    assert changed == [
        {"head"}, {"depth"}, {"depth"}, {"depth"}, {"recipe.lr"}, {"recipe.lr"}, {"data.name", "data.resolution"},
    ]  # fmt: skip


def test_it_is_the_product_less_what_is_excluded_id_for_id(load):
    # Two of three fields changed at once are a pair; all three are neither.
    product = "seeds: 2\nmodels: [{name: net, depth: [2, 0, 1], head: [gap, fc], relu: [on, off]}]\n"
    all_three = "  - {depth: [0, 1], head: fc, relu: off}\n"
    two = "  - {depth: [0, 1], head: fc}\n  - {depth: [0, 1], relu: off}\n  - {head: fc, relu: off}\n"
    change = "  change: {depth: [0, 1], head: fc, relu: off}\n"
    singles, pairs = (load(f"seeds: 2\n{OF}{change}{more}") for more in ("", "  pairs: true\n"))
    assert ids(singles).keys() == ids(load(f"{product}exclude:\n{two}")).keys()
    assert ids(pairs).keys() == ids(load(f"{product}exclude:\n{all_three}")).keys()
    assert (len(singles.cells), len(pairs.cells)) == (2 * 5, 2 * 10)
    assert labels(pairs)[5:] == [
        "net depth=0 head=fc",
        "net depth=0 relu=false",
        "net depth=1 head=fc",
        "net depth=1 relu=false",
        "net head=fc relu=false",
    ]


def test_an_own_label_opens_those_of_the_changes(load):
    of = "{name: net, label: 'NiN {head}', recipe: {lr: 0.2}}"
    grid = load(f"ablate: {{of: {of}, change: {{depth: 0, recipe: {{lr: 0.1}}}}}}\nmodels: [{{name: flat}}]\n")
    assert labels(grid) == ["NiN gap", "NiN gap depth=0", "NiN gap lr=0.1", "flat"]
    assert [variant.recipe.lr for variant in grid.variants] == [0.2, 0.2, 0.1, 0.1]
    assert [variant.own_label for variant in grid.variants] == [True, True, True, False]


def test_claims_name_variants_by_these_labels_and_patterns_by_fields(load):
    grid = load(
        f"{OF}  change: {{head: fc, depth: [0, 1]}}\n"
        "hypotheses:\n"
        "  - {id: a, claim: It does., metric: test_accuracy, expect: less, margin: 0,\n"
        "     compare: [net head=fc, {depth: 1}]}\n"
        "exclude: [{depth: 0}]\n"
    )
    assert grid.hypotheses[0].compare == ("net head=fc", "net depth=1")
    assert "net depth=0" not in labels(grid)


def test_axes_of_the_grid_multiply_an_ablation_which_then_has_no_one_baseline(load):
    text = "recipe: {lr: [0.1, 0.2]}\nablate: {of: {name: net}, change: {head: fc}}\n"
    grid = load(text)
    assert labels(grid) == ["net lr=0.1", "net lr=0.2", "net head=fc lr=0.1", "net head=fc lr=0.2"]
    assert grid.baseline is None
    assert load(f"{text}baseline: {{head: gap, recipe: {{lr: 0.2}}}}\n").baseline == "net lr=0.2"


def test_a_profile_and_set_go_over_it(load):
    text = (
        "ablate: {of: {name: net}, change: {depth: [0, 1]}}\nprofiles: {cpu: {ablate: {change: {depth: [3]}}}}\n"
    )
    assert labels(load(text, profile="full")) == ["net", "net depth=0", "net depth=1"]
    assert labels(load(text, profile="cpu")) == ["net", "net depth=3"]
    assert {one.recipe.lr for one in load(text, overrides=["recipe.lr=0.5"]).variants} == {0.5}


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("ablate: {change: {depth: 0}}\n", ["4:9: ablate: lacks 'of'; add it"]),
        ("ablate: {of: {name: net}}\n", ["4:9: ablate: lacks 'change'; add it"]),
        (
            "ablate: {of: {name: net}, change: {}}\n",
            ["4:35: ablate.change: empty; give at least one field, and the values to change it to"],
        ),
        (
            "ablate: {of: {name: net, depth: [0, 1], recipe: {lr: [1.0, 2.0]}}, change: {head: fc}}\n",
            [
                "4:33: ablate.of.depth: a list, and a baseline is one variant; give one value",
                "4:54: ablate.of.recipe.lr: a list, and a baseline is one variant; give one value",
            ],
        ),
        (
            "ablate: {of: {name: net}, change: {hed: fc, head: [fc, fcc]}}\n",
            [
                "4:36: ablate.change.hed: unknown net argument 'hed'; did you mean 'head'? Known: depth, head, "
                "relu, width",
                "4:56: ablate.change.head[1]: unknown head 'fcc'; did you mean 'fc'? Known: fc, gap",
            ],
        ),
        (
            "ablate: {of: {name: net}, change: {recipe: {lr: [0.1, -1]}, data: {name: dot}}}\n",
            [
                "4:55: ablate.change.recipe.lr[1]: -1 is not in range; use more than 0",
                "4:74: ablate.change.data.name: unknown dataset 'dot'; did you mean 'dots'? Known: dots, lines",
            ],
        ),
        (
            "ablate: {of: {name: net}, change: {lr: 0.1}}\n",
            ["4:36: ablate.change.lr: 'lr' is a field of recipe, not of a model; write recipe: {lr: …}"],
        ),
        (
            "ablate: {of: {name: net}, change: {depth: [0, 2]}}\n",
            [
                "4:47: ablate.change.depth[1]: 'net depth=2' is the same experiment as 'net' on line 4; drop one"
            ],
        ),
        (
            "ablate: {of: {name: net}, change: {depth: [0, 0]}}\n",
            ["4:47: ablate.change.depth[1]: 0 is given twice; keep one"],
        ),
        ("ablate: 3\n", ["4:9: ablate: 3 is not an ablation; write a mapping of fields"]),
        ("ablate: {of: {name: net}, change: {depth: 0}, pair: on}\n", ["4:47: ablate.pair: unknown field 'pair'"]),
        ("seeds: 2\n", ["1:1: lacks 'models'; add it, or ablate"]),
    ],
)  # fmt: skip
def test_what_is_wrong_is_told_at_its_place(refusals, text, expected):
    expected = [f"grid.yaml:{one}" for one in expected]
    assert [line[: len(one)] for line, one in zip(refusals(text), expected, strict=True)] == expected


def test_too_many_pairs_are_refused_before_they_are_made(refusal):
    values = ", ".join(map(str, range(500)))
    widths = ", ".join(f"{value}.5" for value in range(1, 500))
    text = f"ablate: {{of: {{name: net}}, change: {{depth: [{values}], width: [{widths}]}}, pairs: on}}\n"
    assert "ablate.pairs: 249,500 pairs, over 100,000; shorten a list of change" in refusal(text)


def test_the_two_ways_of_the_docs_are_the_same_cells(load):
    page = (Path(__file__).parent.parent.parent / "docs" / "grids.md").read_text(encoding="utf-8")
    section = page.split("### ablate\n")[1].split("\n## ")[0]
    ablation, product = re.findall(r"```yaml\n(.*?)```", section, re.DOTALL)[:2]
    grids = [load(text.replace("nin", "net").replace("pointwise", "depth")) for text in (ablation, product)]
    assert ids(grids[0]).keys() == ids(grids[1]).keys()
    assert labels(grids[0]) == [
        "net depth=2 head=gap", "net head=fc", "net depth=0", "net depth=1", "net depth=3", "net lr=0.01",
    ]  # fmt: skip
