import re
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest

from nin_bench.catalog import RegistryCatalog
from nin_bench.cell import Scalar
from nin_bench.errors import InputError, ResultsError
from nin_bench.grid import Grid
from nin_bench.results import ResultsFolder
from nin_bench.results.studies import StudySummary
from nin_bench.search.config import load_search
from nin_bench.search.tuned import Chosen, check_tunable, check_unedited, read_choices, tuned_text, write_tuned

ROOT = Path(__file__).parent.parent.parent
HEAD = "schema: 1\nname: tiny\ndata: {name: digits, resolution: 28}\n"
SEARCH = "search: {space: {lr: {low: 1.0e-3, high: 1.0, log: true}}, trials: 2}\n"
Tune = Callable[..., str]


@pytest.fixture
def tune(load: Callable[..., Grid], catalog: RegistryCatalog) -> Tune:
    """The tuned text of a grid, whose n-th variant found a rate of n hundredths best."""

    def tune(text: str, params: Callable[[int], Mapping[str, Scalar]] | None = None, **options: Any) -> str:
        grid = load(text, **options)
        params = params or (lambda number: {"lr": number / 100})
        found = {
            variant.variant_id: Chosen(params(number), f"found {number}")
            for number, variant in enumerate(grid.variants, 1)
        }
        return tuned_text(grid, found, catalog, Path("found/tuned.yaml"))

    return tune


# Labels


def test_a_label_stays_as_the_grid_writes_it_and_patterns_that_name_it_match(tune, load):
    text = (
        f"{HEAD}"
        'models: [{name: mlp, hidden: [16, 32], label: "{hidden} units at {recipe.lr}"}, {name: lenet}]\n'
        f"{SEARCH}"
    )
    after = load(tune(text))
    assert [variant.label for variant in after.variants] == [
        "16 units at 0.01",
        "32 units at 0.02",
        "lenet lr=0.03",
    ]
    text = (
        f"{HEAD}models:\n"
        '  - {name: mlp, hidden: [16, 32], label: "{hidden} units"}\n'
        f"baseline: 32 units\n{SEARCH}"
    )
    assert load(tune(text)).baseline == "32 units"


# Where entries stand


def test_every_entry_gives_way_to_its_variants_and_all_else_stays(tune):
    text = (
        "# Question: is it the width?\n"
        f"{HEAD}"
        "recipe: {epochs: 2, momentum: 0.9}   # as ever\n"
        "models:\n"
        "  # the plain ones\n"
        "  - {name: mlp, hidden: [16, 32]}   # an axis\n"
        "\n"
        "  # the other\n"
        "  - name: lenet\n"
        "    activation: relu   # not sigmoid\n"
        "    recipe: {lr: 0.5, weight_decay: 1.0e-4}\n"
        "# what is held against what\n"
        "baseline: {name: lenet}\n"
        f"{SEARCH}"
    )
    assert tune(text) == (
        "# Question: is it the width?\n"
        "# Run:      python -m nin_bench run --grid found/tuned.yaml --profile full\n"
        "# Tuned:    profile full: each variant's recipe is the best of its study\n"
        "schema: 1\nname: tiny_tuned\ndata: {name: digits, resolution: 28}\n"
        "recipe: {epochs: 2, momentum: 0.9}   # as ever\n"
        "models:\n"
        "  # the plain ones\n"
        "  # found 1\n"
        "  - {name: mlp, hidden: 16, recipe: {lr: 0.01}}\n"
        "  # found 2\n"
        "  - {name: mlp, hidden: 32, recipe: {lr: 0.02}}   # an axis\n"
        "\n"
        "  # the other\n"
        "  # found 3\n"
        "  - {name: lenet, activation: relu, recipe: {lr: 0.03, weight_decay: 0.0001}}\n"
        "# what is held against what\n"
        "baseline: {name: lenet}\n"
        f"{SEARCH}"
    )


@pytest.mark.parametrize(
    "models",
    [
        "models: [{name: mlp, hidden: [16, 32]}, {name: lenet, activation: relu}]\n",
        "models: [\n # both\n {name: mlp, hidden: [16, 32]},   # an axis\n {name: lenet, activation: relu},\n]\n",
        "models:\n- {name: mlp, hidden: [16, 32]}\n- {name: lenet, activation: relu}",
        "models:\n  -   # below\n    {name: mlp, hidden: [16, 32]}\n  - {name: lenet, activation: relu}\n",
        "'models':\n  - name: mlp\n    hidden:\n      - 16\n      - 32\n\n  - {name: lenet, activation: relu}\n\n",
    ],
)
def test_lists_may_be_written_in_any_style(tune, load, models):
    before = load(f"{HEAD}{SEARCH}{models}")
    after = load(tune(f"{HEAD}{SEARCH}{models}"))
    assert [variant.model for variant in after.variants] == [variant.model for variant in before.variants]
    assert [variant.recipe.lr for variant in after.variants] == [0.01, 0.02, 0.03]
    for comment in ("# both", "# an axis", "# found 3"):
        assert (comment in after.source) or comment not in models
    assert after.name == "tiny_tuned"


PROFILES = [
    "profiles:\n  cpu:\n    recipe: {epochs: 3}\n    seeds: 3   # few\n  gpu: {seeds: 8}\n",
    "profiles:\n  cpu:\n    recipe:\n      epochs: 3\n# and more\n  gpu: {seeds: 8}\n",
    "profiles: {gpu: {seeds: 8}, cpu: {recipe: {epochs: 3}}}\n",
    "profiles: {gpu: {seeds: 8}, cpu: {recipe: {epochs: 3},}}\n",
    "profiles:\n  gpu: {seeds: 8}\n  cpu: {}",
]


@pytest.mark.parametrize("profiles", PROFILES)
def test_a_profile_that_takes_the_grid_s_models_is_given_its_own(tune, load, profiles):
    text = f"{HEAD}models: [{{name: mlp, hidden: [16, 32]}}]\n{SEARCH}{profiles}"
    tuned = tune(text, profile="cpu")
    assert [variant.recipe.lr for variant in load(tuned, profile="cpu").variants] == [0.01, 0.02]
    assert [variant.recipe.lr for variant in load(tuned, profile="gpu").variants] == [0.1, 0.1]
    assert [variant.recipe.lr for variant in load(tuned, profile="full").variants] == [0.1, 0.1]
    assert load(tuned, profile="cpu").seeds == load(text, profile="cpu").seeds


def test_a_profile_s_own_models_are_tuned_and_no_other_s(tune, load):
    profiles = "profiles:\n  cpu:\n    models:\n      - {name: mlp, hidden: [8, 16]}\n    seeds: 3\n"
    tuned = tune(f"{HEAD}models: [{{name: lenet}}]\n{SEARCH}{profiles}", profile="cpu")
    assert (
        "    models:\n      # found 1\n      - {name: mlp, hidden: 8, recipe: {lr: 0.01}}\n      # found 2\n"
        in tuned
    )
    assert "models: [{name: lenet}]\n" in tuned


# What entries hold


def test_axes_of_the_recipe_become_the_entries_own(tune, load):
    text = f"{HEAD}recipe: {{init: [default, normal]}}\nmodels:\n  - {{name: mlp, hidden: 16}}\n{SEARCH}"
    tuned = tune(text)
    assert "- {name: mlp, hidden: 16, recipe: {init: default, lr: 0.01}}\n" in tuned
    assert "- {name: mlp, hidden: 16, recipe: {init: normal, lr: 0.02}}\n" in tuned
    assert [variant.recipe.init for variant in load(tuned).variants] == ["default", "normal"]


def test_an_entry_that_is_excluded_stays_as_it_is(tune, load):
    models = (
        "models:\n  - {name: mlp, hidden: [16, 32]}\n  - {name: lenet}\nexclude: [{name: lenet}, {hidden: 32}]\n"
    )
    tuned = tune(f"{HEAD}{models}{SEARCH}")
    assert "  # found 1\n  - {name: mlp, hidden: 16, recipe: {lr: 0.01}}\n  - {name: lenet}\n" in tuned
    assert len(load(tuned).variants) == 1


def test_a_seed_that_is_excluded_stays_excluded(tune, load):
    text = (
        f"{HEAD}seeds: 3\nmodels: [{{name: mlp, hidden: [16, 32]}}]\nexclude: [{{hidden: 16, seed: 1}}]\n{SEARCH}"
    )
    cells = load(tune(text)).cells
    assert [(cell.model.arguments["hidden"], cell.seed) for cell in cells] == [
        (16, 0), (16, 2), (32, 0), (32, 1), (32, 2),
    ]  # fmt: skip


def test_values_of_every_type_are_written_so_that_they_read_back(tune, load):
    values = {
        "lr": 0.0012589254117941675, "weight_decay": 1e-05, "batch_size": 48, "nesterov": True, "momentum": 0.9,
        "init": "xavier_uniform", "micro_batch": None, "schedule": "one_cycle", "model.hidden": 24,
    }  # fmt: skip
    space = ", ".join(
        [
            "lr: {low: 1.0e-3, high: 1.0}, weight_decay: {low: 0, high: 1}, batch_size: {low: 32, high: 64}",
            "nesterov: [on, off], momentum: [0.5, 0.9], init: [default, xavier_uniform], micro_batch: [16, null]",
            "schedule: [one_cycle, cosine], model.hidden: {low: 8, high: 32}",
        ]
    )
    text = f"{HEAD}models: [{{name: mlp, hidden: 16}}]\nsearch: {{space: {{{space}}}, trials: 9, sampler: tpe}}\n"
    (variant,) = load(tune(text, lambda number: values)).variants
    assert variant.model.arguments == {"hidden": 24}
    assert {name: getattr(variant.recipe, name) for name in values if name != "model.hidden"} == {
        name: value for name, value in values.items() if name != "model.hidden"
    }


def test_a_variant_that_learned_nothing_keeps_its_recipe(tune, load):
    text = f"{HEAD}models: [{{name: mlp, hidden: [16, 32], recipe: {{lr: 0.3}}}}]\n{SEARCH}"
    tuned = tune(text, lambda number: {} if number == 1 else {"lr": 0.5})
    assert [variant.recipe.lr for variant in load(tuned).variants] == [0.3, 0.5]


def test_overrides_are_named_and_must_be_repeated(tune, load):
    text = f"{HEAD}models: [{{name: mlp, hidden: 16}}]\n{SEARCH}"
    tuned = tune(text, overrides=["recipe.epochs=3", "recipe.momentum=0.9"])
    assert tuned.splitlines()[0] == (
        "# Run:      python -m nin_bench run --grid found/tuned.yaml --profile full "
        "--set recipe.epochs=3 --set recipe.momentum=0.9"
    )
    (variant,) = load(tuned, overrides=["recipe.epochs=3"]).variants
    assert (variant.recipe.lr, variant.recipe.epochs) == (0.01, 3)


@pytest.mark.parametrize("profile", ["full", "cpu"])
@pytest.mark.parametrize("name", ["onexone", "lr_search"])
def test_a_shipped_grid_is_tuned_and_its_patterns_still_match(tune, load, name, profile):
    text = (ROOT / "tests/frozen/grids" / f"{name}.yaml").read_text()
    if name == "onexone":
        text += SEARCH
    before = load(text, profile=profile)
    after = load(tune(text, profile=profile), profile=profile)
    pairs = dict(zip([variant.label for variant in before.variants], after.variants, strict=True))
    assert after.baseline == pairs[before.baseline].label
    for one, other in zip(before.hypotheses, after.hypotheses, strict=True):
        assert other.compare == tuple(pairs[label].label for label in one.compare)
    for label, variant in pairs.items():
        assert variant.label.startswith(label.partition(" lr=")[0])
    body = text[text.index("\nschema: ") :].splitlines()
    lines = [line for line in body if not line.lstrip().startswith(("- {name: ", "name: "))]
    assert [line for line in lines if line not in after.source.splitlines()] == []
    assert re.findall(r"^# ([A-Z]\w+):", after.source, re.MULTILINE) == ["Question", "Run", "Tuned"]
    assert after.question == before.question


def test_what_was_said_of_the_searched_grid_is_not_said_of_the_tuned_one(tune, load):
    heading = (
        "# Question: which width,\n"
        "#           and which rate?\n"
        "# Run:      python -m nin_bench search --grid grid.yaml\n"
        "#           or with --then-run\n"
        "# Expect:   an hour\n"
        "# as the notebooks have it\n"
    )
    rest = f"{HEAD}models: [{{name: mlp, hidden: 16}}]\n{SEARCH}"
    own = (
        "# Question: which width,\n"
        "#           and which rate?\n"
        "# as the notebooks have it\n"
        "# Run:      python -m nin_bench run --grid found/tuned.yaml --profile full\n"
        "# Tuned:    profile full: each variant's recipe is the best of its study\n"
    )
    tuned = tune(heading + rest)
    assert tuned.startswith(f"{own}schema: 1\n")
    assert tune(tuned).startswith(f"{own}schema: 1\n")  # searched once more


def test_where_a_tuned_grid_lies_is_told_without_the_folders_above(load, catalog, tmp_path):
    grid = load(f"{HEAD}models: [{{name: mlp, hidden: 16}}]\n{SEARCH}")
    found = {grid.variants[0].variant_id: Chosen({"lr": 0.5}, "found")}
    assert " --grid tuned.yaml --profile" in tuned_text(grid, found, catalog, tmp_path / "tuned.yaml")
    assert " --grid 'my grids/tuned.yaml' --profile" in tuned_text(
        grid, found, catalog, Path("my grids/tuned.yaml")
    )


@pytest.mark.parametrize(
    ("old", "new", "expected"),
    [
        ("tiny", "t" * 59, "tuned.yaml:4:7: name: "),
        ("[16, 32]", str(list(range(8, 408))), "tuned.yaml: longer than 64 KiB"),
    ],
)
def test_a_grid_that_cannot_be_tuned_is_told_before_it_is_searched(load, catalog, old, new, expected):
    text = f"{HEAD}models: [{{name: mlp, hidden: [16, 32]}}]\n{SEARCH}"
    check_tunable(load(text), catalog)
    name = new if old == "tiny" else "tiny"
    with pytest.raises(InputError) as refused:
        check_tunable(load(text.replace(old, new)), catalog)
    assert str(refused.value).startswith(f"{name}: its tuned grid could not be read: ")
    assert expected in str(refused.value)
    assert "/tmp" not in str(refused.value)


def test_nothing_that_a_name_holds_leaves_its_comment(load, catalog):
    grid = load(f"{HEAD}models: [{{name: mlp, hidden: 16}}]\n{SEARCH}")
    found = {grid.variants[0].variant_id: Chosen({"lr": 0.5}, "study\nmodels: [{name: lenet}]")}
    assert "  # study\\nmodels: [{name: lenet}]\n" in tuned_text(grid, found, catalog, Path("tuned.yaml"))


# From studies


def study(trials: list[dict[str, Any]], best: int | None, rate: float | None = None) -> dict[str, Any]:
    chosen = next((trial for trial in trials if trial["number"] == best), None)
    return {
        "variant_id": "v0",
        "label": "mlp",
        "study_name": "tiny/full/mlp",
        "trials": trials,
        "best": chosen and {key: chosen[key] for key in ("number", "params", "value")},
        "chosen": chosen and {"lr": rate or chosen["params"]["lr"]},
    }


def trial(number: int, value: float | None, *runs: tuple[str, bool], state: str = "complete") -> dict[str, Any]:
    told = [{"seed": 10_000, "outcome": outcome, "failed": failed, "history": []} for outcome, failed in runs]
    return {"number": number, "state": state, "params": {"lr": 0.5}, "value": value, "runs": told}


def keep(folder: ResultsFolder, grid: Grid, kept: dict[str, Any] | None) -> None:
    """What a search leaves in a folder."""
    load_search(grid, folder, RegistryCatalog(), None).write(folder.search_path)
    if kept is not None:
        StudySummary.parse(kept).write(folder.study_path(grid.variants[0].variant_id))


WELL = ("trained", False)
STUCK = ("trained", True)
DIVERGED = ("diverged", True)


@pytest.mark.parametrize(
    ("kept", "expected"),
    [
        (
            study([trial(0, 0.8612, WELL, WELL), trial(1, None, state="failed"), trial(2, 0.5, WELL, STUCK)], 0),
            Chosen({"lr": 0.5}, "study tiny/full/mlp: 2 of 2 trials, validation accuracy 86.12% (n=2)"),
        ),
        (
            study([trial(0, 0.8612, WELL, WELL), trial(1, 0.8, WELL, WELL)], 0, rate=0.425),
            Chosen(
                {"lr": 0.425},
                "study tiny/full/mlp: 2 of 2 trials, the top of a curve through their means; best of them "
                "validation accuracy 86.12% (n=2) at lr=0.5",
            ),
        ),
        (
            study([trial(0, 0.4, WELL, STUCK)], 0),
            Chosen({"lr": 0.5}, "study tiny/full/mlp: 1 of 2 trials, validation accuracy 40.00% (n=2)"),
        ),
        (
            study([trial(0, 0.0, STUCK, DIVERGED), trial(1, 0.0, STUCK, STUCK)], 0),
            Chosen({}, "study tiny/full/mlp: 2 of 2 trials, in none of which it learned: its recipe is as it was"),
        ),
        (
            study([trial(0, None, state="failed")], None),
            Chosen({}, "study tiny/full/mlp: 0 of 2 trials, in none of which it learned: its recipe is as it was"),
        ),
        (None, Chosen({}, "not searched: its recipe is as it was")),
    ],
)
def test_what_a_study_found_is_told_with_its_trials(load, tmp_path, kept, expected):
    grid = load(f"{HEAD}models: [{{name: mlp, hidden: 16}}]\n{SEARCH}")
    folder = ResultsFolder(tmp_path / "results")
    (variant,) = grid.variants
    keep(folder, grid, kept)
    assert read_choices(grid, folder) == {variant.variant_id: expected}


def test_a_loss_is_told_as_one(load, tmp_path):
    grid = load(
        f"{HEAD}models: [{{name: mlp}}]\n{SEARCH.replace('trials: 2', 'trials: 2, objective: validation_loss')}"
    )
    folder = ResultsFolder(tmp_path)
    keep(folder, grid, study([trial(0, 0.41237, WELL)], 0))
    (chosen,) = read_choices(grid, folder).values()
    assert chosen.comment == "study tiny/full/mlp: 1 of 2 trials, validation loss 0.4124 (n=1)"
    folder.study_path(grid.variants[0].variant_id).write_text("{}")
    with pytest.raises(ResultsError, match=r"json is of schema null; .* remove it and search again"):
        read_choices(grid, folder)


# Writing


def test_an_unedited_tuned_grid_is_replaced_and_an_edited_one_is_not(tmp_path, tune, load):
    path = tmp_path / "deep" / "tuned.yaml"
    text = tune(f"{HEAD}models: [{{name: mlp, hidden: 16}}]\n{SEARCH}")
    check_unedited(path)
    write_tuned(path, text)
    assert path.read_text().startswith(text)
    assert load(path.read_text()).name == "tiny_tuned"
    write_tuned(path, text.replace("0.01", "0.02"))
    check_unedited(path)

    for edited in (path.read_text().replace("0.02", "0.03"), text, "mine\n", "\xff"):
        path.write_text(edited, encoding="latin-1")
        with pytest.raises(ResultsError, match=r"tuned\.yaml: .*; .*choose another --out"):
            write_tuned(path, text)
        assert path.read_text(encoding="latin-1") == edited


def test_what_is_matched_stays_matched(tune):
    text = (
        f"{HEAD}models:\n"
        "  - {name: lenet, activation: relu}\n"
        "  - {name: lenet, match: {num_params: {name: lenet, activation: relu}}}\n"
        f"{SEARCH}"
    )
    assert (
        "  # found 1\n"
        "  - {name: lenet, activation: relu, recipe: {lr: 0.01}}\n"
        "  # found 2\n"
        "  - {name: lenet, match: {num_params: {name: lenet, activation: relu}}, recipe: {lr: 0.02}}\n"
    ) in tune(text)


ABLATION = "ablate: {of: {name: lenet}, change: {activation: relu, data: {train_size: [400, 500]}}}\n"


@pytest.mark.parametrize(
    "text",
    [
        f"{HEAD}{ABLATION}{SEARCH}",
        f"{HEAD}{SEARCH}ablate:\n  of: {{name: lenet, label: 'LeNet {{{{1}}}}'}}   # as drawn\n"
        "  change:\n    activation: relu\n",
        f"{HEAD}models:\n- {{name: mlp, hidden: 16}}\n{ABLATION}{SEARCH}",
        f"{HEAD}{ABLATION}{SEARCH}profiles: {{cpu: {{seeds: 2}}}}\n",
        f"{HEAD}{ABLATION}{SEARCH}profiles:\n  cpu:\n    ablate:\n      change: {{activation: relu}}\n",
    ],
)
@pytest.mark.parametrize("profile", ["full", "cpu"])
def test_an_ablation_is_written_out(tune, load, text, profile):
    if profile not in text:
        profile = "full"
    before, after = load(text, profile=profile), load(tune(text, profile=profile), profile=profile)
    rates = [(number / 100) for number in range(1, len(before.variants) + 1)]
    expected = [
        {**variant.values, "recipe.lr": rate} for variant, rate in zip(before.variants, rates, strict=True)
    ]
    assert [variant.values for variant in after.variants] == expected
    ablated = [one.label for one in before.variants if "ablate." in one.entry.path]
    assert [variant.label for variant in after.variants[: len(ablated)]] == ablated
    assert after.baseline == before.baseline == ablated[0]
