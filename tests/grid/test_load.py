import os
import subprocess
import sys
from itertools import product
from math import prod
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nin_bench.grid import Grid

MODELS = "models: [{name: net, depth: [0, 1, 2]}, {name: flat}]\nseeds: 2\n"


def test_a_grid_that_needs_a_file_of_models_says_how_to_give_it(load, refusal, monkeypatch):
    text = "models_from: my nets.py\nmodels: [{name: flat}]\n"
    monkeypatch.delenv("NIN_BENCH_MODELS", raising=False)
    assert refusal(text).startswith("grid.yaml:4:14: models_from: the grid needs the models of ")
    assert refusal(text).endswith("if you trust that file, add --models 'my nets.py'")
    monkeypatch.setenv("NIN_BENCH_MODELS", str(Path("my nets.py").resolve()))
    assert len(load(text).cells) == 1
    assert refusal(text.replace("my nets", "other")).endswith("--models other.py")


def planned(grid: Grid) -> list[tuple[str, int]]:
    return [(cell.label, cell.seed) for cell in grid.cells]


def selected(grid: Grid) -> list[tuple[str, int]]:
    return [(cell.label, cell.seed) for cell in grid.selected]


def test_a_grid_is_variants_times_seeds(load):
    grid = load(MODELS)
    assert (grid.name, grid.profile, grid.seeds) == ("tiny", "full", (0, 1))
    assert planned(grid) == [
        ("net depth=0", 0),
        ("net depth=0", 1),
        ("net depth=1", 0),
        ("net depth=1", 1),
        ("net depth=2", 0),
        ("net depth=2", 1),
        ("flat", 0),
        ("flat", 1),
    ]
    assert grid.selected == grid.cells
    assert grid.hypotheses == ()


@pytest.mark.parametrize(
    ("seeds", "expected"),
    [("", (0,)), ("seeds: 1\n", (0,)), ("seeds: 3\n", (0, 1, 2)), ("seeds: [7, 0, 3]\n", (7, 0, 3))],
)
def test_seeds_are_counted_or_listed(load, seeds, expected):
    assert load("models: [{name: flat}]\n" + seeds).seeds == expected


CLAIM = (
    "hypotheses: [{id: a, claim: b, metric: METRIC, compare: [{depth: 2}, {depth: 1}], expect: less, margin: 0, "
    "primary: PRIMARY}]\n"
)
UNTIL = "models: [{name: net, depth: [1, 2]}]\nseeds: {until: decided, at_most: 24}\n"


def test_seeds_may_be_trained_until_the_claims_are_decided(load):
    grid = load(UNTIL + CLAIM.replace("METRIC", "test_loss").replace("PRIMARY", "true"))
    assert grid.seeds == tuple(range(24))
    assert len(grid.cells) == 48
    assert (grid.until_decided.at_most, grid.until_decided.looks) == (24, (12, 18, 24))
    assert load(MODELS).until_decided is None


@pytest.mark.parametrize(("metric", "primary"), [("test_loss", "false"), ("num_params", "true")])
def test_without_a_primary_claim_over_seeds_nothing_is_decided(refusal, metric, primary):
    told = refusal(UNTIL + CLAIM.replace("METRIC", metric).replace("PRIMARY", primary))
    assert told.startswith("grid.yaml:5:8: seeds: until decided, but no primary hypothesis is judged over seeds; ")


@pytest.mark.parametrize(
    ("seeds", "message"),
    [
        ("0", "5:8: seeds: 0 is not in range; use 1 or more"),
        ("-1", "5:8: seeds: -1 is not in range; use 1 or more"),
        ("2.0", "5:8: seeds: 2.0 is not a whole number; write digits, without quotes"),
        ("on", "5:8: seeds: true is not a whole number; write digits, without quotes"),
        ("{until: decided}", "5:8: seeds: lacks 'at_most'; add it"),
        ("{until: bored, at_most: 8}", "5:16: seeds.until: unknown until 'bored'; Known: decided"),
        ("{until: decided, at_most: 1}", "5:34: seeds.at_most: 1 is not in range; use 2 or more"),
        (
            "{until: decided, most: 8, at_most: 8}",
            "5:25: seeds.most: unknown field 'most'; did you mean 'at_most'? Known: at_most, until",
        ),
        (
            "{until: decided, at_most: 100000000}",
            "1:1: 100,000,000 cells before exclusions, over 100,000; shorten an axis",
        ),
        ("[]", "5:8: seeds: none given; give at least one"),
        ("[0, -1]", "5:12: seeds[1]: -1 is not in range; use 0 or more"),
        ("[0, 1.5]", "5:12: seeds[1]: 1.5 is not a whole number; write digits, without quotes"),
        ("[0, [1]]", "5:12: seeds[1]: a list cannot stand here; give one value"),
        ("[3, 1, 3]", "5:15: seeds[2]: 3 is given twice; keep one"),
        (
            "1000000000000",
            "1:1: 1,000,000,000,000 cells before exclusions, over 100,000; shorten an axis",
        ),
        (
            "1" + "0" * 30,
            "5:8: seeds: 1e+30 is not a whole number; write digits, without quotes",
        ),
    ],
)
def test_wrong_seeds_are_answered_at_their_place(refusal, seeds, message):
    assert refusal(f"models: [{{name: flat}}]\nseeds: {seeds}\n") == f"grid.yaml:{message}"


def test_a_grid_without_models_is_refused(refusal):
    assert refusal("") == "grid.yaml:1:1: lacks 'models'; add it, or ablate"
    assert refusal("models:\n").startswith("grid.yaml:4:8: models: null is not a list; ")


def test_too_many_cells_are_refused_before_they_are_made(load, refusal):
    hundred = list(range(100))
    text = f"models: [{{name: net, depth: {hundred}, width: {hundred}}}]\nseeds: 2\n"
    assert refusal(text) == (
        "grid.yaml:1:1: 20,000 cells before exclusions, over 10,000; shorten an axis, or pass --yes"
    )
    # 10^14 cells: neither memory nor time would suffice to take these apart first
    axes = ", ".join(f"{key}: {[0.1 + number for number in hundred]}" for key in ("lr", "init_std", "step_factor"))
    text = f"recipe: {{{axes}, weight_decay: {hundred}, epochs: {[1 + number for number in hundred]}}}\n"
    assert refusal(text + f"models: [{{name: net, depth: {hundred}, width: {hundred}}}]\n") == (
        "grid.yaml:1:1: 100,000,000,000,000 cells before exclusions, over 100,000; shorten an axis"
    )
    assert "models[0].depth: none given; give at least one" in refusal(text + "models: [{name: net, depth: []}]\n")


def test_ten_thousand_cells_are_not_too_many_and_more_need_a_yes(load, refusal):
    text = f"models: [{{name: net, width: {list(range(1, 101))}}}]\nseeds: "
    assert len(load(text + "100\n").cells) == 10_000
    assert refusal(text + "101\n").startswith("grid.yaml:1:1: 10,100 cells before exclusions")
    assert len(load(text + "101\n", allow_many=True).cells) == 10_100


def test_seeds_and_only_narrow_what_is_run_and_not_what_is_planned(load):
    whole = load(MODELS)
    grid = load(MODELS, seeds=[1], only="net*")
    assert selected(grid) == [("net depth=0", 1), ("net depth=1", 1), ("net depth=2", 1)]
    assert grid.cells == whole.cells
    assert grid.resolved("cpu") == whole.resolved("cpu")
    assert selected(load(MODELS, only="*depth=[12]", seeds=[0, 0])) == [("net depth=1", 0), ("net depth=2", 0)]
    assert selected(load(MODELS, only="flat")) == [("flat", 0), ("flat", 1)]


def test_what_selects_nothing_is_refused(refusal):
    assert refusal(MODELS, seeds=[0, 2]) == "--seeds: 2 is not among the grid's: 0; 1; add it there"
    assert refusal(MODELS, only="nin*") == (
        "--only: 'nin*' matches no variant; there are: net depth=0; net depth=1; net depth=2; flat"
    )
    assert refusal(MODELS + "exclude: [{name: flat, seed: 1}]\n", only="flat", seeds=[1]) == (
        "--seeds, --only: the grid excludes every cell that they select; select others"
    )


def test_of_many_seeds_a_few_are_named(refusal):
    assert refusal("models: [{name: flat}]\nseeds: 5000\n", seeds=[5000]) == (
        "--seeds: 5000 is not among the grid's: 0; 1; 2; 3; 4; 5; 6; 7; 8; 9; 10; 11; and 4988 more; add it there"
    )


def test_classes_are_named_where_all_variants_have_the_same(load):
    text = "models: [{name: flat}]\n"
    assert load(text).class_names == ("few", "many")
    assert load(text, overrides=["data.name=[dots, lines]"]).class_names is None


def test_a_profile_changes_what_is_asked(load):
    text = (
        "recipe: {epochs: 10, lr: 0.1}\n"
        + MODELS
        + "baseline: {name: flat}\n"
        + "profiles:\n  cpu: {recipe: {epochs: 2}, data: {resolution: 9}, models: [{name: flat}], seeds: [4]}\n"
    )
    cpu = load(text)
    assert cpu.profile == "cpu"
    assert planned(cpu) == [("flat", 4)]
    assert (cpu.recipe["epochs"], cpu.recipe["lr"], cpu.data["resolution"]) == (2, 0.1, 9)
    full = load(text, has_accelerator=True)
    assert (full.profile, len(full.cells), full.data["resolution"]) == ("full", 8, 8)
    assert load(text, profile="full").resolved("cpu") == full.resolved("cpu")


def test_a_grid_tells_what_the_report_needs(load):
    body = "recipe: {lr: [0.1, 0.2]}\nmodels: [{name: flat, recipe: {epochs: 3}}]\nbaseline: {recipe: {lr: 0.1}}\n"
    grid = load(
        body, head="# Question: which rate?\n# Expect: 2 cells\nschema: 1\nname: tiny\ndata: {name: dots}\n"
    )
    told = grid.resolved("cpu").model_dump(mode="json")
    assert (told["device_kind"], told["class_names"], told["until_decided"]) == ("cpu", ["few", "many"], None)
    assert (told["question"], told["expect"]) == ("which rate?", "2 cells")
    assert told["source"].startswith("# Question: which rate?\n# Expect: 2 cells\nschema: 1\n")
    assert told["source"].endswith(body)
    assert told["data"] == {
        "name": "dots", "folder": None, "content": None, "resolution": 8, "normalize": "none",
        "train_size": None, "validation_size": 10,
    }  # fmt: skip
    assert told["recipe"]["lr"] == [0.1, 0.2]
    assert told["recipe"]["epochs"] == 10  # the grid's, which the model's own goes over
    assert told["baseline"] == "flat lr=0.1 epochs=3"
    assert [variant["recipe"]["epochs"] for variant in told["variants"]] == [3, 3]
    assert [set(cell) for cell in told["cells"]] == [{"cell_id", "variant_id", "label", "seed"}] * 2
    assert told["cells"][0] == {
        "cell_id": grid.cells[0].cell_id,
        "variant_id": grid.variants[0].variant_id,
        "label": "flat lr=0.1 epochs=3",
        "seed": 0,
    }


def test_the_order_of_a_grid_says_nothing_about_its_cells(load):
    one = load("models: [{name: net, depth: 1, head: fc}, {name: flat}]\nseeds: 2\n")
    other = load("seeds: [1, 0]\nmodels: [{name: flat}, {head: fc, depth: 1, name: net}]\n")
    assert {cell.cell_id for cell in one.cells} == {cell.cell_id for cell in other.cells}


AXES = {"depth": range(6), "head": ("gap", "fc"), "width": (0.5, 1, 2), "relu": ("on", "off")}
RECIPE_AXES = {"lr": (0.1, 0.2), "optimizer": ("sgd", "adam"), "epochs": (1, 2, 3)}
DATA_AXES = {"resolution": (8, 9, 10), "normalize": ("none", "dataset")}


def axes(known: dict[str, tuple[object, ...]]) -> st.SearchStrategy[dict[str, list[object]]]:
    def values(key: str) -> st.SearchStrategy[list[object]]:
        return st.lists(st.sampled_from(known[key]), unique=True, min_size=1)

    return st.fixed_dictionaries({}, optional={key: values(key) for key in known})


def flow(fields: dict[str, object]) -> str:
    written = (f"{key}: {str(value).replace(chr(39), '')}" for key, value in fields.items())
    return "{" + ", ".join(written) + "}"


@settings(deadline=None)
@given(
    axes(AXES),
    axes(RECIPE_AXES),
    axes(DATA_AXES),
    st.integers(1, 3),
    st.integers(0, 5),
    st.sets(st.integers(0, 3)),
)
def test_a_grid_is_the_product_of_its_axes_less_what_is_excluded(
    tmp_path_factory, tiny, model, recipe, data, num_seeds, depth, without
):
    path = tmp_path_factory.getbasetemp() / "random.yaml"
    path.write_text(
        "schema: 1\nname: random\n"
        f"data: {flow({'name': 'dots', **data})}\nrecipe: {flow(recipe)}\nseeds: {num_seeds}\n"
        f"models: [{flow({'name': 'net', **model})}, {{name: flat}}]\n"
        f"exclude: [{{name: net, depth: {depth}, seed: {sorted(without)}}}]\n".replace("seed: []", "seed: 99")
    )
    grid = Grid.load(path, tiny)
    shared = prod(map(len, [*recipe.values(), *data.values()])) * num_seeds
    depths = model.get("depth", [2])  # 2 is the default
    excluded = sum(
        prod(len(values) for key, values in model.items() if key != "depth") * shared // num_seeds
        for found, seed in product(depths, range(num_seeds))
        if found == depth and seed in without
    )
    assert len(grid.cells) == prod(map(len, model.values())) * shared + shared - excluded
    assert len({cell.cell_id for cell in grid.cells}) == len(grid.cells)
    assert len({cell.label for cell in grid.cells}) == len(grid.variants)
    assert len({variant.variant_id for variant in grid.variants}) == len(grid.variants)
    assert Grid.load(path, tiny) == grid


def test_planning_waits_for_no_torch(tmp_path):
    code = (
        "import sys, nin_bench.grid, nin_bench.grid.schema, nin_bench.results\n"
        "import nin_bench.reporting.build, nin_bench.cli\n"
        "nin_bench.grid.schema.shipped_schema()\n"
        "print([name for name in ('torch', 'torchvision') if name in sys.modules])"
    )
    env = {**os.environ, "MPLCONFIGDIR": str(tmp_path)}
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, env=env)
    assert done.stdout == "[]\n"
