"""`models` and `schema`: what a grid can hold."""

import json
import sys
from collections.abc import Iterable, Sequence
from contextlib import redirect_stdout
from importlib import resources
from typing import TYPE_CHECKING, Annotated, Any, Literal

import typer

from nin_bench.cli.options import JsonOption, OwnModelsOption, note, print_json, print_table, tell
from nin_bench.errors import InputError, SpecError

if TYPE_CHECKING:
    from nin_bench.cost import LayerCount, MemoryFormula, ModelCount

_COLUMNS = ("name", "type", "output_shape", "num_params", "num_macs")
_BATCHES = (1, 32, 128)
_PRECISIONS: tuple[Literal["fp32", "bf16"], ...] = ("fp32", "bf16")
_GB = 10**9
_MB = 10**6


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this model's layers.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="Set an argument of the model, such as pointwise=3."),
    ] = None,
    resolution: Annotated[int, typer.Option("--resolution", min=1, help="Height and width in pixels.")] = 224,
    channels: Annotated[int, typer.Option("--channels", min=1, help="1 for grey images, 3 for colour.")] = 1,
    classes: Annotated[int, typer.Option("--classes", min=1, help="Number of classes.")] = 10,
    deep: Annotated[bool, typer.Option("--deep", help="Print every layer, not only the blocks.")] = False,
    gigabytes: Annotated[
        float,
        typer.Option("--memory", min=0, max=1_000_000, metavar="GB", help="Memory that a batch should fit in."),
    ] = 6.0,
    own_models: OwnModelsOption = None,
    as_json: JsonOption = False,
) -> None:
    """List the registered models with their arguments, or print one model's layers and the memory it takes."""
    if name is None:
        _print_models(as_json)
        return
    from nin_bench.cell import Recipe
    from nin_bench.cost import count_memory, count_model
    from nin_bench.models import ImageSpec, resolve_arguments

    given = _arguments(overrides or ())
    try:
        spec = ImageSpec(channels=channels, resolution=resolution, num_classes=classes)
        arguments: dict[str, Any] = {**resolve_arguments(name, given)}
        with redirect_stdout(sys.stderr):  # where a network of one's own may print
            count = count_model(name, spec, **arguments)
            memories = [
                count_memory(name, spec, Recipe(precision=precision), **arguments) for precision in _PRECISIONS
            ]
    except SpecError as error:
        raise InputError(f"models {name}: {error}") from error
    layers = count.layers if deep else count.blocks
    if as_json:
        document = {
            "name": name,
            "num_params": count.num_params.total,
            "num_macs": count.num_macs.total,
            "layers": [{column: getattr(layer, column) for column in _COLUMNS} for layer in layers],
            "memory": [
                _memory_document(precision, memory, int(gigabytes * _GB))
                for precision, memory in zip(_PRECISIONS, memories, strict=True)
            ],
        }
        print_json(document)
        return
    print_table(_layer_rows(layers, count), num_left=3)
    tell("MACs: multiply-accumulates of convolutions and dense layers in one forward pass of one image.")
    tell("")
    print_table(_memory_rows(memories, gigabytes), num_left=1)
    tell("Memory: the network's tensors; what kernels borrow and the process itself come on top.")


def schema(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make it again, with the models of other packages.")
    ] = False,
) -> None:
    """Print the JSON Schema of grid files, for an editor to check and complete them."""
    if rebuild:
        from nin_bench.grid.schema import grid_schema

        typer.echo(json.dumps(grid_schema(), indent=1))
    else:  # read as a file, since importing the room of grids takes ten times as long
        typer.echo((resources.files("nin_bench") / "grid" / "grid.schema.json").read_text("utf-8").rstrip())


def _print_models(as_json: bool) -> None:
    from nin_bench.models import list_models, model_arguments, model_summary, unavailable_packages

    for line in unavailable_packages():
        note(line)

    if as_json:
        document = [
            {
                "name": name,
                "summary": model_summary(name),
                "arguments": {
                    key: {"default": argument.default, "description": argument.description}
                    for key, argument in model_arguments(name).items()
                },
            }
            for name in list_models()
        ]
        print_json(document)
        return
    for name in list_models():
        tell(f"{name}: {model_summary(name)}")
        for key, argument in model_arguments(name).items():
            default = json.dumps(argument.default).strip('"')
            tell(f"    {key}={default}  {argument.description} ({argument.allowed})")


def _layer_rows(layers: "Sequence[LayerCount]", count: "ModelCount") -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = [("layer", "type", "output shape", "parameters", "MACs")]
    rows += [
        (
            layer.name,
            layer.type,
            "×".join(map(str, layer.output_shape)),
            f"{layer.num_params:,}",
            f"{layer.num_macs:,}",
        )
        for layer in layers
    ]
    rows += [
        (title, "", "", f"{getattr(count.num_params, kind):,}", f"{getattr(count.num_macs, kind):,}")
        for title, kind in (
            ("total", "total"),
            ("in spatial convolutions", "convolution"),
            ("in 1×1 convolutions", "pointwise"),
            ("in dense layers", "dense"),
        )
    ]
    return rows


def _memory_rows(memories: "Sequence[MemoryFormula]", gigabytes: float) -> list[tuple[str, ...]]:
    def row(title: str, amounts: Iterable[int]) -> tuple[str, ...]:
        return (title, *(f"{amount / _MB:,.3f}" for amount in amounts))

    return [
        ("memory in MB, trained by plain SGD", *_PRECISIONS),
        row("weights", (memory.weights for memory in memories)),
        row("low-precision copies of weights", (memory.low_precision_copies for memory in memories)),
        row("gradients", (memory.gradients for memory in memories)),
        row("activations kept for backward, per image", (memory.activations.per_image for memory in memories)),
        *(
            row(f"peak in training, batch of {batch}", (memory.train_peak(batch) for memory in memories))
            for batch in _BATCHES
        ),
        *(
            row(f"peak in prediction, batch of {batch}", (memory.predict_peak(batch) for memory in memories))
            for batch in _BATCHES
        ),
        (
            f"largest batch that trains in {gigabytes:g} GB",
            *(f"{memory.largest_batch(int(gigabytes * _GB)):,}" for memory in memories),
        ),
    ]


def _memory_document(precision: str, memory: "MemoryFormula", budget_bytes: int) -> dict[str, Any]:
    return {
        "precision": precision,
        "optimizer": "sgd",
        "memory_bytes": memory.terms(),
        "peak_bytes": [
            {"batch_size": batch, "train": memory.train_peak(batch), "predict": memory.predict_peak(batch)}
            for batch in _BATCHES
        ],
        "budget_bytes": budget_bytes,
        "largest_batch": memory.largest_batch(budget_bytes),
    }


def _arguments(overrides: Sequence[str]) -> dict[str, Any]:
    from nin_bench.grid.yaml_source import parse_yaml

    given = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: write --set ARGUMENT=VALUE")
        given[key] = parse_yaml(value, f"--set {text}").plain()
    return given
