"""Build a network to look at it, not to train it. Needs torch."""

import torch
from torch import nn
from torch.nn.parameter import is_lazy

from nin_bench.errors import NinBenchError, SpecError, shown
from nin_bench.failures import failure_line
from nin_bench.models.registry import ImageSpec, build_model


def build_in_shape(name: str, image: ImageSpec, **arguments: object) -> nn.Module:
    """Build a network on the meta device, or with weights if its function looks at values, which shapes lack.

    Raises:
        SpecError: what `build_model` refuses; of `model`, where its function fails or returns no
            network, or one whose weights are not known yet, or have another precision.
    """
    network: object
    try:
        try:
            with torch.device("meta"):
                network = build_model(name, image, **arguments)
        except NinBenchError:
            raise
        except Exception:
            with torch.random.fork_rng(devices=[]):
                network = build_model(name, image, **arguments)
    except (NinBenchError, MemoryError, OSError):
        raise
    except Exception as failure:
        if "memory" in str(failure):
            raise  # no matter of the network alone
        raise SpecError("model", f"cannot be built: {failure_line(failure)}") from failure
    if not isinstance(network, nn.Module):
        raise SpecError("model", f"its function returned {shown(network)}, expected a torch.nn.Module")
    if any(is_lazy(weight) for weight in network.parameters()):
        raise SpecError("model", "it has lazy layers; give them the sizes of their inputs")
    for weight in network.parameters():
        if weight.is_floating_point() and weight.dtype != torch.float32:
            raise SpecError(
                "model",
                f"its weights are {weight.dtype}, expected torch.float32; recipe.precision is what lowers it",
            )
    return network
