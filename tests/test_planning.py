from pathlib import Path
from typing import Any

import pytest

from nin_bench.catalog import RegistryCatalog, check_networks, load_plan, model_code
from nin_bench.cell import Cell, DataSpec
from nin_bench.checkpoint import Checkpoints
from nin_bench.errors import InputError, MultipleInputError, ResultsError, SpecError
from nin_bench.files import write_json
from nin_bench.grid import Grid
from nin_bench.models.code import code_digest, definition_digests
from nin_bench.plan_notes import outdated_notes
from nin_bench.planning import (
    ModelCode,
    PlannedCell,
    Shared,
    check_same_grid,
    estimate_cells,
    plan_cells,
)
from nin_bench.results import Record, ResultsFolder
from nin_bench.results.sharing import OtherFolders
from nin_bench.runner.record import make_record
from tests.costs_fixture import CPU, OTHER_CPU, cost_entry, write_costs

GRID = """\
schema: 1
name: tiny
data: {name: digits, resolution: 28}
recipe: {epochs: 2, lr: [0.1, 0.05]}
seeds: [1, 0]
models:
  - {name: lenet, activation: relu}
  - {name: mlp, hidden: 16}
"""


@pytest.fixture
def load(tmp_path, monkeypatch, catalog):
    monkeypatch.chdir(tmp_path)

    def load(text: str = GRID, **options: Any) -> Grid:
        Path("grid.yaml").write_text(text, encoding="utf-8")
        return Grid.load(Path("grid.yaml"), catalog, **options)

    return load


@pytest.fixture
def folder(tmp_path) -> ResultsFolder:
    return ResultsFolder(tmp_path / "results" / "tiny" / "full")


def record(cell, outcome: str = "trained") -> Record:
    return Record.parse(make_record(cell, outcome, started_at="").model_dump())  # as it is read


def states(planned: list[PlannedCell]) -> list[str]:
    return [one.state for one in planned]


def test_the_catalog_resolves_models_with_the_registry(catalog):
    model = catalog.resolve_model("lenet", {"width": 2})
    assert model.arguments == {"activation": "sigmoid", "width": 2.0, "batch_norm": False}
    assert model.identity() == {"name": "lenet", "revision": 1, "width": 2.0}
    with pytest.raises(SpecError, match="unknown model 'lent'; did you mean 'lenet'"):
        catalog.resolve_model("lent", {})


def test_the_catalog_resolves_data_with_the_table_of_datasets(catalog):
    data = catalog.resolve_data(DataSpec(name="digits"))
    assert (data.resolution, data.validation_size) == (8, 200)
    data = catalog.resolve_data(DataSpec(name="fashion_mnist", resolution=131, validation_size=0))
    assert (data.resolution, data.validation_size) == (131, 0)
    with pytest.raises(SpecError, match="unknown dataset 'mnits'; did you mean 'mnist'"):
        catalog.resolve_data(DataSpec(name="mnits"))


@pytest.mark.parametrize(
    ("line", "wrong", "message"),
    [
        (
            "  - {name: lenet, activation: relu}",
            "  - {name: lenett}",
            "7:12: models[0].name: unknown model 'lenett'; did you mean 'lenet'? Known: alexnet, lenet, mlp, nin, "
            "nin11, nin16, nin19, nin_cifar, nin_mnist, vgg11, vgg13, vgg16, vgg19",
        ),
        (
            "activation: relu",
            "activatoin: relu",
            "7:19: models[0].activatoin: unknown lenet argument 'activatoin'; did you mean 'activation'? "
            "Known: activation, batch_norm, width",
        ),
        (
            "activation: relu",
            "activation: [relu, tanh]",
            "7:38: models[0].activation[1]: unknown activation 'tanh'; Known: relu, sigmoid",
        ),
        (
            "{name: lenet, activation: relu}",
            "{name: nin_mnist, pointwise: [0, -1]}",
            "7:38: models[0].pointwise[1]: -1 is not a number of 1×1 layers; use 0 or more, below 100",
        ),
        (
            "digits, resolution",
            "digit, resolution",
            "3:14: data.name: unknown dataset 'digit'; did you mean 'digits'? Known: cifar10, cifar100, digits, "
            "fashion_mnist, image_folder, kmnist, mnist, svhn",
        ),
        (
            "resolution: 28",
            "train_size: 1400",
            "3:34: data.train_size: 1400 and 200 for validation exceed the 1438 training images; "
            "use 1238 or fewer",
        ),
        (
            "digits, resolution: 28",
            "image_folder",
            "3:7: data: folder: missing; image_folder reads a subfolder of the data directory, so name it",
        ),
    ],
)
def test_who_knows_the_names_refuses_a_wrong_one_at_its_place(load, line, wrong, message):
    assert line in GRID
    with pytest.raises(InputError) as caught:
        load(GRID.replace(line, wrong))
    assert str(caught.value) == f"grid.yaml:{message}"


def test_networks_that_can_be_built_pass(load):
    check_networks(load().variants)


@pytest.mark.parametrize(
    ("line", "wrong", "message"),
    [
        (
            "resolution: 28",
            "resolution: [28, 11]",
            "grid.yaml:3:39: data.resolution[1]: lenet activation=relu lr=0.1 resolution=11: "
            "11 is too small for these layers; use 12 or more",
        ),
        (
            ", resolution: 28",
            "",
            "grid.yaml:7:5: models[0]: lenet activation=relu lr=0.1: "
            "resolution: 8 is too small for these layers; use 12 or more",
        ),
        (
            "activation: relu",
            "width: [1, 0.01]",
            "grid.yaml:7:30: models[0].width[1]: lenet width=0.01 lr=0.1: "
            "0.01 leaves no channel of 6; use 0.0834 or more",
        ),
    ],
)
def test_a_network_that_cannot_be_built_is_answered_at_its_place(load, line, wrong, message):
    grid = load(GRID.replace(line, wrong))
    with pytest.raises(InputError) as caught:
        check_networks(grid.variants)
    assert str(caught.value) == message


def test_all_networks_that_cannot_be_built_are_told_at_once_in_the_grids_order(load):
    text = GRID.replace("activation: relu", "width: [0.01, 1, 0.02]")
    with pytest.raises(MultipleInputError) as caught:
        check_networks(
            load(text.replace("name: mlp, hidden: 16", "name: lenet, batch_norm: on, width: 0.001")).variants
        )
    assert [str(error).partition(": lenet")[0] for error in caught.value.errors] == [
        "grid.yaml:7:27: models[0].width[0]", "grid.yaml:7:36: models[0].width[2]",
        "grid.yaml:8:42: models[1].width",
    ]  # fmt: skip


def test_an_override_that_no_network_can_take_is_answered_with_itself(load):
    grid = load(overrides=["data.resolution=11"])
    with pytest.raises(InputError) as caught:
        check_networks(grid.variants)
    assert str(caught.value) == (
        "--set data.resolution=11: lenet activation=relu lr=0.1: 11 is too small for these layers; use 12 or more"
    )


def test_seeds_run_in_the_outer_loop_and_in_the_grids_order(load, folder):
    planned = plan_cells(load(), folder)
    assert [(one.cell.seed, one.cell.label) for one in planned] == [
        (1, "lenet activation=relu lr=0.1"),
        (1, "lenet activation=relu lr=0.05"),
        (1, "mlp hidden=16 lr=0.1"),
        (1, "mlp hidden=16 lr=0.05"),
        (0, "lenet activation=relu lr=0.1"),
        (0, "lenet activation=relu lr=0.05"),
        (0, "mlp hidden=16 lr=0.1"),
        (0, "mlp hidden=16 lr=0.05"),
    ]
    assert set(states(planned)) == {"missing"}
    assert not folder.path.exists()


def retold(stored: Record, section: str, **changes: object) -> Record:
    """The record of a cell with other values in one section."""
    plain = stored.model_dump()
    plain["cell"][section] |= changes
    return Record.parse(plain)


def test_only_what_is_selected_is_planned(load, folder):
    planned = plan_cells(load(seeds=[0], only="mlp*"), folder)
    assert [(one.cell.seed, one.cell.label) for one in planned] == [
        (0, "mlp hidden=16 lr=0.1"),
        (0, "mlp hidden=16 lr=0.05"),
    ]


def test_what_is_known_of_a_cell_decides_whether_it_runs(load, folder):
    cells = [one.cell for one in plan_cells(load(), folder)]
    outcomes = ["trained", "diverged", "invalid", "crashed", "timed_out", "out_of_memory", "interrupted"]
    for cell, outcome in zip(cells, outcomes, strict=False):
        folder.write_record(record(cell, outcome))
    planned = plan_cells(load(), folder)
    assert states(planned) == ["done"] * 3 + ["retry"] * 4 + ["missing"]
    assert [one.outcome for one in planned] == [*outcomes, None]
    assert [one.has_to_run for one in planned] == [False] * 3 + [True] * 5
    assert planned[3].record == folder.read_record(cells[3].cell_id)
    assert planned[0].as_dict() == {
        "cell_id": cells[0].cell_id,
        "variant_id": cells[0].variant_id,
        "label": "lenet activation=relu lr=0.1",
        "seed": 1,
        "state": "done",
        "outcome": "trained",
        "need": "now",
        "num_epochs_saved": None,
        "reason": None,
        "probes": None,
        "reused_from": None,
        "estimated_seconds": None,
        "estimated_memory_bytes": None,
    }


def save(folder: ResultsFolder, cell: Cell, num_epochs: int, code_digest: str | None = None) -> Path:
    """Leave a checkpoint of a cell that has trained so many epochs; plans do not look at the state in it."""
    history = [{"epoch": epoch} for epoch in range(1, num_epochs + 1)]
    metrics = {"num_steps": 10 * num_epochs}
    stored = make_record(
        cell, "interrupted", started_at="", metrics=metrics, history=history, code_digest=code_digest
    )
    checkpoints = Checkpoints(folder.checkpoints_path, cell)
    checkpoints.save(stored, {})
    return checkpoints.paths()[0]


def test_a_cell_with_a_checkpoint_continues_unless_it_is_done(load, folder):
    cells = [one.cell for one in plan_cells(load(), folder)]
    for cell in cells[:5]:
        save(folder, cell, num_epochs=1)
    folder.write_record(record(cells[1], "interrupted"))
    folder.write_record(record(cells[2], "trained"))
    folder.write_record(retold(record(cells[3], "trained"), "recipe", momentum=0.5))
    (damaged,) = folder.checkpoints_path.glob(f"{cells[4].cell_id}.*")
    damaged.write_bytes(damaged.read_bytes()[:150])
    planned = plan_cells(load(), folder)
    assert states(planned) == ["continue", "continue", "done", "continue", *["missing"] * 4]
    assert [one.num_epochs_saved for one in planned] == [1, 1, None, 1, *[None] * 4]
    assert [one.outcome for one in planned[:3]] == [None, "interrupted", "trained"]
    assert planned[1].record == folder.read_record(cells[1].cell_id)
    assert planned[3].record is None, "an outdated record is of another experiment"
    assert planned[1].as_dict()["num_epochs_saved"] == 1
    assert damaged.exists(), "a plan changes nothing"


def test_afresh_nothing_continues(load, folder):
    for one in plan_cells(load(), folder):
        save(folder, one.cell, num_epochs=1)
    assert set(states(plan_cells(load(), folder, fresh=True))) == {"missing"}


def test_a_damaged_record_is_missing(load, folder):
    cell = load().cells[0]
    folder.write_record(record(cell))
    folder.record_path(cell.cell_id).write_text('{"schema": 1, "cell_')
    assert set(states(plan_cells(load(), folder))) == {"missing"}


def test_a_record_of_another_default_is_outdated(load, folder):
    cell, *_ = load().selected
    for section, changes in [
        ("recipe", {"momentum": 0.5}),
        ("data", {"normalize": "dataset"}),
        ("model", {"width": 7.0}),
        ("model", {"revision": 9}),
    ]:
        folder.write_record(retold(record(cell), section, **changes))
        assert states(plan_cells(load(seeds=[1], only=cell.label), folder)) == ["outdated"]


NEW_CODE = {"lenet": ModelCode("b" * 16, ["layers.conv_rows", "lenet.lenet"]), "mlp": ModelCode("c" * 16)}


def of_code(made: Record, digest: str | None) -> Record:
    return made.model_copy(update={"code_digest": digest})


def test_a_record_of_other_code_is_outdated_and_says_what_changed(load, folder):
    cells = load().selected
    lenet, mlp = (next(cell for cell in cells if cell.model.name == name) for name in ("lenet", "mlp"))
    for cell in (lenet, mlp):
        folder.write_record(of_code(record(cell), "a" * 16))
    planned = {one.cell.cell_id: one for one in plan_cells(load(), folder, code=NEW_CODE)}
    assert (planned[lenet.cell_id].state, planned[lenet.cell_id].outcome) == ("outdated", "trained")
    assert planned[lenet.cell_id].reason == "the code of lenet has changed (layers.conv_rows; lenet.lenet)"
    assert planned[mlp.cell_id].reason == "the code of mlp has changed"
    assert outdated_notes(planned.values())[0] == (
        "1 cell is outdated: the code of lenet has changed (layers.conv_rows; lenet.lenet); a run trains anew, "
        "unless given --accept-code-changes"
    )
    # Accepted, or of a model whose code is not known.
    assert states(plan_cells(load(), folder)).count("done") == 2
    assert states(plan_cells(load(), folder, code={"lenet": ModelCode(None)})).count("done") == 2


@pytest.mark.parametrize("digest", [None, "b" * 16])
def test_a_record_of_the_same_code_or_from_before_codes_were_recorded_is_done(load, folder, digest):
    cell = next(cell for cell in load().selected if cell.model.name == "lenet")
    folder.write_record(of_code(record(cell), digest))
    (planned,) = plan_cells(load(seeds=[cell.seed], only=cell.label), folder, code=NEW_CODE)
    assert (planned.state, planned.reason) == ("done", None)


def test_a_checkpoint_of_other_code_is_not_gone_on_from(load, folder):
    cell = next(cell for cell in load().selected if cell.model.name == "lenet")
    save(folder, cell, num_epochs=1, code_digest="a" * 16)
    (planned,) = plan_cells(load(seeds=[cell.seed], only=cell.label), folder, code=NEW_CODE)
    assert (planned.state, planned.outcome, planned.num_epochs_saved) == ("outdated", None, None)
    (planned,) = plan_cells(load(seeds=[cell.seed], only=cell.label), folder)
    assert planned.state == "continue"


def test_todays_code_is_that_of_the_registry_and_what_changed_is_seen_in_the_folders_grid(load, folder):
    grid = load()
    assert model_code(grid, folder)["lenet"] == ModelCode(code_digest("lenet"), ())
    earlier = {**definition_digests("lenet"), "layers.conv_rows": "0" * 16, "layers.gone": "1" * 16}
    folder.write_grid(grid.resolved("cpu").model_copy(update={"code": {"lenet": earlier}}))
    found = model_code(grid, folder)
    assert found["lenet"].changed == ["layers.conv_rows", "layers.gone"]
    assert found["mlp"].changed == ()


def test_a_record_of_other_code_stays_when_it_is_replaced(load, folder):
    cell, *_ = load().selected
    old, new = of_code(record(cell, "diverged"), "a" * 16), of_code(record(cell), "b" * 16)
    folder.write_record(old)
    folder.write_record(new)
    folder.write_record(new)
    assert folder.read_record(cell.cell_id) == new
    kept = folder.record_path(cell.cell_id).with_name(f"{cell.cell_id}.{'a' * 16}.outdated.json")
    assert Record.read(kept) == old
    assert sorted(folder.record_path(cell.cell_id).parent.iterdir()) == sorted(
        [kept, folder.record_path(cell.cell_id)]
    )
    assert folder.record_ids() == [cell.cell_id]


def test_a_record_whose_cell_cannot_be_read_is_missing(load, folder):
    cell, *_ = load().selected
    plain = record(cell).model_dump()
    for told in ({}, [], None, {**plain["cell"], "model": None}, {**plain["cell"], "recipe": {"younger": 1}}):
        write_json(folder.record_path(cell.cell_id), {**plain, "cell": told}, Record.SCHEMA)
        assert states(plan_cells(load(seeds=[1], only=cell.label), folder)) == ["missing"]


def test_what_is_done_is_wanted_again_afresh(load, folder):
    cell, other, *_ = load().selected
    folder.write_record(record(cell))
    folder.write_record(record(other, "crashed"))
    planned = {one.cell.cell_id: one for one in plan_cells(load(), folder, fresh=True)}
    assert all(one.has_to_run and one.record is None for one in planned.values())
    assert (planned[cell.cell_id].state, planned[cell.cell_id].outcome) == ("again", "trained")
    assert (planned[other.cell_id].state, planned[other.cell_id].outcome) == ("missing", None)


def test_a_record_from_before_a_field_was_there_is_still_done(load, folder):
    cell, *_ = load().selected
    stored = record(cell)
    plain = stored.model_dump()
    for section, field in [("recipe", "label_smoothing"), ("data", "folder"), ("model", "batch_norm")]:
        del plain["cell"][section][field]
    folder.write_record(Record.parse(plain))
    assert states(plan_cells(load(seeds=[1], only=cell.label), folder)) == ["done"]


def test_a_folder_takes_more_seeds_models_and_hypotheses(load, folder):
    check_same_grid(load(), folder)  # there is no folder yet
    folder.write_grid(load().resolved("cpu"))
    check_same_grid(load(), folder)
    more = GRID.replace("[1, 0]", "5") + (
        "  - {name: mlp, recipe: {epochs: 9}}\n"
        "hypotheses:\n"
        "  - {id: a, says: b, metric: num_params, compare: [{hidden: 16, recipe: {lr: 0.1}}, {name: lenet, "
        "recipe: {lr: 0.1}}], expect: less, margin: 0}\n"
    )
    check_same_grid(load(more), folder)


@pytest.mark.parametrize(
    ("line", "changed", "num_done"),
    [
        ("resolution: 28", "resolution: 32", 0),
        ("epochs: 2", "epochs: 3, schedule: cosine", 0),
        ("lr: [0.1, 0.05]", "lr: 0.1", 4),
        ("lr: [0.1, 0.05]", "lr: [0.1, 0.02, 0.05]", 8),
        ("resolution: 28", "resolution: 28, train_size: [null, 600]", 8),
        ("hidden: 16", "hidden: [8, 16]", 8),
        ("seeds: [1, 0]", "seeds: [1, 2]", 4),
    ],
)
def test_a_changed_grid_keeps_the_cells_that_match(load, folder, line, changed, num_done):
    folder.write_grid(load().resolved("cpu"))
    for cell in load().cells:
        folder.write_record(record(cell))
    planned = load_plan(load(GRID.replace(line, changed)), folder)
    assert states(planned).count("done") == num_done
    assert set(states(planned)) <= {"done", "missing"}


ROOT = Path(__file__).parents[1]


def test_a_second_rate_for_the_finished_quickstart_leaves_only_what_is_new(load, folder):
    quickstart = (ROOT / "experiments" / "quickstart.yaml").read_text()
    finished = load(quickstart)
    folder.write_grid(finished.resolved("cpu"))
    for cell in finished.cells:
        folder.write_record(record(cell))
    assert set(states(load_plan(load(quickstart), folder))) == {"done"}
    narrowed = quickstart.replace("lr: 1e-2", "lr: [1e-2, 3e-3]").replace('"}\n', ', {recipe.lr}"}\n')
    for pattern in ("final_relu: false}", "final_relu: true}", "head: fc_linear}", "name: mlp}"):
        narrowed = narrowed.replace(pattern, f"{pattern[:-1]}, recipe: {{lr: 1e-2}}}}")
    grown = load(narrowed)
    assert len(grown.cells) == 2 * len(finished.cells)
    planned = load_plan(grown, folder)
    assert {one.cell.recipe.lr for one in planned if one.state == "done"} == {0.01}
    assert {one.cell.recipe.lr for one in planned if one.state == "missing"} == {0.003}


@pytest.mark.fashion
@pytest.mark.parametrize(
    ("path", "results", "num_reused"),
    [
        ("tests/frozen/results/lr_search/cpu/tuned.yaml", "tests/frozen/results", 72),
        ("experiments/nonlinearity.yaml", "results/reference", 36),  # NiN-2 and none
        ("experiments/datasize.yaml", "results/reference", 24),
    ],
)
def test_what_onexone_has_is_trained_in_no_other_grid(catalog, folder, path, results, num_reused):
    onexone = ResultsFolder(ROOT / results / "onexone" / "cpu")
    grid = Grid.load(ROOT / path, catalog, profile="cpu")
    planned = plan_cells(grid, folder, shared=Shared(OtherFolders([onexone]), "cpu"))
    assert states(planned).count("reuse") == num_reused
    to_run = {one.cell.cell_id for one in planned if one.has_to_run}
    assert len(to_run) == len(grid.cells) - num_reused
    assert not to_run & set(onexone.record_ids())


def test_a_folder_takes_no_other_grid(load, folder):
    folder.write_grid(load(GRID.replace("name: tiny", "name: other")).resolved("cpu"))
    with pytest.raises(ResultsError) as caught:
        check_same_grid(load(), folder)
    assert str(caught.value) == (
        f"{folder.path}: holds results of the grid 'other', not of 'tiny'; choose another folder with --results"
    )


def test_a_micro_batch_beside_batch_normalisation_is_refused_at_its_place(load):
    text = GRID.replace("epochs: 2,", "epochs: 2, micro_batch: [32, null],").replace(
        "activation: relu", "batch_norm: on"
    )
    with pytest.raises(InputError) as refused:
        check_networks(load(text).variants)
    assert str(refused.value) == (
        "grid.yaml:4:35: recipe.micro_batch[0]: lenet batch_norm=true micro_batch=32 lr=0.1: 32 does not go with "
        "batch normalisation, which would normalise over so many images and not over the batch; leave it out"
    )


def test_a_folder_whose_grid_is_torn_is_refused(load, folder):
    folder.write_grid(load().resolved("cpu"))
    folder.grid_path.write_text("{")
    with pytest.raises(ResultsError, match=r"grid\.json"):
        check_same_grid(load(), folder)


def test_a_plan_is_checked_and_writes_nothing(load, folder):
    assert states(load_plan(load(), folder)) == ["missing"] * 8
    assert not folder.path.exists()
    with pytest.raises(InputError, match="too small"):
        load_plan(load(overrides=["data.resolution=4"]), folder)
    folder.write_grid(load(GRID.replace("name: tiny", "name: other")).resolved("cpu"))
    with pytest.raises(ResultsError, match="the grid 'other'"):
        load_plan(load(), folder)


# What cells will take


def write_entry(folder: ResultsFolder, variant_id: str, **changes: Any) -> None:
    folder.path.mkdir(parents=True, exist_ok=True)
    write_costs(folder.path, variant_id, cost_entry(machine=OTHER_CPU), cost_entry(**changes))


def estimated_seconds(planned: list[PlannedCell], folder: ResultsFolder) -> dict[tuple[str, int], float | None]:
    cells = estimate_cells(planned, folder, CPU["fingerprint"], 2, RegistryCatalog().count_images)
    return {(one.cell.label, one.cell.seed): one.estimate.seconds for one in cells}


def test_cells_are_estimated_from_the_costs_of_this_machine(load, folder):
    grid = load()
    planned = plan_cells(grid, folder)
    lenet = next(one.cell for one in planned if one.cell.label == "lenet activation=relu lr=0.1")
    write_entry(folder, lenet.variant_id)
    # digits: 1,238 images to train on, 200 to validate with, 359 to test on; 800 and 3,200 images a second
    seconds = 2 + 2 * (1238 / 800 + 200 / 3200) + (1238 + 359) / 3200
    assert estimated_seconds(planned, folder) == {
        (lenet.label, 1): pytest.approx(seconds), (lenet.label, 0): pytest.approx(seconds),
        **{(one.cell.label, one.cell.seed): None for one in planned if one.cell.label != lenet.label},
    }  # fmt: skip
    first = estimate_cells(planned, folder, CPU["fingerprint"], 2, RegistryCatalog().count_images)[0].as_dict()
    assert (first["estimated_seconds"], first["estimated_memory_bytes"]) == (pytest.approx(seconds), 500_000_000)


def test_another_machine_s_costs_say_nothing(load, folder):
    planned = plan_cells(load(), folder)
    for one in planned:
        write_entry(folder, one.cell.variant_id, machine={**CPU, "fingerprint": "of a third machine"})
    assert set(estimated_seconds(planned, folder).values()) == {None}


def test_a_damaged_costs_file_gives_no_estimate(load, folder):
    planned = plan_cells(load(), folder)
    write_entry(folder, planned[0].cell.variant_id)
    path = folder.costs_path(planned[0].cell.variant_id)
    path.write_text(path.read_text()[:-20])
    assert set(estimated_seconds(planned, folder).values()) == {None}
