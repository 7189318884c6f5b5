import pytest

from nin_bench.errors import SpecError
from nin_bench.grid.search import trial_variant


def labels(grid) -> list[str]:
    return [variant.label for variant in grid.variants]


def test_a_list_is_an_axis_and_the_last_runs_fastest(load):
    grid = load("recipe: {lr: [0.1, 0.2]}\nmodels: [{name: net, depth: [1, 2], head: [gap, fc]}]\n")
    assert labels(grid) == [
        "net depth=1 head=gap lr=0.1",
        "net depth=1 head=gap lr=0.2",
        "net depth=1 head=fc lr=0.1",
        "net depth=1 head=fc lr=0.2",
        "net depth=2 head=gap lr=0.1",
        "net depth=2 head=gap lr=0.2",
        "net depth=2 head=fc lr=0.1",
        "net depth=2 head=fc lr=0.2",
    ]


def test_a_label_keeps_every_argument_that_the_grid_writes(load):
    grid = load(
        "recipe: {epochs: 4, lr: 0.1}\n"
        "models:\n"
        "  - {name: net}\n"
        "  - {name: net, width: 2, relu: off, head: gap}\n"
        "  - {name: net, depth: 3, recipe: {lr: 1e-3, momentum: [0.0, 0.9]}}\n"
        "  - {name: flat, recipe: {lr: 0.1}}\n"
    )
    assert labels(grid) == [
        "net",
        "net width=2 relu=false head=gap",
        "net depth=3 lr=0.001 momentum=0.0",
        "net depth=3 lr=0.001 momentum=0.9",
        "flat lr=0.1",
    ]


def test_a_label_tells_axes_of_data_too(load):
    grid = load("models: [{name: flat}]\n", overrides=["data.name=[dots, lines]", "data.resolution=[8, 16]"])
    assert labels(grid) == [
        "flat data=dots resolution=8",
        "flat data=dots resolution=16",
        "flat data=lines resolution=8",
        "flat data=lines resolution=16",
    ]


def test_a_models_own_recipe_goes_over_the_grids_and_set_over_both(load):
    text = "recipe: {lr: 0.1, epochs: 4}\nmodels: [{name: net}, {name: flat, recipe: {lr: 0.01, epochs: 8}}]\n"

    def rates(*overrides: str) -> list[tuple[float, int]]:
        return [(v.recipe.lr, v.recipe.epochs) for v in load(text, overrides=overrides).variants]

    assert rates() == [(0.1, 4), (0.01, 8)]
    assert rates("recipe.lr=0.5") == [(0.5, 4), (0.5, 8)]
    assert rates("recipe.epochs=[1, 2]") == [(0.1, 1), (0.1, 2), (0.01, 1), (0.01, 2)]


def test_an_own_value_takes_an_axis_place(load):
    grid = load("recipe: {lr: [0.1, 0.2]}\nmodels: [{name: net}, {name: flat, recipe: {lr: 0.3}}]\n")
    assert labels(grid) == ["net lr=0.1", "net lr=0.2", "flat lr=0.3"]


def test_a_template_labels_every_variant_from_its_own_fields(load):
    grid = load(
        "recipe: {lr: [0.1, 0.02]}\n"
        "models:\n"
        "  - {name: net, depth: [1, 2], label: 'NiN-{depth}, {head} {{at}} {recipe.lr}'}\n"
        "  - {name: flat, label: 'flat on {data.name}, {data.resolution} pixels, {recipe.lr}, {match}'}\n"
        "baseline: {name: net, depth: 1, recipe: {lr: 0.02}}\n"
    )
    assert labels(grid) == [
        "NiN-1, gap {at} 0.1",
        "NiN-1, gap {at} 0.02",
        "NiN-2, gap {at} 0.1",
        "NiN-2, gap {at} 0.02",
        "flat on dots, 8 pixels, 0.1, null",
        "flat on dots, 8 pixels, 0.02, null",
    ]
    assert grid.baseline == "NiN-1, gap {at} 0.02"
    assert {cell.label for cell in grid.cells} == set(labels(grid))


def test_a_label_changes_no_identity(load):
    named = load("models: [{name: net, depth: [1, 2], label: 'deep {depth}'}]\n")
    unnamed = load("models: [{name: net, depth: [1, 2]}]\n")
    assert [cell.cell_id for cell in named.cells] == [cell.cell_id for cell in unnamed.cells]
    assert all(variant.resolved().own_label for variant in named.variants)


def test_a_template_may_name_the_width_that_was_found(load):
    grid = load(
        "models:\n  - {name: net, depth: 3}\n"
        "  - {name: net, depth: 1, label: 'wide {width}', match: {num_params: {depth: 3}}}\n"
    )
    assert labels(grid) == ["net depth=3", "wide 2.0"]


@pytest.mark.parametrize(
    ("label", "message"),
    [
        ("'{dpeth}'", "4:44: models[0].label: unknown placeholder 'dpeth'; did you mean 'depth'? Known: data."),
        ("'{lr}'", "4:44: models[0].label: unknown placeholder 'lr'; "),
        ("'{}'", "4:44: models[0].label: unknown placeholder ''; "),
        ("'{depth:3d}'", "4:44: models[0].label: unknown placeholder 'depth:3d'; did you mean 'depth'"),
        ("'{depth!r}'", "4:44: models[0].label: unknown placeholder 'depth!r'; did you mean 'depth'"),
        ("'deep {depth'", "4:44: models[0].label: 'deep {depth' has a brace without its pair"),
        ('"{depth}\\n"', "4:44: models[0].label: '1\\n' holds a character that cannot be printed"),
        ("' '", "4:44: models[0].label: ' ' is not text; write a sentence"),
        ("3", "4:44: models[0].label: 3 is not text; put it in quotes if it is meant so"),
        ("deep", "4:44: models[0].label: 'deep' is also a label of line 4; the two differ in depth, so add "),
    ],
)  # fmt: skip
def test_a_wrong_label_is_answered_at_its_place(refusals, label, message):
    told = refusals(f"models: [{{name: net, depth: [1, 2], label: {label}}}]\n")
    assert told[0].startswith(f"grid.yaml:{message}")
    assert len(told) == 1


def test_two_entries_with_one_label_are_told_with_both_lines(refusal):
    told = refusal("models:\n  - {name: net, label: same}\n  - {name: flat, label: same}\n")
    assert told.startswith("grid.yaml:6:25: models[1].label: 'same' is also a label of line 5; ")


def test_values_are_resolved(load):
    (variant,) = load("models: [{name: net, width: 2}]\n").variants
    assert variant.model.arguments == {"depth": 2, "head": "gap", "relu": True, "width": 2.0}
    assert (variant.data.resolution, variant.data.validation_size) == (8, 10)
    assert variant.resolved().model_dump()["model"] == {
        "name": "net", "revision": 1, "depth": 2, "head": "gap", "relu": True, "width": 2.0,
    }  # fmt: skip
    assert variant.resolved().variant_id == variant.variant_id
    assert variant.variant_id == variant.cell(5).variant_id


@pytest.mark.parametrize(
    ("models", "message"),
    [
        ("[{name: nett}]", "4:17: models[0].name: unknown model 'nett'; did you mean 'net'? Known: flat, net"),
        (
            "[{name: on}]",
            "4:17: models[0].name: true is not text; put it in quotes if it is meant so",
        ),
        (
            "[{name: [net, flat]}]",
            "4:17: models[0].name: a list cannot stand here; give one value",
        ),
        ("[{depth: 1}]", "4:10: models[0]: lacks 'name'; add it"),
        ("[net]", "4:10: models[0]: 'net' is not a model; write a mapping of fields"),
        (
            "{name: net}",
            "4:9: models: a mapping is not a list; put brackets around it, or begin a line with a dash",
        ),
        ("net", "4:9: models: 'net' is not a list; put brackets around it, or begin a line with a dash"),
        ("[]", "4:9: models: none given; give at least one"),
        (
            "[{name: net, dpeth: 1}]",
            "4:22: models[0].dpeth: unknown net argument 'dpeth'; did you mean 'depth'? "
            "Known: depth, head, relu, width",
        ),
        (
            "[{name: net, depth: [1, 2, -1]}]",
            "4:36: models[0].depth[2]: -1 is not a number of layers; use 0 or more",
        ),
        ("[{name: net, depth: [[1]]}]", "4:30: models[0].depth[0]: a list cannot stand here; give one value"),
        ("[{name: net, depth: []}]", "4:29: models[0].depth: none given; give at least one"),
        (
            "[{name: net, recipe: adam}]",
            "4:30: models[0].recipe: 'adam' is not a section; write a mapping of fields",
        ),
        (
            "[{name: net, recipe: {lr: [0.1, -0.1]}}]",
            "4:41: models[0].recipe.lr[1]: -0.1 is not in range; use more than 0",
        ),
        (
            "[{name: net, recipe: {lr: [[0.1]]}}]",
            "4:36: models[0].recipe.lr[0]: a list cannot stand here; give one value",
        ),
        (
            "[{name: net, depth: [1, 2, 1]}]",
            "4:36: models[0].depth[2]: 1 is given twice; keep one",
        ),
        (
            "\n  - {name: net}\n  - {name: flat}\n  - {name: net, depth: 2, width: 1}",
            "7:5: models[2]: 'net depth=2 width=1' is the same experiment as 'net' on line 5; drop one",
        ),
    ],
)
def test_a_wrong_model_is_answered_at_its_place(refusal, models, message):
    assert refusal(f"models: {models}\n") == f"grid.yaml:{message}"


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("recipe.lr=-1", "-1 is not in range; use more than 0"),
        ("recipe.lr=[0.1, fast]", "'fast' is not a number; write digits, without quotes"),
        ("recipe.lr=[]", "none given; give at least one"),
        ("recipe.lr=", "null is not a number; write digits, without quotes"),
        ("recipe.lr={low: 1}", "a mapping cannot stand here; give one value"),
        ("data.name=lnes", "unknown dataset 'lnes'; did you mean 'lines'? Known: dots, lines"),
        (
            "data.size=3",
            "unknown field 'size'; did you mean 'resize'? Known: channels, content, folder, name, "
            "normalize, resize, resolution, train_size, validation_size",
        ),
    ],
)
def test_a_wrong_override_is_answered_with_itself(refusal, override, message):
    assert refusal("models: [{name: net}]\n", overrides=[override]) == f"--set {override}: {message}"


@pytest.mark.parametrize(
    ("data", "message"),
    [
        ("data: {resolution: 8}\n", "grid.yaml:3:7: data: lacks 'name'; add it"),
        ("", "grid.yaml:1:1: lacks 'data'; add it"),
        ("data: dots\n", "grid.yaml:3:7: data: 'dots' is not a section; write a mapping of fields"),
        (
            "data: {name: dost}\n",
            "grid.yaml:3:14: data.name: unknown dataset 'dost'; did you mean 'dots'? Known: dots, lines",
        ),
        (
            "data: {name: [dots, 3]}\n",
            "grid.yaml:3:21: data.name[1]: 3 is not text; put it in quotes if it is meant so",
        ),
        (
            "data: {name: dots, folder: ''}\n",
            "grid.yaml:3:7: data: validation_size: missing; an empty folder needs one",
        ),
        (
            "data: {name: dots, train_size: 0}\n",
            "grid.yaml:3:32: data.train_size: 0 is not in range; use 1 or more",
        ),
    ],
)
def test_wrong_data_is_answered_at_its_place(refusal, data, message):
    assert refusal("models: [{name: net}]\n", head=f"schema: 1\nname: tiny\n{data}") == message


def test_who_builds_a_model_may_refuse_a_value_at_its_place(load):
    grid = load("models:\n  - {name: net, width: [1, 2]}\n  - {name: flat}\n", overrides=["data.resolution=9"])
    _, wide, flat = grid.variants
    refused = SpecError("width", "2 is too wide; use 1")
    assert str(wide.refused(refused)) == "grid.yaml:5:28: models[0].width[1]: net width=2: 2 is too wide; use 1"
    too_small = SpecError("resolution", "9 is too small; use 12")
    assert str(flat.refused(too_small)) == "--set data.resolution=9: flat: 9 is too small; use 12"


def test_a_refused_default_is_answered_at_the_entry(load):
    (flat,) = load("models:\n  - {name: flat}\n").variants
    too_small = SpecError("resolution", "8 is too small; use 12")
    assert str(flat.refused(too_small)) == "grid.yaml:5:5: models[0]: flat: resolution: 8 is too small; use 12"


def test_an_entry_s_own_data_go_over_the_grid_s(load):
    grid = load(
        "models:\n"
        "  - {name: net}\n"
        "  - {name: net, data: {name: lines, resolution: [8, 12]}}\n"
        "  - {name: flat, data: {train_size: 5}, label: 'flat, {data.train_size} of {data.name}'}\n"
    )
    assert labels(grid) == [
        "net", "net data=lines resolution=8", "net data=lines resolution=12", "flat, 5 of dots",
    ]  # fmt: skip
    assert [(one.data.name, one.data.resolution, one.data.train_size) for one in grid.variants] == [
        ("dots", 8, None), ("lines", 8, None), ("lines", 12, None), ("dots", 8, 5),
    ]  # fmt: skip
    assert grid.class_names is None


def test_stopping_early_needs_validation_images_unless_that_is_excluded(load, refusal):
    text = (
        "recipe: {early_stop: [null, validation_loss]}\n"
        "models: [{name: net}, {name: flat, data: {validation_size: 0}}]\n"
    )
    assert refusal(text) == (
        "grid.yaml:4:29: recipe.early_stop[1]: 'validation_loss', but data.validation_size is 0; keep some "
        "images to stop by"
    )
    grid = load(f"{text}exclude: [{{name: flat, recipe: {{early_stop: validation_loss}}}}]\n")
    assert len(grid.variants) == 3


def test_trials_of_a_search_do_not_stop_early(load, tiny):
    grid = load(
        "recipe: {early_stop: validation_loss}\nmodels: [{name: net}]\n"
        "search: {space: {lr: [0.1, 0.2]}, trials: 2}\n"
    )
    assert grid.search is not None
    assert trial_variant(grid.variants[0], {"lr": 0.1}, grid.search, tiny).recipe.early_stop is None
