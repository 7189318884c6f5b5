"""What layers compute in, and where PyTorch can train in it."""

from functools import cache
from typing import get_args

import torch
from torch import nn

from nin_bench.cell import Precision, Recipe
from nin_bench.errors import SpecError

AUTOCAST: dict[Precision, torch.dtype | None] = {"fp32": None, "bf16": torch.bfloat16, "fp16": torch.float16}
"""What convolutions and dense layers compute in; None in the weights' own."""

assert set(AUTOCAST) == set(get_args(Precision))


def check_precision(recipe: Recipe, device: torch.device) -> None:
    """Refuse a precision that PyTorch cannot train in on a device; SpecError of `precision`."""
    if recipe.precision == "fp16" and (why := _why_not_fp16(device)) is not None:
        raise SpecError(
            "precision", f"'fp16' cannot be trained on {device.type} by this PyTorch ({why}); use bf16, or a GPU"
        )


@cache
def _why_not_fp16(device: torch.device) -> str | None:
    """What PyTorch says to a step in fp16; None if it can."""
    try:
        layer = nn.Conv2d(1, 1, 3).to(device)
        with torch.autocast(device.type, torch.float16):
            layer(torch.ones(1, 1, 3, 3, device=device)).sum().backward()
    except RuntimeError as error:
        return " ".join(str(error).split())
    return None
