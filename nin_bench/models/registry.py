"""Know every model by its name, check its arguments, build it. Imports no torch until a family is needed."""

import inspect
import math
import pkgutil
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import cache
from importlib import import_module
from pathlib import Path
from types import NoneType
from typing import TYPE_CHECKING, Annotated, Any, Literal, TypeVar, get_args, get_origin, get_type_hints, overload

from nin_bench.errors import SpecError, shown, unknown_name
from nin_bench.plugins import import_own_file, import_packages, keep_own_file, own_file, register, registered

if TYPE_CHECKING:
    from torch import nn

Value = bool | int | float | str | None
"""What an argument may be; null only where null is the default."""

Builder = TypeVar("Builder", bound="Callable[..., nn.Module]")


@dataclass(frozen=True)
class ImageSpec:
    """What a model is built for: square images in, class scores out.

    Raises:
        SpecError: a count below 1, or beyond what any network is built for.
    """

    channels: int
    resolution: int
    """Height and width in pixels."""
    num_classes: int

    def __post_init__(self) -> None:
        for name, value in vars(self).items():
            unit, below = _IMAGE_LIMITS[name]
            if not 1 <= value < below:
                raise SpecError(name, f"{value} is not a number of {unit}; use 1 or more, below {below:,}")


_IMAGE_LIMITS = {
    "channels": ("channels", 1_000),
    "resolution": ("pixels", 10_000),
    "num_classes": ("classes", 1_000_000),
}


@dataclass(frozen=True)
class About:
    """What a signature may say of an argument, beside its type: ``Annotated[int, About("…", minimum=0)]``.

    The choices of a ``Literal`` need no range; null is allowed where it is the default.
    """

    description: str
    """A noun that takes "a"; what follows its first comma is left out of refusals."""
    minimum: float | None = None
    """The smallest value allowed."""
    below: float | None = None
    """All values lie below it."""


@dataclass(frozen=True)
class Argument:
    """One keyword of a model, as its signature declares it."""

    name: str
    type: type[bool] | type[int] | type[float] | type[str]
    default: Value
    choices: tuple[str, ...] | tuple[int, ...] | None
    about: About

    @property
    def description(self) -> str:
        """What the argument is, in words."""
        return self.about.description

    @property
    def optional(self) -> bool:
        """Whether null may be given: it is the default, and the model says what it stands for."""
        return self.default is None

    def check(self, value: object) -> Value:
        """Return a value as the argument's type; an int will do for a float.

        Raises:
            SpecError: another type, no choice, or out of range; its field is the argument's name.
        """
        if value is None and self.optional:
            return None
        if self.type is float and type(value) is int:
            with suppress(OverflowError):  # then it stays an int, and is refused as one
                value = float(value)
        if type(value) is not self.type or not self._allows(value):
            raise SpecError(self.name, self._refusal(value))
        return value

    def _allows(self, value: bool | int | float | str) -> bool:
        if self.choices is not None:
            return value in self.choices
        if isinstance(value, bool | str):
            return True
        return (
            -math.inf < value < math.inf
            and (self.about.minimum is None or value >= self.about.minimum)
            and (self.about.below is None or value < self.about.below)
        )

    def _refusal(self, value: object) -> str:
        if self.type is bool:
            return f"{shown(value)} is neither true nor false"
        if isinstance(value, str) and self.type is str:
            return unknown_name(self.name, value, map(str, self.choices or ()))
        if self.type is str and self.choices is None:
            return f"{shown(value)} is not text"
        noun = self.description.partition(",")[0]
        return f"{shown(value)} is not a {noun}; use {self.allowed}"

    @property
    def allowed(self) -> str:
        """What may be given, in words: ``0 or more``, ``true or false``, ``1 or 3``."""
        if self.type is bool:
            words = "true or false"
        elif self.type is str and self.choices is None:
            words = "text"
        elif self.choices is not None:
            words = " or ".join([", ".join(map(str, self.choices[:-1])), str(self.choices[-1])])
        else:
            words = "a number" if self.about.minimum is None else f"{self.about.minimum:,} or more"
            words += "" if self.about.below is None else f", below {self.about.below:,}"
        return words + (", or null" if self.optional else "")


@dataclass(frozen=True)
class _Model:
    build: "Callable[..., nn.Module]"
    revision: int
    arguments: dict[str, Argument] = field(repr=False)


@overload
def register_model(build: Builder) -> Builder: ...
@overload
def register_model(*, revision: int = 1) -> Callable[[Builder], Builder]: ...
def register_model(build: Builder | None = None, *, revision: int = 1) -> Any:
    """Make a function a model: its name is the public name, its parameters after the first are the arguments.

    The function takes an `ImageSpec` and keywords, each with a default, and returns the network. An argument's
    type is its annotation's or, without one, its default's: bool, int, float, str, a ``Literal``, or one of these
    ``| None``. ``Annotated[type, About(...)]`` adds a description and a range. Use it bare, or as
    ``@register_model(revision=2)`` once the function that the model computes has changed, so that earlier results
    are not taken for its own.

    Raises:
        ValueError: the name is taken, or an argument has no default or another type.
    """

    def decorated(build: Builder) -> Builder:
        name = build.__name__
        try:
            model = _Model(build, revision, _read_arguments(build))
        except _UndeclaredError as error:
            raise ValueError(f"model {name!r}, {error}") from error
        register("model", name, model)
        return build

    return decorated if build is None else decorated(build)


def use_own_file(path: Path | str) -> None:
    """Register the models and datasets of a user's own file, here and in every process started from here on.

    The file is run, like any program. Modules that lie beside it can be imported from it.

    Raises:
        InputError: there is no such file, or it cannot be imported; with the line, where one is to blame.
    """
    _import_all()  # first, so that a name which is taken is the file's to change
    import_own_file(Path(path))
    keep_own_file(Path(path))


def unavailable_packages() -> list[str]:
    """A line for each package whose models or datasets cannot be had, which says why. Imports all others."""
    return list(_import_all())


def list_models() -> list[str]:
    """Names of all models, sorted. Imports torch, as everything below does."""
    return sorted(_models())


def model_arguments(name: str) -> dict[str, Argument]:
    """Arguments of a model by name, in the order of its signature; SpecError if no model has that name."""
    return dict(_model(name).arguments)


def model_revision(name: str) -> int:
    """How often the function that a model computes was changed, from 1; SpecError if no model has that name."""
    return _model(name).revision


def model_function(name: str) -> "Callable[..., nn.Module]":
    """The function that builds a model, also a library's; SpecError if no model has that name."""
    build: Callable[..., nn.Module] = inspect.unwrap(_model(name).build)
    return build


def model_summary(name: str) -> str:
    """First line of a model's docstring; SpecError if no model has that name."""
    return (inspect.getdoc(_model(name).build) or "").partition("\n")[0]


def resolve_arguments(name: str, given: Mapping[str, object]) -> dict[str, Value]:
    """All arguments of a model, typed, those not given at their default.

    Raises:
        SpecError: no model has that name (field ``name``), it has no such argument, or a value is refused
            (field: the argument).
    """
    arguments = model_arguments(name)
    for key in given:
        if key not in arguments:
            raise SpecError(key, unknown_name(f"{name} argument", key, arguments))
    return {key: argument.check(given.get(key, argument.default)) for key, argument in arguments.items()}


def build_model(name: str, image: ImageSpec, **arguments: object) -> "nn.Module":
    """Build a network with PyTorch's own initial weights, on the current default device.

    Under ``with torch.device("meta")`` it takes no memory and next to no time.

    Returns:
        A module that maps (N, channels, resolution, resolution) floats to (N, num_classes) logits.

    Raises:
        SpecError: what `resolve_arguments` refuses; or images too small for the layers (field
            ``resolution``), or a width that leaves some layer without a channel (field ``width``), each with
            the smallest that would do; or a layer too large for PyTorch to count its weights.
    """
    resolved = resolve_arguments(name, arguments)
    try:
        return _model(name).build(image, **resolved)
    except (OverflowError, RuntimeError, TypeError) as error:
        if "overflow" not in repr(error).lower():
            raise  # the model's own mistake, or memory that ran out: no matter of the arguments alone
        sizes = {"resolution": image.resolution} | {
            key: value for key, value in resolved.items() if isinstance(value, int | float)
        }
        largest = max(sizes, key=lambda key: sizes[key])
        raise SpecError(largest, f"{shown(sizes[largest])} is too large for {name}; use much less") from error


def _model(name: str) -> _Model:
    if "/" in name:
        build, arguments = import_module(f"{__package__}.libraries").library_model(name)
        return _Model(build, 1, arguments)
    known = _models()
    if name not in known:
        raise SpecError("name", "; ".join([unknown_name("model", name, known), *_import_all()]))
    return known[name]


def _models() -> dict[str, _Model]:
    _import_all()
    return registered["model"]


@cache
def _import_all() -> tuple[str, ...]:
    """Import all that registers models or datasets; what is told of packages that cannot be had."""
    # Every file beside this one: a new family needs no entry in a list.
    for module in pkgutil.iter_modules([str(Path(__file__).parent)], f"{__package__}."):
        import_module(module.name)
    # Then other packages and the user's own file, so that a name that both have is theirs to change.
    unavailable = tuple(import_packages())
    if (own := own_file()) is not None:
        import_own_file(own)
    return unavailable


def _read_arguments(build: "Callable[..., nn.Module]") -> dict[str, Argument]:
    hints = get_type_hints(build, include_extras=True)
    arguments = list(inspect.signature(build).parameters.values())[1:]
    return {p.name: _read_argument(p.name, hints.get(p.name), p.default) for p in arguments}


class _UndeclaredError(ValueError):
    """A model's argument lacks what a grid has to know of it."""


def _read_argument(name: str, hint: Any, default: Any) -> Argument:
    if default is inspect.Parameter.empty:
        raise _UndeclaredError(f"argument {name!r}: give it a default")
    annotated, *more = get_args(hint) if get_origin(hint) is Annotated else [hint or type(default)]
    about = next((one for one in more if isinstance(one, About)), About(name))
    if get_origin(annotated) is Literal:
        choices = get_args(annotated)
        return Argument(name, type(choices[0]), default, choices, about)
    kind = next((part for part in get_args(annotated) if part is not NoneType), annotated)
    if kind not in (bool, int, float, str):
        raise _UndeclaredError(f"argument {name!r}: {kind!r} is not bool, int, float, str or a Literal")
    return Argument(name, kind, default, None, about)
