"""A network as bytes that other programs read: safetensors and ONNX, the latter held against PyTorch."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import onnxruntime
import torch
from safetensors.torch import save
from torch import Tensor, nn

from nin_bench.errors import ResultsError
from nin_bench.models import ImageSpec

TOLERANCE = 1e-3
"""By how much a logit under ONNX Runtime may differ, relative to the largest one of its image (or to 1)."""
BATCH = 100
"""Images in a forward pass; the last batch may be smaller, which a dynamic batch has to take."""


@dataclass(frozen=True)
class Parity:
    """How the ONNX file compares with the network that it was made from, both in fp32 on the CPU."""

    num_images: int
    max_difference: float
    """The largest difference of two logits."""
    num_other: int
    """Images of which the highest logit is another."""


def to_safetensors(model: nn.Module, metadata: Mapping[str, str]) -> bytes:
    """The network's state dict as safetensors, with texts that the file keeps beside the tensors."""
    tensors = {
        # of its own, in plain order: the format knows neither shared memory nor channels_last
        name: tensor.detach().clone(memory_format=torch.contiguous_format)
        for name, tensor in model.state_dict().items()
    }
    return save(tensors, {"format": "pt", **metadata})


def to_onnx(model: nn.Module, image: ImageSpec, metadata: Mapping[str, str]) -> bytes:
    """The network as ONNX: `images` (batch, C, H, W) float32 to `logits` (batch, classes), for any batch.

    Args:
        model: on the CPU, in evaluation mode.
        image: what it takes.
        metadata: texts that the file keeps beside the graph.

    Raises:
        ResultsError: PyTorch cannot export it.
    """
    example = torch.zeros(2, image.channels, image.resolution, image.resolution)
    try:
        program = torch.onnx.export(
            model,
            (example,),
            input_names=["images"],
            output_names=["logits"],
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            external_data=False,
            verbose=False,
        )
    except torch.onnx.OnnxExporterError as error:
        first = str(error).strip().splitlines()[0]
        raise ResultsError(f"PyTorch cannot write this network as ONNX: {first}; see torch.onnx.export") from error
    assert program is not None
    proto = program.model_proto
    for key, value in metadata.items():
        entry = proto.metadata_props.add()
        entry.key, entry.value = key, value
    content: bytes = proto.SerializeToString()
    return content


def check_parity(model: nn.Module, content: bytes, images: Tensor) -> Parity:
    """Run images through PyTorch and, from the bytes of an ONNX file, through ONNX Runtime.

    Args:
        model: on the CPU, in evaluation mode.
        content: of the file.
        images: (N, C, H, W) float32.

    Raises:
        ResultsError: a logit differs by more than `TOLERANCE`.
    """
    session = onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    differences, scales, num_other = [], [], 0
    with torch.inference_mode():
        for part in torch.split(images, BATCH):
            expected = model(part).float().numpy()
            [found] = session.run(["logits"], {"images": part.numpy()})
            differences.append(np.abs(found - expected).max(1))
            scales.append(np.maximum(np.abs(expected).max(1), 1))
            num_other += int((found.argmax(1) != expected.argmax(1)).sum())
    difference, scale = np.concatenate(differences), np.concatenate(scales)
    if not (difference <= TOLERANCE * scale).all():
        raise ResultsError(
            f"under ONNX Runtime {int((difference > TOLERANCE * scale).sum())} of {len(images)} test images have "
            f"other logits than in PyTorch, by up to {difference.max():.2g}; the network uses what ONNX cannot say"
        )
    return Parity(len(images), float(difference.max()), num_other)
