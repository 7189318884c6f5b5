"""A catalog of two models and two datasets, and grids that are written in the test that reads them."""

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest

from nin_bench.cell import DataSpec, ModelSpec, Scalar
from nin_bench.errors import InputError, SpecError, unknown_name
from nin_bench.grid import Grid
from nin_bench.grid.entries import Size

HEAD = "schema: 1\nname: tiny\ndata: {name: dots}\n"
"""What `load` puts before a test's text, so that this begins on line 4."""

MODELS: dict[str, dict[str, Scalar]] = {"net": {"depth": 2, "head": "gap", "relu": True, "width": 1.0}, "flat": {}}
DATASETS = {"dots": 8, "lines": 16}


class TinyCatalog:
    """`net`, whose depth is 0 or more and whose head is gap or fc, and `flat`, without arguments.

    A `net` has 8 channels at width 1, each with 10 parameters and as many for every layer of depth; a fully
    connected head takes 1,000 more.
    """

    def resolve_model(self, name: str, arguments: Mapping[str, object]) -> ModelSpec:
        if name not in MODELS:
            raise SpecError("name", unknown_name("model", name, MODELS))
        resolved = dict(MODELS[name])
        for key, value in arguments.items():
            if key not in resolved:
                raise SpecError(key, unknown_name(f"{name} argument", key, resolved))
            if key == "head" and value not in ("gap", "fc"):
                raise SpecError(key, unknown_name(key, value, ["gap", "fc"]))
            if key == "depth" and (type(value) is not int or value < 0):
                raise SpecError(key, f"{value!r} is not a number of layers; use 0 or more")
            resolved[key] = float(value) if type(value) is int and key == "width" else value
        return ModelSpec(name=name, arguments=resolved, defaults=MODELS[name])

    def resolve_data(self, spec: DataSpec) -> DataSpec:
        if spec.name not in DATASETS:
            raise SpecError("name", unknown_name("dataset", spec.name, DATASETS))
        if spec.folder == "":
            raise SpecError("validation_size", "missing; an empty folder needs one")
        return spec.model_copy(
            update={
                "resolution": spec.resolution or DATASETS[spec.name],
                "validation_size": 10 if spec.validation_size is None else spec.validation_size,
            }
        )

    def class_names(self, data: DataSpec) -> list[str]:
        return ["thick", "thin"] if data.name == "lines" else ["few", "many"]

    def count(self, model: ModelSpec, data: DataSpec, size: Size) -> int:
        if model.name == "flat":
            return 100
        width, depth, head = (model.arguments[key] for key in ("width", "depth", "head"))
        channels = math.floor(8 * width + 0.5)
        if channels < 1:
            raise SpecError("width", f"{width:g} leaves no channel; use 0.0625 or more")
        num_params = 10 * channels * (1 + depth) + (1000 if head == "fc" else 0)
        return num_params if size == "num_params" else num_params * data.resolution**2


@pytest.fixture(scope="session")
def tiny() -> TinyCatalog:
    return TinyCatalog()


@pytest.fixture
def load(tmp_path, monkeypatch, tiny) -> Callable[..., Grid]:
    """Load a grid of the text that follows `HEAD`, from a file that errors name `grid.yaml`."""
    monkeypatch.chdir(tmp_path)

    def load(body: str, head: str = HEAD, **options: object) -> Grid:
        Path("grid.yaml").write_text(head + body, encoding="utf-8")
        return Grid.load(Path("grid.yaml"), tiny, **options)

    return load


@pytest.fixture
def refusals(load) -> Callable[..., list[str]]:
    """What a grid that cannot be loaded is answered with, a line for each mistake."""

    def refusals(body: str, **options: object) -> list[str]:
        with pytest.raises(InputError) as caught:
            load(body, **options)
        return str(caught.value).splitlines()

    return refusals


@pytest.fixture
def refusal(load) -> Callable[..., str]:
    """What a grid that cannot be loaded is answered with."""

    def refusal(body: str, **options: object) -> str:
        with pytest.raises(InputError) as caught:
            load(body, **options)
        assert "\n" not in str(caught.value)
        return str(caught.value)

    return refusal
