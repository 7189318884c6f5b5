"""`export`."""

from importlib.util import find_spec
from pathlib import Path
from typing import Annotated

import typer

from nin_bench.cli.options import DataDirOption, DeviceOption, FolderArgument, OwnModelsOption, named_path, tell
from nin_bench.errors import InputError

NEEDED = ("onnx", "onnxruntime", "onnxscript", "safetensors")
"""The packages of the extra `export`."""


def export(
    folder: FolderArgument,
    out: Annotated[
        Path, typer.Option("--out", metavar="DIR", parser=named_path, help="The folder for the three files.")
    ],
    cell: Annotated[
        str | None, typer.Option("--cell", metavar="ID", help="Which trained cell; its id may be shortened.")
    ] = None,
    variant: Annotated[
        str | None,
        typer.Option(
            "--variant", metavar="LABEL", help="Of this variant the seed that did best on validation images."
        ),
    ] = None,
    own_models: OwnModelsOption = None,
    data_dir: DataDirOption = None,
    device: DeviceOption = "auto",
) -> None:
    """Export a trained network as safetensors and ONNX, with a model card; its weights must have been kept."""
    if (cell is None) == (variant is None):
        raise InputError("name one network: --cell ID, or --variant LABEL for its best seed by validation")
    if missing := [name for name in NEEDED if find_spec(name) is None]:
        raise InputError(f"export needs {', '.join(missing)}; install them with: pip install 'nin-bench[export]'")
    from nin_bench.export.choice import best_of_variant, named_cell
    from nin_bench.export.write import export_network
    from nin_bench.results import load_results
    from nin_bench.runner.session import choose_slots

    results = load_results(folder)
    choice = named_cell(results, cell) if cell is not None else best_of_variant(results, variant or "")
    [slot, *_] = choose_slots(results.grid.device_kind if device == "auto" else device, 1)
    exported = export_network(results, choice, out, data_dir=data_dir, slot=slot)
    record, network, parity = choice.record, exported.network, exported.parity
    among = f", the best of {choice.num_candidates} by validation accuracy" if choice.num_candidates > 1 else ""
    same = network.num_images - network.num_other
    tell(f"network: {record.label} seed {record.cell.seed}{among}")
    tell(f"predictions: as recorded for {same:,} of {network.num_images:,} test images")
    difference, count = f"{parity.max_difference:.1e}", f"{parity.num_images:,}"
    tell(f"ONNX Runtime: logits differ by at most {difference} on {count} test images")
    for path in exported.paths:
        tell(f"written: {path}")
