"""Count the parameters, MACs and FLOPs of a model, layer by layer, exactly, on the meta device.

A MAC is one multiplication and the addition that goes with it, two FLOPs. Counted are convolutions and matrix
products, of modules and of functions alike, for one image, forward, by PyTorch's own formulas
(`torch.utils.flop_counter`). Adding a bias, normalising, pooling and activations are not counted.
"""

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from contextlib import ExitStack
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils.flop_counter import flop_registry

from nin_bench.errors import SpecError, some_of
from nin_bench.models import ImageSpec, build_model
from nin_bench.models.in_shape import build_in_shape
from nin_bench.results.cost_entry import Breakdown, Kind
from nin_bench.training.trainer import MODE_CHANGES

_aten = torch.ops.aten
_ADDS_A_BIAS = (_aten.addmm, _aten.baddbmm)
"""Products whose first operand is added to them."""


@dataclass(frozen=True)
class LayerCount:
    """What a layer, or a block of layers, takes for one image."""

    name: str
    """The place of the layer in the network: ``block1``, or ``block1.pointwise2``."""
    type: str
    """The class of the layer: ``NiNBlock``, ``Conv2d``, ``MaxPool2d``."""
    kind: Kind
    """The kind of the products that take most of its MACs; `other` without any."""
    output_shape: tuple[int, ...]
    """With a batch of one."""
    num_params: int
    """Biases included."""
    num_macs: int
    num_values: int
    """Values read and written, weights left out."""
    num_weights_read: int
    """The parameters that it reads, as often as it is called."""


@dataclass(frozen=True)
class ModelCount:
    """What a model takes for one image, in exact integers."""

    num_params: Breakdown
    num_macs: Breakdown
    first_dense_weights: int | None
    """Weights of the first dense layer, its bias left out; None without a dense layer."""
    training_flops: int
    """Forward and backward, optimizer left out: two for each MAC forward, and as many for the gradient of each of
    its two factors that has one; the images have none. This is the work a utilisation is a share of: the network's
    own, none added by rewriting or recomputing a layer (Chowdhery et al., 2022, appendix B)."""
    blocks: tuple[LayerCount, ...]
    """The rows that the notebooks print: a block counts as one."""
    layers: tuple[LayerCount, ...]
    """Every layer, in the order in which data meets them."""


def count_model(name: str, image: ImageSpec, **arguments: object) -> ModelCount:
    """Count a registered model, as `count_network` does, in shape only: nothing is stored, nothing computed.

    A network that looks at values cannot be passed through so; it is run once on an image that is black.

    Raises:
        SpecError: what `build_model` refuses; of `forward`, what `count_network` does.
    """
    network = build_in_shape(name, image, **arguments)
    try:
        return count_network(network, image)
    except SpecError as error:
        if error.__cause__ is None:  # it ran, and returned something else
            raise
    with torch.random.fork_rng(devices=[]):
        return count_network(build_model(name, image, **arguments), image)


def count_network(network: nn.Module, image: ImageSpec) -> ModelCount:
    """Count a network, on the meta device or with weights on a CPU, by passing one image through it.

    Raises:
        SpecError: of `forward`, where a layer fails, which it names, or what `check_pass` refuses.
    """
    network.eval()  # one image is too few to normalise in training
    device = next((weight.device for weight in network.parameters()), torch.device("cpu"))
    counter, before = _Counter(network), Parts.of(network)
    try:
        with torch.enable_grad(), counter:
            scores = network(torch.zeros(1, image.channels, image.resolution, image.resolution, device=device))
    except Exception as failure:
        if isinstance(failure, MemoryError) or "memory" in str(failure):
            raise  # no matter of the network alone
        told = " ".join(str(failure).split())
        raise SpecError("forward", f"{counter.place}: {type(failure).__name__}: {told}") from failure
    check_pass(network, before, scores, 1, image)
    return counter.count()


@dataclass(frozen=True)
class Parts:
    """What a forward pass must leave as it is."""

    weights: frozenset[nn.Parameter]
    """Those that an optimizer is given."""
    state: frozenset[str]
    """What a checkpoint holds, by name."""
    modes: tuple[bool, ...]
    """Whether each module is in training mode."""

    @classmethod
    def of(cls, network: nn.Module) -> "Parts":
        """The parts of a network as it is now."""
        modes = tuple(module.training for module in network.modules())
        return cls(frozenset(network.parameters()), frozenset(network.state_dict()), modes)


def check_pass(network: nn.Module, before: Parts, scores: object, num_images: int, image: ImageSpec) -> None:
    """Refuse a pass with gradients on, unless it returned what can be trained, and changed nothing else.

    Args:
        network: it was passed through.
        before: its parts before that.
        scores: what it returned.
        num_images: how many it was given.
        image: what it is built for.

    Raises:
        SpecError: of `forward`; it says what was returned, and what was expected. Or a weight takes part that no
            optimizer was given, since it was made in the pass or is not registered; or the pass changed the
            network's mode, or what its state holds.
    """
    _check_scores(scores, num_images, image)
    assert isinstance(scores, Tensor)
    if strange := [weight for weight in _weights_behind(scores) if weight not in before.weights]:
        shape = tuple(max(strange, key=Tensor.numel).shape)
        raise SpecError(
            "forward",
            f"takes a weight of shape {shape} that is no parameter of the network as it is built, so that it is "
            "never trained; make layers in __init__, lists of them as nn.ModuleList, tensors as nn.Parameter",
        )
    after = Parts.of(network)
    if changed := sorted(before.state ^ after.state):
        raise SpecError("forward", f"adds or removes {some_of(changed)}; make parameters and buffers in __init__")
    if before.modes != after.modes:
        raise SpecError("forward", MODE_CHANGES)


def _weights_behind(scores: Tensor) -> Iterator[Tensor]:
    """The tensors that get a gradient from what a network returned."""
    todo, seen = [scores.grad_fn], set[Any]()
    while todo:
        node = todo.pop()
        if node is not None and node not in seen:
            seen.add(node)
            todo += [before for before, _ in node.next_functions]
            if (weight := getattr(node, "variable", None)) is not None:
                yield weight


def _check_scores(scores: object, num_images: int, image: ImageSpec) -> None:
    found = tuple(scores.shape) if isinstance(scores, Tensor) else f"a {type(scores).__name__}"
    if found != (num_images, image.num_classes):
        expected = f"a tensor of shape {(num_images, image.num_classes)}, a score for each class"
        raise SpecError("forward", f"returned {found} for {num_images} image(s), expected {expected}")
    assert isinstance(scores, Tensor)
    if not scores.is_floating_point():
        raise SpecError("forward", f"returned scores of {scores.dtype}, expected floating-point numbers")
    if not scores.requires_grad:
        raise SpecError("forward", "returned scores in which no weight has a gradient, so nothing can be trained")


@dataclass
class _Calls:
    """What one module did in the pass."""

    num_calls: int = 0
    output_shape: tuple[int, ...] = ()
    num_values: int = 0
    """In its inputs and outputs."""
    macs: Counter[Kind] = field(default_factory=Counter)


class _Counter(TorchDispatchMode):  # type: ignore[no-untyped-call]
    """While it is entered, attribute every product to the innermost module that is running."""

    def __init__(self, model: nn.Module) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._model = model
        self._calls: dict[nn.Module, _Calls] = {}
        self._running: list[nn.Module] = []
        self._training_flops = 0
        self._first_dense_weights: int | None = None
        self._hooks = ExitStack()

    @property
    def place(self) -> str:
        """The layer that is running, or failed: `features.3 (Conv2d)`."""
        module = self._running[-1] if self._running else self._model
        name = next(name for name, one in self._model.named_modules() if one is module)
        return f"{name or 'the network'} ({type(module).__name__})"

    def __enter__(self) -> "_Counter":
        for module in self._model.modules():
            for handle in (
                module.register_forward_pre_hook(lambda module, _: self._running.append(module)),
                module.register_forward_hook(self._end_call, with_kwargs=True),
            ):
                self._hooks.callback(handle.remove)
        super().__enter__()  # type: ignore[no-untyped-call]
        return self

    def __exit__(self, *error: object) -> None:
        super().__exit__(*error)  # type: ignore[no-untyped-call]
        self._hooks.close()

    def _end_call(self, module: nn.Module, inputs: object, keywords: object, output: object) -> None:
        self._running.pop()
        calls = self._calls.setdefault(module, _Calls())
        calls.num_calls += 1
        outputs = [*tensors_in(output)]
        calls.output_shape = tuple(outputs[0].shape) if outputs else ()
        calls.num_values += sum(values.numel() for values in (*tensors_in((inputs, keywords)), *outputs))

    def __torch_dispatch__(self, func: Any, types: Any, args: Any = (), kwargs: Any = None) -> Any:
        kwargs = kwargs or {}
        result = func(*args, **kwargs)
        operation = func.overloadpacket
        if count_flops := flop_registry.get(operation):
            flops = count_flops(*args, **kwargs, out_val=result)
            self._note_product(operation, flops, args[1:3] if operation in _ADDS_A_BIAS else args[:2])
        return result

    def _note_product(self, operation: Any, flops: int, factors: tuple[Tensor, Tensor]) -> None:
        module = self._running[-1]
        kind: Kind = "other"
        if operation is _aten.convolution:
            kind = "pointwise" if set(factors[1].shape[2:]) == {1} else "convolution"
        elif operation in (_aten.mm, _aten.addmm) or isinstance(module, nn.Linear):
            kind = "dense"
        self._calls.setdefault(module, _Calls()).macs[kind] += flops // 2
        self._training_flops += flops * (1 + sum(factor.requires_grad for factor in factors))
        if kind == "dense" and self._first_dense_weights is None:
            self._first_dense_weights = factors[1].numel()

    def count(self) -> ModelCount:
        """What was counted in the pass."""
        called = {name: module for name, module in self._model.named_modules() if module in self._calls}
        # Submodules follow their parents, so each parameter ends up with the innermost module that was called.
        owner = {weight: module for module in called.values() for weight in module.parameters()}
        own_params = Counter[nn.Module]()
        for weight, module in owner.items():
            own_params[module] += weight.numel()
        params, macs = Counter[Kind](), Counter[Kind]()
        for module in called.values():
            params[_main_kind(self._calls[module].macs)] += own_params[module]
            macs += self._calls[module].macs

        def row(name: str, module: nn.Module, parts: Iterable[nn.Module]) -> LayerCount:
            parts = [part for part in parts if part in self._calls]
            calls, num_params = self._calls[module], sum(own_params[part] for part in parts)
            macs = sum((self._calls[part].macs for part in parts), Counter[Kind]())
            return LayerCount(
                name=name or type(module).__name__,
                type=type(module).__name__,
                kind=_main_kind(macs),
                output_shape=calls.output_shape,
                num_params=num_params,
                num_macs=macs.total(),
                num_values=calls.num_values,
                num_weights_read=num_params * calls.num_calls,
            )

        def does_its_own(module: nn.Module) -> bool:
            is_leaf = not any(part in self._calls for part in module.modules() if part is not module)
            return is_leaf or bool(own_params[module] or self._calls[module].macs)

        layers = [row(name, module, [module]) for name, module in called.items() if does_its_own(module)]
        itself = [row("", self._model, [self._model])] if does_its_own(self._model) else []
        children = [(name, child) for name, child in self._model.named_children() if child in self._calls]
        return ModelCount(
            num_params=_break_down(params),
            num_macs=_break_down(macs),
            first_dense_weights=self._first_dense_weights,
            training_flops=self._training_flops,
            blocks=(*itself, *(row(name, child, child.modules()) for name, child in children)),
            layers=tuple(layers),
        )


def tensors_in(values: object) -> Iterator[Tensor]:
    """The tensors in a nest of tuples, lists and mappings."""
    if isinstance(values, Tensor):
        yield values
    elif isinstance(values, Mapping):
        yield from tensors_in(list(values.values()))
    elif isinstance(values, tuple | list):
        for value in values:
            yield from tensors_in(value)


def _main_kind(macs: Counter[Kind]) -> Kind:
    return max(macs, key=lambda kind: macs[kind], default="other")


def _break_down(by_kind: Counter[Kind]) -> Breakdown:
    return Breakdown(
        total=by_kind.total(),
        convolution=by_kind["convolution"],
        pointwise=by_kind["pointwise"],
        dense=by_kind["dense"],
    )
