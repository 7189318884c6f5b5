"""Every grid that is shipped loads in every profile, and its networks can be built."""

import math
import shutil
import subprocess
from pathlib import Path

import jsonschema
import pytest

from nin_bench.catalog import check_networks
from nin_bench.grid import Grid
from nin_bench.grid.document import header_comment
from nin_bench.grid.schema import grid_schema
from nin_bench.grid.yaml_source import parse_yaml

EXPERIMENTS = Path(__file__).parent.parent / "experiments"


def shipped() -> list[Path]:
    """The grids that ship: in a checkout those that git knows, so that nobody's own grid is tested beside them."""
    every = sorted(EXPERIMENTS.glob("*.yaml"))
    git = shutil.which("git") or "false"
    known = subprocess.run([git, "-C", EXPERIMENTS, "ls-files"], capture_output=True, text=True, check=False)
    names = known.stdout.split() or [path.name for path in every]
    return [path for path in every if path.name in names]


GRIDS = shipped()


def profiles(path: Path) -> list[str]:
    return ["full", *parse_yaml(path.read_text(encoding="utf-8"), path.name).plain().get("profiles", {})]


@pytest.mark.parametrize(
    ("path", "profile"),
    [pytest.param(path, profile, id=f"{path.stem}-{profile}") for path in GRIDS for profile in profiles(path)],
)
def test_it_loads_in_every_profile_and_its_networks_can_be_built(path, profile, catalog):
    grid = Grid.load(path, catalog, profile=profile)
    check_networks(grid.variants)
    assert grid.name == path.stem
    assert grid.hypotheses or grid.references or grid.search
    assert grid.baseline is not None


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_it_opens_with_its_question_how_to_run_it_and_what_to_expect(path):
    text = path.read_text(encoding="utf-8")
    assert header_comment(text, "Question").endswith("?")
    fields = parse_yaml(text, path.name).value
    then_run = " --then-run" if "hypotheses" in fields else ""
    searched = f"search --grid experiments/{path.name}{then_run}"
    command = searched if "search" in fields else f"run --grid experiments/{path.name}"
    costs_alone = f"measure --grid experiments/{path.name}"  # of a grid whose claims are all about costs
    assert header_comment(text, "Run") in (f"python -m nin_bench {command}", f"python -m nin_bench {costs_alone}")
    assert header_comment(text, "Expect")


@pytest.mark.parametrize("path", GRIDS, ids=lambda path: path.stem)
def test_an_editor_finds_its_schema_and_nothing_wrong(path):
    text = path.read_text(encoding="utf-8")
    first = text.splitlines()[0]
    assert first == "# yaml-language-server: $schema=../nin_bench/grid/grid.schema.json"
    assert (path.parent / first.partition("$schema=")[2]).is_file()
    jsonschema.validate(parse_yaml(text, path.name).plain(), grid_schema())


@pytest.mark.parametrize("profile", ["full", "cpu"])
def test_datasize_trains_on_each_number_of_images_for_as_many_steps(profile, catalog):
    grid = Grid.load(EXPERIMENTS / "datasize.yaml", catalog, profile=profile)
    steps: dict[int, set[int]] = {}
    for cell in grid.cells:
        per_epoch = math.ceil(cell.data.train_size / cell.recipe.batch_size)
        steps.setdefault(cell.data.train_size, set()).add(cell.recipe.epochs * per_epoch)
    found = {"full": {1500: 3840, 6000: 3760, 24000: 3760}, "cpu": {1500: 2256, 6000: 2256, 24000: 2250}}
    assert steps == {size: {count} for size, count in found[profile].items()}
    assert len(grid.cells) == 2 * 3 * 12


def test_the_first_two_heads_differ_in_one_thing(catalog):
    for profile in ("full", "cpu"):
        pooled, flat, *_ = Grid.load(EXPERIMENTS / "head.yaml", catalog, profile=profile).variants
        assert (pooled.data, pooled.recipe) == (flat.data, flat.recipe)
        differing = {key for key, value in pooled.model.arguments.items() if flat.model.arguments[key] != value}
        assert differing == {"head"}
