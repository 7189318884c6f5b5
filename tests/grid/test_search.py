import pytest

from nin_bench.results.studies import Range

MODELS = "models: [{name: net, depth: [1, 2]}, {name: flat}]\n"
RATES = "lr: {low: 1.0e-3, high: 1.0, log: true}"
SIX = f"space: {{{RATES}}}, trials: 6"


def search(text: str) -> str:
    return f"{MODELS}search: {{{text}}}\n"


def test_a_search_is_read_with_its_defaults(load):
    grid = load(search(SIX))
    assert grid.search.model_dump(mode="json") == {
        "space": {"lr": {"low": 1e-3, "high": 1.0, "log": True}},
        "trials": 6, "seeds": 3, "epochs": None, "sampler": "grid", "sampler_seed": 0, "pruner": "none",
        "objective": "validation_accuracy",
    }  # fmt: skip
    assert grid.search.direction == "maximize"
    assert grid.search_seeds == (10_000, 10_001, 10_002)
    assert load(MODELS).search is None
    assert load(MODELS).search_seeds == ()


def test_a_profile_lays_its_own_search_over_the_grid_s(load):
    text = search(f"{SIX}, seeds: 2")
    profile = "profiles: {cpu: {search: {space: {lr: {low: 0.01}}, trials: 3}}}\n"
    spec = load(text + profile, profile="cpu").search
    assert (spec.trials, spec.seeds, spec.space["lr"].low, spec.space["lr"].high) == (3, 2, 0.01, 1.0)
    assert load(text + profile, profile="full").search.trials == 6


def test_trials_may_be_overridden(load, refusal):
    text = search(SIX)
    assert load(text, trials=3).search.grid_points() == [{"lr": 0.001}, {"lr": 0.0316}, {"lr": 1.0}]
    assert refusal(text, trials=1).startswith("--trials 1: 1 gives no equal number of points")
    assert load(MODELS, trials=3).search is None


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [("3", (10_000, 10_001)), ("[9999]", (10_000, 10_001)), ("[10001, 10500]", (10_501, 10_502))],
)
def test_the_seeds_of_a_search_are_never_the_run_s(load, seeds, expected):
    grid = load(search(f"{SIX}, seeds: 2") + f"seeds: {seeds}\n")
    assert grid.search_seeds == expected


def test_the_grid_is_the_product_of_choices_and_evenly_spaced_points(load):
    text = "space: {init: [default, normal], lr: {low: 0.01, high: 1.0, log: true}}, trials: 6"
    points = load(search(text)).search.grid_points()
    assert [(point["init"], point["lr"]) for point in points] == [
        ("default", 0.01), ("default", 0.1), ("default", 1.0), ("normal", 0.01), ("normal", 0.1), ("normal", 1.0),
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        (f"space: {{{RATES}}}", "5:9: search: lacks 'trials'; add it"),
        ("trials: 6", "5:9: search: lacks 'space'; add it"),
        (f"space: {{{RATES}}}, trials: 0", "search.trials: 0 is not in range; use 1 or more"),
        (f"space: {{{RATES}}}, trials: six", "search.trials: 'six' is not a whole number"),
        (f"{SIX}, seeds: 0", "search.seeds: 0 is not in range; use 1 or more"),
        (f"{SIX}, seeds: [1]", "search.seeds: a list cannot stand here"),
        (f"{SIX}, epochs: 0", "search.epochs: 0 is not in range; use 1 or more"),
        (f"{SIX}, sampler: gird", "search.sampler: unknown sampler 'gird'; did you mean 'grid'"),
        (f"{SIX}, pruner: asha", "search.pruner: unknown pruner 'asha'; "),
        (f"{SIX}, objective: test_loss", "search.objective: unknown objective 'test_loss'"),
        (f"{SIX}, budget: 3", "search.budget: unknown field 'budget'; "),
        (f"space: {{{RATES}}}, trials: 1", "search.trials: 1 gives no equal number of points, two or more, to "
         "each of 1 combinations; use a multiple of 1 from 2 on"),
        (f"space: {{{RATES}, init: [default, normal]}}, trials: 5", "search.trials: 5 gives no equal number of "
         "points, two or more, to each of 2 combinations; use a multiple of 2 from 4 on"),
        ("space: {init: [default, normal], lr: [0.1, 1.0]}, trials: 6", "search.trials: 6, but the choices have 4 "
         "combinations; use so many"),
        ("space: {batch_size: {low: 2, high: 4}}, trials: 6", "search.trials: 6 is more than batch_size has"),
        (f"space: {{{RATES}, momentum: {{low: 0, high: 0.9}}}}, trials: 4", "search: sampler: 'grid' has one "
         "range at most, but lr and momentum are ranges; list the values to try, or use qmc"),
        ("space: {optimizer: [sgd, adam], momentum: [0.5, 0.9]}, trials: 4", "search.space: net depth=1 with "
         "optimizer=adam, momentum=0.5: momentum: 0.5, but adam has none; use 0, or optimizer sgd"),
        ("space: {warmup_epochs: {low: 0, high: 3}}, trials: 4, epochs: 3", "search.space: net depth=1 with "
         "warmup_epochs=3.0: warmup_epochs: 3 leaves nothing of 3 epochs"),
    ],
)  # fmt: skip
def test_a_wrong_search_is_refused_at_its_place(refusal, text, expected):
    told = refusal(search(text))
    assert told.startswith("grid.yaml:5:")
    assert expected in told


def test_too_many_fields_at_once_are_refused(refusal):
    fields = ["lr", "momentum", "weight_decay", "init_std", "label_smoothing", "step_factor"]
    ranges = ", ".join(f"{field}: [{', '.join(f'0.{k}1' for k in range(1, 6))}]" for field in fields)
    told = refusal(search(f"space: {{{ranges}}}, trials: 9, sampler: random"))
    assert "search.space: more than 4,096 combinations of extreme values; search fewer fields at once" in told


def test_variants_that_differ_in_what_is_searched_alone_are_refused(refusal):
    text = MODELS.replace("{name: flat}", "{name: flat, recipe: {lr: [0.1, 0.2]}}")
    told = refusal(f"{text}search: {{space: {{{RATES}}}, trials: 6}}\n")
    assert "'flat lr=0.2' and 'flat lr=0.1' differ only in what is searched; drop one of them" in told


@pytest.mark.parametrize(
    ("pattern", "field"),
    [
        ("baseline: {name: flat, recipe: {lr: 0.1}}", "lr"),
        ("exclude: [{recipe: {lr: 0.1}, seed: 3}]", "lr"),
        ("hypotheses: [{id: a, says: b, metric: test_loss, expect: less, margin: 0, "
         "compare: [{name: flat, recipe: {lr: 0.1}}, {depth: 1}]}]", "lr"),
    ],
)  # fmt: skip
def test_a_pattern_cannot_name_what_is_searched(refusal, pattern, field):
    told = refusal(f"{search(SIX)}{pattern}\n")
    assert told.startswith("grid.yaml:6:")
    assert f"{field} is searched, so no pattern can name it; tell the variant by other fields" in told


def test_a_pattern_cannot_name_an_argument_that_is_searched(refusal):
    text = "models: [{name: net}]\nbaseline: {head: gap}\nsearch: {space: {model.head: [gap, fc]}, trials: 2}\n"
    assert refusal(text).startswith(
        "grid.yaml:5:12: baseline.head: model.head is searched, so no pattern can name it"
    )


def test_what_is_searched_cannot_be_set(refusal):
    told = refusal(search(SIX), overrides=["recipe.lr=0.5"])
    assert told == "--set recipe.lr=0.5: lr is searched; set another field, or leave lr out of search.space"


# The space

SPACED = "models: [{name: net, depth: [1, 2]}, {name: net, depth: 3, recipe: {lr: 0.5}}]\n"


def space(text: str, rest: str = "trials: 4, sampler: qmc") -> str:
    return f"{SPACED}search: {{space: {{{text}}}, {rest}}}\n"


# Points


def test_points_of_a_log_range_are_equal_factors_apart_and_keep_both_ends():
    rates = Range(low=0.002, high=0.2, log=True)
    # 0.002 · 100^(k/5), three digits
    assert rates.points(6) == [0.002, 0.00502, 0.0126, 0.0317, 0.0796, 0.2]
    assert rates.points(2) == [0.002, 0.2]


def test_points_of_a_linear_range_are_equal_differences_apart():
    assert Range(low=0.0, high=0.9).points(4) == [0.0, 0.3, 0.6, 0.9]


def test_points_that_three_digits_cannot_tell_apart_keep_them_all():
    points = Range(low=0.1, high=0.1004).points(5)
    assert points == pytest.approx([0.1, 0.1001, 0.1002, 0.1003, 0.1004])
    assert len(set(points)) == 5


def test_points_of_whole_numbers_are_whole():
    points = Range(low=16, high=128, log=True).points(4)
    assert points == [16, 32, 64, 128]
    assert {type(point) for point in points} == {int}


# Reading


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lr: {low: 1.0e-3, high: 1, log: true}", Range(low=1e-3, high=1.0, log=True)),
        ("momentum: {low: 0, high: 0.9}", Range(low=0.0, high=0.9)),
        ("batch_size: {low: 16, high: 64, log: on}", Range(low=16, high=64, log=True)),
        ("warmup_epochs: {low: 0, high: 4}", Range(low=0.0, high=4.0)),
        ("init: [default, xavier_uniform]", ("default", "xavier_uniform")),
        ("lr: [1, 0.1]", (1.0, 0.1)),
        ("micro_batch: [16, null]", (16, None)),
        ("nesterov: [on, off], momentum: [0.5, 0.9]", (True, False)),
        ("model.width: {low: 1, high: 2}", Range(low=1.0, high=2.0)),
        ("model.head: [gap, fc]", ("gap", "fc")),
    ],
)
def test_a_field_is_read_in_the_recipe_s_own_type(load, text, expected):
    name = text.partition(":")[0]
    parameter = load(space(text)).search.space[name]
    assert parameter == expected
    ends = (parameter.low, expected.low) if isinstance(parameter, Range) else (parameter[0], expected[0])
    assert type(ends[0]) is type(ends[1])


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("learning_rate: [0.1, 1.0]", "5:18: learning_rate: unknown field 'learning_rate'; Known: "),
        ("lrr: [0.1, 1.0]", "5:18: lrr: unknown field 'lrr'; did you mean 'lr'? "),
        ("depth: [1, 2]", "5:18: depth: 'depth' is an argument of models, not a field of the recipe; "
         "to search it, say model.depth"),
        ("model.deph: [1, 2]", "5:18: model.deph: net has no such argument, and all must have "),
        ("model.depth: [1, -1]", "5:35: model.depth[1]: net depth=1: -1 is not a number of layers"),
        ("epochs: [1, 2]", "5:18: epochs: epochs cannot be searched: trials of different lengths"),
        ("test_every_epoch: [on, off]", "5:18: test_every_epoch: test_every_epoch cannot be searched: "
         "no choice may use the test images"),
        ("lr: 0.1", "5:22: lr: 0.1 is not a range or a list of choices"),
        ("lr: {low: 0.1}", "5:22: lr: lacks 'high'"),
        ("lr: {low: 0.1, high: 1, scale: log}", "5:42: lr.scale: unknown field 'scale'; "),
        ("lr: {low: 1.0, high: 0.1}", "5:28: lr.low: 1 is not below high, 0.1; swap them"),
        ("lr: {low: 0.1, high: 0.1}", "5:28: lr.low: 0.1 is not below high, 0.1; "),
        ("weight_decay: {low: 0, high: 0.1, log: true}", "5:38: weight_decay.low: 0 has no place on a "
         "log scale; use more than 0, or log: false"),
        ("lr: {low: 0, high: 0.1, log: true}", "5:28: lr.low: 0 is not in range; use more than 0"),
        ("lr: {low: -1, high: 0.1}", "5:28: lr.low: -1 is not in range; use more than 0"),
        ("lr: {low: 0.1, high: '1'}", "5:39: lr.high: '1' is not a number; write digits"),
        ("lr: {low: 0.1, high: .inf}", "5:39: lr.high: inf is not a finite number"),
        ("lr: {low: 0.1, high: 1, log: 10}", "5:47: lr.log: 10 is not true or false"),
        ("batch_size: {low: 1.5, high: 8}", "5:36: batch_size.low: 1.5 is not a whole number"),
        ("init: {low: default, high: normal}", "5:24: init: init is no number, so it has no range; "
         "list the choices, as ['default', …]"),
        ("init: [default, xavier]", "5:34: init[1]: unknown init 'xavier'; did you mean "),
        ("init: [default]", "5:24: init: 1 leaves nothing to choose; give two values or more"),
        ("init: []", "5:24: init: 0 leaves nothing to choose; "),
        ("lr: [0.1, 1.0e-1]", "5:28: lr[1]: 0.1 is given twice; keep one"),
    ],
)  # fmt: skip
def test_what_cannot_be_searched_is_refused_at_its_place(refusal, text, expected):
    place, _, told = expected.partition(" ")
    assert refusal(space(text)).startswith(f"grid.yaml:{place} search.space.{told}")


def test_an_empty_space_is_refused(refusal):
    assert refusal(space("")) == (
        "grid.yaml:5:17: search.space: empty; give at least one field, as lr: {low: 1.0e-3, high: 1.0, log: true}"
    )


def test_an_argument_that_a_model_lacks_cannot_be_searched(refusal):
    text = space("model.depth: [4, 5]").replace("[{name: net", "[{name: flat}, {name: net")
    assert refusal(text) == (
        "grid.yaml:5:18: search.space.model.depth: flat has no such argument, and all must have what is "
        "searched; it has: none"
    )
