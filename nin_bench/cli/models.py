"""`models` and `schema`: what a grid can hold."""

import json
from collections.abc import Sequence
from dataclasses import asdict
from typing import Annotated, Any

import typer

from nin_bench.cli.options import JsonOption, print_json
from nin_bench.errors import InputError, SpecError


def models(
    name: Annotated[str | None, typer.Argument(metavar="[NAME]", help="Print this model's layers.")] = None,
    overrides: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="K=V", help="An argument of the model, as pointwise=3."),
    ] = None,
    resolution: Annotated[int, typer.Option("--resolution", min=1, help="Height and width in pixels.")] = 224,
    channels: Annotated[int, typer.Option("--channels", min=1, help="1 for grey images, 3 for colour.")] = 1,
    classes: Annotated[int, typer.Option("--classes", min=1, help="Number of classes.")] = 10,
    deep: Annotated[bool, typer.Option("--deep", help="Every layer, not the blocks alone.")] = False,
    as_json: JsonOption = False,
) -> None:
    """List the registered models with their arguments, or print one model's layers."""
    if name is None:
        _print_models(as_json)
    else:
        _print_layers(name, overrides or [], (channels, resolution, classes), deep=deep, as_json=as_json)


def schema(
    rebuild: Annotated[
        bool, typer.Option("--rebuild", help="Make it anew, with models that other packages registered.")
    ] = False,
) -> None:
    """Print the JSON Schema of grid files, for an editor to check and complete them."""
    from nin_bench.grid.schema import grid_schema, shipped_schema

    typer.echo(json.dumps(grid_schema(), indent=1) if rebuild else shipped_schema().rstrip())


def _print_models(as_json: bool) -> None:
    from nin_bench.models import list_models, model_arguments, model_summary

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
        typer.echo(f"{name}: {model_summary(name)}")
        for key, argument in model_arguments(name).items():
            default = json.dumps(argument.default).strip('"')
            typer.echo(f"    {key}={default}  {argument.description} ({argument.allowed})")


def _print_layers(
    name: str, overrides: Sequence[str], image: tuple[int, int, int], *, deep: bool, as_json: bool
) -> None:
    from nin_bench.cost import count_cost, count_layers
    from nin_bench.models import ImageSpec, resolve_arguments

    given = _arguments(overrides)
    channels, resolution, classes = image
    spec = ImageSpec(channels=channels, resolution=resolution, num_classes=classes)
    try:
        arguments = resolve_arguments(name, given)
        layers = count_layers(name, spec, deep=deep, **arguments)
        cost = count_cost(name, spec, **arguments)
    except SpecError as error:
        raise InputError(f"models {name}: {error}") from error
    if as_json:
        document = {
            "name": name,
            "num_params": cost.num_params.total,
            "num_macs": cost.num_macs.total,
            "layers": [asdict(layer) for layer in layers],
        }
        print_json(document)
        return
    rows = [("layer", "type", "output shape", "parameters", "MACs")]
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
        (title, "", "", f"{getattr(cost.num_params, kind):,}", f"{getattr(cost.num_macs, kind):,}")
        for title, kind in (
            ("total", "total"),
            ("in spatial convolutions", "convolution"),
            ("in 1×1 convolutions", "pointwise"),
            ("in dense layers", "dense"),
        )
    ]
    widths = [max(len(row[column]) for row in rows) for column in range(5)]
    for row in rows:
        left = "  ".join(f"{row[column]:{widths[column]}}" for column in range(3))
        typer.echo(f"{left}  {row[3]:>{widths[3]}}  {row[4]:>{widths[4]}}")
    typer.echo("MACs: multiply-accumulates of convolutions and dense layers in one forward pass of one image.")


def _arguments(overrides: Sequence[str]) -> dict[str, Any]:
    from nin_bench.yaml_source import parse_yaml

    given = {}
    for text in overrides:
        key, equals, value = text.partition("=")
        if not equals:
            raise InputError(f"--set {text}: write --set ARGUMENT=VALUE")
        given[key] = parse_yaml(value, f"--set {text}").plain()
    return given
