"""Count the memory of a model as a formula in the batch size, to the byte, before anything is allocated.

The trainer's own step and evaluation run on fake tensors, which have shapes, types and storages, but no values.
Saved-tensor hooks record what backward keeps; a dispatch mode follows what is alive from operation to operation.
Everything is linear in the number of images that pass at once, so two sizes give the formula.

All tensors of the network are counted. What kernels borrow while they run (workspaces of oneDNN and cuDNN), the
dataset and the process around them come on top, and are measured.

This is the only module that uses fake tensors. It relies on PyTorch internals in three places: the exception by
which a fake tensor refuses to give its value, `UntypedStorage._cdata` as a storage's identity, and the name of
a leaf's autograd node. An assertion fails if one of them changes.
"""

import weakref
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn
from torch._subclasses.fake_tensor import DataDependentOutputException, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode

from nin_bench.cell import Recipe
from nin_bench.cost.counting import tensors_in
from nin_bench.data.batches import ImageBatches
from nin_bench.errors import SpecError
from nin_bench.models import ImageSpec, build_model
from nin_bench.training.evaluation import Images
from nin_bench.training.trainer import Trainer

_SIZES = (2, 3)
"""Images of the two passes that give the formula; batch normalisation may refuse a single one."""


@dataclass(frozen=True, order=True)
class Line:
    """Bytes that grow with the number of images at once."""

    per_image: int
    fixed: int

    def at(self, num_images: int) -> int:
        """Bytes for so many images."""
        return self.fixed + self.per_image * num_images


@dataclass(frozen=True)
class MemoryFormula:
    """Bytes that one model takes under one recipe."""

    weights: int
    """Parameters and, with batch normalisation, its running statistics."""
    low_precision_copies: int
    """Weights that are cast for the forward pass and kept for the backward pass; 0 in fp32."""
    gradients: int
    optimizer: int
    """State between two steps, the running mean of weights (`ema`) included."""
    activations: Line
    """What a forward pass keeps for its backward pass, each storage once: inputs of layers, pooling indices,
    dropout masks, labels; without weights, their copies and the images."""
    input_per_image: int
    """The image itself, float32."""
    train_moments: tuple[Line, ...]
    """Everything that is alive, weights included, at the moments of a training step that can be its peak."""
    predict_moments: tuple[Line, ...]
    """Everything that is alive in an evaluation, which has no gradients and no optimizer state."""
    micro_batch: int | None
    """Images that pass at once; None if the batch passes whole. A batch is taken to have at least two
    micro-batches: from the second on there are gradients to add to."""

    def train_sum(self, batch_size: int) -> int:
        """The sum of all parts of a training step. It is above the peak, since they are not alive together."""
        images = self._at_once(batch_size)
        weights = self.weights + self.low_precision_copies + self.gradients + self.optimizer
        return weights + self.activations.at(images) + self.input_per_image * images

    def train_peak(self, batch_size: int) -> int:
        """The most that is alive at once in a training step, temporaries included."""
        return _peak(self.train_moments, self._at_once(batch_size))

    def predict_peak(self, batch_size: int) -> int:
        """The most that is alive at once in an evaluation of so many images, all passed at once."""
        return _peak(self.predict_moments, batch_size)

    @property
    def predict_per_image(self) -> int:
        """By how much one image more raises the peak of an evaluation, in large batches."""
        return max(self.predict_moments).per_image

    def largest_batch(self, budget_bytes: int) -> int | None:
        """The largest batch whose training fits: 0 if not even one image fits, None if every batch fits.

        If the micro-batch fits, every batch does, since memory does not depend on the number of micro-batches.
        """
        fits = min(max((budget_bytes - moment.fixed) // moment.per_image, 0) for moment in self.train_moments)
        return None if self.micro_batch is not None and fits >= self.micro_batch else fits

    def terms(self) -> dict[str, int]:
        """The terms of the formula by name; they do not depend on the batch size."""
        return {
            "weights": self.weights,
            "low_precision_copies": self.low_precision_copies,
            "gradients": self.gradients,
            "optimizer": self.optimizer,
            "activations_per_image": self.activations.per_image,
            "activations_fixed": self.activations.fixed,
            "input_per_image": self.input_per_image,
            "predict_per_image": self.predict_per_image,
        }

    def _at_once(self, batch_size: int) -> int:
        return min(batch_size, self.micro_batch or batch_size)


def count_memory(
    name: str, image: ImageSpec, recipe: Recipe, *, device: torch.device | str = "cpu", **arguments: object
) -> MemoryFormula:
    """Count the memory of a model in training and in evaluation.

    The recipe's batch size does not matter. The device has to be there: dropout, for one, keeps other masks on a
    GPU.

    Raises:
        SpecError: what `build_model` refuses, and micro-batches with batch normalisation; of `forward`, for a
            network that looks at values, which shapes alone do not have.
    """
    try:
        return _count_memory(name, image, recipe, torch.device(device), arguments)
    except SpecError:
        raise
    except Exception as failure:  # whatever a network makes of values that are not there
        told = f"{type(failure).__name__}: {' '.join(str(failure).split())}"
        raise SpecError("forward", f"its memory cannot be told from shapes alone ({told})") from failure


def _count_memory(
    name: str, image: ImageSpec, recipe: Recipe, device: torch.device, arguments: Mapping[str, object]
) -> MemoryFormula:
    with torch.random.fork_rng(devices=[]), FakeTensorMode():
        with torch.device(device):
            model = build_model(name, image, **arguments)
        # RandAugment and the scaling of losses read values, and hold next to nothing; fake weights have no copies.
        trainer = Trainer(
            model,
            recipe.model_copy(update={"rand_augment": 0, "ema": 0.0}),
            _blank_images(image, device),
            seed=0,
            chance_loss=0.0,
        )
        trainer.scaler = torch.amp.GradScaler(enabled=False)
        predicting = [_follow_evaluation(trainer, size) for size in _SIZES]
        _follow_step(trainer, _SIZES[0])  # the first makes the optimizer's state
        steps = [_follow_step(trainer, size) for size in _SIZES]
        weights = [*model.parameters(), *model.buffers()]
        views = [weight.detach().view(-1) for weight in weights]
        assert _storages(weights).keys() == _storages(views).keys(), "a view has another storage than its tensor"
        # The first layer's are not kept, as images need no gradient; a linear classifier has no others.
        has_copies = recipe.precision != "fp32" and sum(weight.dim() > 1 for weight in weights) > 1
        assert steps[0].copies or not has_copies, "weights that were cast were not recognised"
        averaged = _num_bytes(weights) if recipe.ema else 0
        return MemoryFormula(
            weights=_num_bytes(weights),
            low_precision_copies=steps[0].copies,
            gradients=_num_bytes(parameter.grad for parameter in model.parameters()),
            optimizer=_num_bytes(tensors_in(trainer.optimizer.state)) + averaged,
            activations=_line(*(step.activations for step in steps)),
            input_per_image=_line(*(step.inputs for step in steps)).per_image,
            train_moments=_raised(_highest(*(step.moments for step in steps)), averaged),
            predict_moments=_raised(_highest(*predicting), averaged),
            micro_batch=recipe.fixed_micro_batch,
        )


@dataclass(frozen=True)
class _Step:
    """What one training step held, in bytes."""

    moments: list[int]
    """Alive after each operation."""
    activations: int
    copies: int
    inputs: int


def _follow_step(trainer: Trainer, size: int) -> _Step:
    """One step over so many images, or over two micro-batches of so many where the recipe has micro-batches.

    The second micro-batch finds the gradients of the first, and so does every one after it.
    """
    parts = 1 if trainer.recipe.fixed_micro_batch is None else 2
    trainer.recipe = trainer.recipe.model_copy(
        update={"batch_size": parts * size, "micro_batch": None if parts == 1 else size}
    )
    trainer.model.train()
    indices = torch.arange(parts * size)
    alive = _Alive(trainer)
    with _note_saved(trainer.model) as saved, alive:
        trainer.step(indices)
    assert saved.activations, "no saved-tensor hook was called"
    return _Step(alive.moments, sum(saved.activations.values()), sum(saved.copies.values()), saved.inputs)


def _follow_evaluation(trainer: Trainer, size: int) -> list[int]:
    """Bytes alive after each operation of an evaluation of so many images, up to where it reads its loss."""
    images = Images(trainer.train.batches, torch.arange(size))
    alive = _Alive(trainer)
    with alive, suppress(DataDependentOutputException):
        trainer.evaluate(images)
    return alive.moments


class _Alive(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, note after each operation how many bytes of tensors are alive.

    PyTorch's own MemTracker gives only the peak, not the moments that make the formula, and refuses a network that
    is called twice. The trainer's weights, buffers, gradients and optimizer state count from the start.
    """

    def __init__(self, trainer: Trainer) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.moments: list[int] = []
        self._bytes = 0
        self._storages: dict[int, weakref.ref[torch.UntypedStorage]] = {}
        weights = list(trainer.model.parameters())
        self._watch([*weights, *trainer.model.buffers(), *(weight.grad for weight in weights)])
        self._watch(tensors_in(trainer.optimizer.state))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch.ops.aten.native_batch_norm.default:
            # Kernels keep a batch's statistics in float32; their fake twin takes the maps' own type.
            maps, *statistics = result
            result = maps, *(values.float() for values in statistics)
        self._watch(tensors_in(result))
        self.moments.append(self._bytes)
        return result

    def _watch(self, values: Iterable[object]) -> None:
        for key, storage in _storages(values).items():
            if key not in self._storages:
                self._storages[key] = weakref.ref(storage, partial(self._forget, key, storage.nbytes()))
                self._bytes += storage.nbytes()

    def _forget(self, key: int, num_bytes: int, _: object) -> None:
        del self._storages[key]
        self._bytes -= num_bytes


class _Saved:
    """What a network's last forward pass and its loss keep for backward: bytes of storages by their identity."""

    def __init__(self, model: nn.Module) -> None:
        self._weights = set(_storages([*model.parameters(), *model.buffers()]))
        self.begin_pass(model, ())

    def begin_pass(self, _: nn.Module, inputs: tuple[object, ...]) -> None:
        self._inputs = set(_storages(inputs))  # identities alone: a storage that is held here would stay alive
        self.inputs = _num_bytes(inputs)
        self.activations: dict[int, int] = {}
        self.copies: dict[int, int] = {}

    def pack(self, saved: Tensor) -> Tensor:
        for key, storage in _storages([saved]).items():
            if key not in self._weights and key not in self._inputs:
                into = self.copies if _follows_from_a_weight_alone(saved) else self.activations
                into[key] = storage.nbytes()
        return saved


@contextmanager
def _note_saved(model: nn.Module) -> Iterator[_Saved]:
    """Record what a network's forward passes keep, each pass anew."""
    saved = _Saved(model)
    hook = model.register_forward_pre_hook(saved.begin_pass)
    try:
        with torch.autograd.graph.saved_tensors_hooks(saved.pack, lambda kept: kept):
            yield saved
    finally:
        hook.remove()


def _follows_from_a_weight_alone(tensor: Tensor) -> bool:
    """Whether it is a weight that was cast, or a view of one, and no layer's output."""
    node = tensor.grad_fn
    while node is not None and len(node.next_functions) == 1:
        node = node.next_functions[0][0]
    return type(node).__name__ == "AccumulateGrad"


def _storages(values: Iterable[object]) -> dict[int, torch.UntypedStorage]:
    """The storages of the values that are tensors, each once, by its identity; fake storages have no address."""
    storages = (value.untyped_storage() for value in values if isinstance(value, Tensor))
    return {storage._cdata: storage for storage in storages}


def _num_bytes(values: Iterable[object]) -> int:
    return sum(storage.nbytes() for storage in _storages(values).values())


def _line(first: int, second: int) -> Line:
    """The line through the bytes at the two sizes."""
    (small, large) = _SIZES
    per_image, rest = divmod(second - first, large - small)
    assert rest == 0
    return Line(per_image, fixed=first - small * per_image)


def _highest(first: list[int], second: list[int]) -> tuple[Line, ...]:
    """The moments that are the highest for some number of images."""
    highest: list[Line] = []
    for line in sorted({_line(*pair) for pair in zip(first, second, strict=True)}, reverse=True):
        if not highest or line.fixed > highest[-1].fixed:
            highest.append(line)
    return tuple(highest)


def _raised(moments: Iterable[Line], num_bytes: int) -> tuple[Line, ...]:
    """The moments with so much more alive all the time."""
    return tuple(Line(moment.per_image, moment.fixed + num_bytes) for moment in moments)


def _peak(moments: Iterable[Line], num_images: int) -> int:
    return max(moment.at(num_images) for moment in moments)


def _blank_images(image: ImageSpec, device: torch.device | str) -> Images:
    """Images for two passes of the larger size."""
    num_images = 2 * max(_SIZES)
    pixels = torch.zeros(num_images, image.channels, image.resolution, image.resolution, dtype=torch.uint8)
    labels = torch.zeros(num_images, dtype=torch.int64)
    return Images(ImageBatches(pixels, labels, image.resolution, device=device), torch.arange(num_images))
