import pytest

MODELS = "models: [{name: net, depth: [1, 2]}, {name: flat}]\n"
RATES = "lr: {low: 1.0e-3, high: 1.0, log: true}"
SIX = f"space: {{{RATES}}}, trials: 6"


def search(text: str) -> str:
    return f"{MODELS}search: {{{text}}}\n"


def test_a_search_is_read_with_its_defaults(load):
    grid = load(search(SIX))
    assert grid.search.as_plain() == {
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
    assert (spec.trials, spec.seeds, spec.space[0].low, spec.space[0].high) == (3, 2, 0.01, 1.0)
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
