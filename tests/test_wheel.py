"""What users install: the wheel, in an empty folder; and the versions that CI runs with."""

import os
import subprocess
import sys
import tomllib
from pathlib import Path
from zipfile import ZipFile

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

ROOT = Path(__file__).parent.parent


@pytest.fixture(scope="module")
def installed(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The unpacked wheel."""
    folder = tmp_path_factory.mktemp("wheel")
    build = [sys.executable, "-m", "hatchling", "build", "--target", "wheel", "--directory", str(folder)]
    subprocess.run(build, cwd=ROOT, capture_output=True, check=True)
    (wheel,) = folder.glob("*.whl")
    with ZipFile(wheel) as archive:
        archive.extractall(folder / "site")
    return folder / "site"


def test_it_holds_the_grids_and_every_file_that_is_no_python(installed):
    def files(folder: Path) -> set[str]:
        every = (path for path in folder.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
        return {path.relative_to(folder).as_posix() for path in every}

    grids = {f"experiments/{path.name}" for path in (ROOT / "experiments").glob("*.yaml")}
    assert files(installed / "nin_bench") == files(ROOT / "nin_bench") | grids


def test_a_shipped_grid_is_found_in_an_empty_folder(installed, tmp_path):
    environment = {**os.environ, "PYTHONPATH": str(installed)}
    plan = [sys.executable, "-m", "nin_bench", "plan", "--grid", "quickstart"]
    done = subprocess.run(plan, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "to run, 0 done" in done.stdout


def test_every_dependency_is_pinned_to_a_version_that_it_allows():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    groups = project["dependency-groups"]
    named = [*project["project"]["dependencies"], *groups["test"], *groups["lint"], *groups["audit"]]
    pins = {
        canonicalize_name(pin.name): str(pin.specifier).removeprefix("==")
        for pin in map(Requirement, (ROOT / "constraints.txt").read_text().splitlines())
    }
    for requirement in map(Requirement, named):
        assert pins[canonicalize_name(requirement.name)] in requirement.specifier, f"{requirement}: make lock"
