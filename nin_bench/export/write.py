"""Write an exported network: model.safetensors, model.onnx and README.md."""

import json
from dataclasses import dataclass
from pathlib import Path

from nin_bench.executors import Slot
from nin_bench.export.card import Card, model_card
from nin_bench.export.choice import Choice
from nin_bench.export.formats import Parity, check_parity, to_onnx, to_safetensors
from nin_bench.export.network import Network, rebuild, test_images
from nin_bench.files import write_atomically
from nin_bench.results import Results, ResultsFolder

PARITY_IMAGES = 1_000
"""Test images that PyTorch and ONNX Runtime are compared on."""


@dataclass(frozen=True)
class Exported:
    """What was written, and how it compares with the record."""

    network: Network
    parity: Parity
    paths: list[Path]


def export_network(results: Results, choice: Choice, out: Path, *, data_dir: Path | None, slot: Slot) -> Exported:
    """Export a recorded network; nothing is written unless it still predicts what the record says.

    Raises:
        InputError: the model is not there, or its code has changed; the data cannot be had.
        ResultsError: weights were not kept or are damaged, the network does not predict what was recorded, it
            cannot be exported, or `out` cannot be written.
    """
    record = choice.record
    network = rebuild(ResultsFolder(results.folder), record, data_dir=data_dir, slot=slot)
    metadata = {
        "cell_id": record.cell_id,
        "model": json.dumps(network.cell.model.as_dict()),
        "classes": json.dumps(network.dataset.classes),
    }
    onnx = to_onnx(network.model, network.image, metadata)
    parity = check_parity(network.model, onnx, test_images(network, PARITY_IMAGES))
    files: dict[str, bytes] = {"model.onnx": onnx, "model.safetensors": to_safetensors(network.model, metadata)}
    sizes = {name: len(content) for name, content in files.items()}
    files["README.md"] = model_card(Card(results, choice, network, parity, sizes)).encode()
    for name, content in files.items():
        write_atomically(out / name, content)
    return Exported(network, parity, [out / name for name in files])
