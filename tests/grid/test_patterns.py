from typing import get_args

import pytest

from nin_bench.cell import Optimizer, Recipe

GRID = """\
recipe: {lr: [0.1, 0.2]}
models:
  - {name: net, depth: [1, 2, 3], head: [gap, fc]}
  - {name: flat}
seeds: 3
"""


def labels(grid) -> list[str]:
    return [variant.label for variant in grid.variants]


@pytest.mark.parametrize(
    ("exclude", "num_cells"),
    [
        ("[]", 42),
        ("[{name: flat}]", 36),
        ("[{name: net, depth: 3, head: fc}]", 36),
        ("[{depth: 3}]", 30),
        ("[{name: net, depth: [2, 3]}]", 18),
        ("[{recipe: {lr: 0.2}}]", 21),
        ("[{recipe: {lr: [0.1, 0.2]}, name: flat}]", 36),
        ("[{data: {name: dots, resolution: 8}, name: flat}]", 36),
        ("[{data: {resolution: 9}}]", 42),
        ("[{seed: 0}]", 28),
        ("[{seed: [0, 1]}]", 14),
        ("[{seed: 2, name: net, depth: 1}]", 38),
        ("[{seed: 2, name: net, depth: 1}, {seed: 2, name: net, depth: 1, head: fc}, {seed: 0}]", 24),
        ("[{name: net, width: 1}]", 6),  # of the default, and 1 for 1.0
        ("[{name: net, relu: on}]", 6),
        ("[{name: net, relu: off}]", 42),
        ("[{name: net, relu: 1}]", 42),  # true is no number
        ("[{name: [net, flat], seed: 1}]", 28),
        ("[net depth=3 head=gap lr=0.1]", 39),
        ("[{label: [net depth=3 head=gap lr=0.1, flat lr=0.2], seed: [0, 1]}]", 38),
    ],
)
def test_exclude_leaves_out_every_cell_that_matches(load, exclude, num_cells):
    assert len(load(GRID + f"exclude: {exclude}\n").cells) == num_cells


IMPOSSIBLE = [
    ("{optimizer: [sgd, adam], momentum: [0, 0.9]}", "{optimizer: adam, momentum: 0.9}", 3),
    ("{batch_size: [16, 128], micro_batch: 64}", "{batch_size: 16}", 1),
    ("{nesterov: [on, off], momentum: [0, 0.9]}", "{nesterov: on, momentum: [0, 0.1]}", 3),
]


@pytest.mark.parametrize(("recipe", "impossible", "num_cells"), IMPOSSIBLE)
def test_what_is_excluded_need_not_be_possible(load, refusal, recipe, impossible, num_cells):
    text = f"recipe: {recipe}\nmodels: [{{name: net}}]\n"
    assert len(load(text + f"exclude: [{{recipe: {impossible}}}]\n").cells) == num_cells
    assert refusal(text).startswith("grid.yaml:4:")
    assert refusal(text + f"exclude: [{{recipe: {impossible}, seed: 1}}]\nseeds: 2\n").startswith("grid.yaml:4:")


def test_data_that_cannot_be_is_excluded_by_what_the_grid_gives(load, refusal):
    text = "models: [{name: flat}]\n"
    head = "schema: 1\nname: tiny\ndata: {name: dots, folder: ['', some]}\n"
    assert len(load(text + "exclude: [{data: {folder: ''}}]\n", head=head).cells) == 1
    assert refusal(text, head=head) == ("grid.yaml:3:7: data: validation_size: missing; an empty folder needs one")


def test_a_width_is_not_looked_for_where_its_variant_is_excluded(load):
    text = (
        "models:\n  - {name: net, depth: 3}\n"
        "  - {name: net, depth: 1, head: [gap, fc], match: {num_params: {depth: 3}}}\n"
    )
    grid = load(text + "exclude: [{head: fc}]\n")  # whose head alone is larger
    assert labels(grid) == ["net depth=3", "net depth=1 head=gap width=2.0"]


def test_exclude_may_name_a_width_that_was_found(load):
    text = (
        "models:\n  - {name: net, depth: 3}\n  - {name: flat}\n"
        "  - {name: net, depth: [0, 1], match: {num_params: {depth: 3}}}\n"
    )
    grid = load(text + "exclude: [{width: 2.0}, {width: 4.0, seed: 0}]\nseeds: 2\n")
    assert [(cell.label, cell.seed) for cell in grid.cells] == [
        ("net depth=3", 0), ("net depth=3", 1), ("flat", 0), ("flat", 1), ("net depth=0 width=4.0", 1),
    ]  # fmt: skip
    assert grid.notes == ()


@pytest.mark.parametrize(
    ("pattern", "place", "hint"),
    [
        ("{name: flat, lr: 0.1}", "9:24: baseline.lr", "recipe, not of a model; write recipe: {lr: …}"),
        ("{name: net, resolution: 8}", "9:23: baseline.resolution", "data, not of a model; write data: {"),
        ("{epochs: 3}", "9:12: baseline.epochs", "recipe, not of a model; write recipe: {epochs: …}"),
    ],
)
def test_a_field_of_another_section_is_told_where_it_goes(refusal, pattern, place, hint):
    told = refusal(GRID + f"baseline: {pattern}\n")
    assert told.startswith(f"grid.yaml:{place}: ")
    assert hint in told


def test_a_pattern_that_excludes_nothing_is_noted_at_its_place(load):
    exclude = "exclude:\n- {name: net, depth: 9}\n- {depth: 1}\n- {seed: [3, 4]}\n- {seed: [2, 3]}\n- {relu: 1}\n"
    assert load(GRID + exclude).notes == tuple(
        f"grid.yaml:{line}:3: exclude[{number}]: matches no cell; mend it, or leave it out"
        for number, line in ((0, 10), (2, 12), (4, 14))
    )
    assert load(GRID).notes == ()


def test_a_variant_without_cells_is_none(load):
    grid = load(GRID + "exclude: [{name: net, seed: [0, 1, 2]}]\n")
    assert labels(grid) == ["flat lr=0.1", "flat lr=0.2"]


def test_exclude_may_speak_of_what_the_profile_leaves_out(load):
    profile = "exclude: [{name: net, depth: 3, head: fc}]\nprofiles: {cpu: {models: [{name: flat}]}}\n"
    assert labels(load(GRID + profile)) == ["flat lr=0.1", "flat lr=0.2"]


def test_a_text_in_place_of_a_pattern_is_a_label(load, refusal):
    text = 'models: [{name: net, depth: [1, 2], label: "{depth} deep"}, {name: flat}]\nbaseline: '
    for pattern in ("2 deep", "{label: 2 deep}", "{label: 2 deep, head: gap}"):
        assert load(f"{text}{pattern}\n").baseline == "2 deep"
    assert refusal(f"{text}3 deep\n") == (
        "grid.yaml:5:11: baseline: matches 0 variants, must match exactly one of: 1 deep; 2 deep; flat"
    )


def test_a_baseline_is_one_variant(load):
    grid = load(GRID + "baseline: {name: net, depth: 2, head: gap, recipe: {lr: 0.1}}\n")
    assert grid.baseline == "net depth=2 head=gap lr=0.1"
    assert load(GRID + "baseline: {name: flat, recipe: {lr: 2e-1}}\n").baseline == "flat lr=0.2"
    assert load(GRID).baseline is None


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (
            "{name: flat}",
            "9:11: baseline: matches 2 variants, must match exactly one of: flat lr=0.1; flat lr=0.2",
        ),
        (
            "{name: flat, recipe: {lr: 0.3}}",
            "9:11: baseline: matches 0 variants, must match exactly one of: net depth=1 head=gap lr=0.1; "
            "net depth=1 head=gap lr=0.2; net depth=1 head=fc lr=0.1; net depth=1 head=fc lr=0.2; "
            "net depth=2 head=gap lr=0.1; net depth=2 head=gap lr=0.2; net depth=2 head=fc lr=0.1; "
            "net depth=2 head=fc lr=0.2; net depth=3 head=gap lr=0.1; net depth=3 head=gap lr=0.2; "
            "net depth=3 head=fc lr=0.1; net depth=3 head=fc lr=0.2; and 2 more",
        ),
        ("3", "9:11: baseline: 3 is not a pattern; write a mapping of fields"),
        ("[{name: net}]", "9:11: baseline: a list is not a pattern; write a mapping of fields"),
        ("{name: nett}", "9:18: baseline.name: unknown model 'nett'; did you mean 'net'? Known: flat, net"),
        ("{name: on}", "9:18: baseline.name: true is not text; put it in quotes if it is meant so"),
        (
            "{name: [[net]]}",
            "9:19: baseline.name[0]: a list cannot stand here; give one value",
        ),
        ("{name: net, head: gpa}", "9:29: baseline.head: unknown head 'gpa'; did you mean 'gap'? Known: fc, gap"),
        ("{name: net, depth: [1, -1]}", "9:34: baseline.depth[1]: -1 is not a number of layers; use 0 or more"),
        (
            "{name: net, dpeth: 1}",
            "9:23: baseline.dpeth: unknown net argument 'dpeth'; did you mean 'depth'? "
            "Known: depth, head, relu, width",
        ),
        (
            "{dpeth: 1}",
            "9:12: baseline.dpeth: unknown field 'dpeth'; did you mean 'depth'? "
            "Known: data, depth, head, label, match, name, recipe, relu, width",
        ),
        (
            "{name: net, seed: 0}",
            "9:23: baseline.seed: unknown net argument 'seed'; Known: depth, head, relu, width",
        ),
        (
            "{recipe: {rl: 0.1}}",
            f"9:21: baseline.recipe.rl: unknown field 'rl'; Known: {', '.join(sorted(Recipe.model_fields))}",
        ),
        (
            "{recipe: {optimizer: sgdd}}",
            "9:32: baseline.recipe.optimizer: unknown optimizer 'sgdd'; did you mean 'sgd'? "
            f"Known: {', '.join(sorted(get_args(Optimizer)))}",
        ),
        (
            "{data: {normalize: on}}",
            "9:30: baseline.data.normalize: true is none of dataset, none",
        ),
        ("{recipe: 0.1}", "9:20: baseline.recipe: 0.1 is not a section; write a mapping of fields"),
    ],
)
def test_a_wrong_pattern_is_answered_at_its_place(refusal, pattern, message):
    assert refusal(GRID + f"baseline: {pattern}\n") == f"grid.yaml:{message}"


def test_a_baseline_is_one_of_what_exclude_leaves(refusal):
    text = "models: [{name: net, depth: [1, 2]}]\nexclude: [{depth: 2}]\nbaseline: {depth: 2}\n"
    assert refusal(text) == "grid.yaml:6:11: baseline: matches 0 variants, must match exactly one of: net depth=1"


@pytest.mark.parametrize(
    ("exclude", "message"),
    [
        (
            "{name: net}",
            "9:10: exclude: a mapping is not a list; put brackets around it, or begin a line with a dash",
        ),
        ("[3]", "9:11: exclude[0]: 3 is not a pattern; write a mapping of fields"),
        (
            "[{name: net, head: gpa}]",
            "9:29: exclude[0].head: unknown head 'gpa'; did you mean 'gap'? Known: fc, gap",
        ),
        (
            "[{sed: 0}]",
            "9:12: exclude[0].sed: unknown field 'sed'; did you mean 'seed'? "
            "Known: data, depth, head, label, match, name, recipe, relu, seed, width",
        ),
        ("[{}]", "9:10: exclude: removes every cell; remove a pattern"),
        ("[{name: net}, {name: flat}]", "9:10: exclude: removes every cell; remove a pattern"),
    ],
)
def test_a_wrong_exclude_is_answered_at_its_place(refusal, exclude, message):
    assert refusal(GRID + f"exclude: {exclude}\n") == f"grid.yaml:{message}"
