"""What is trained: models, data, recipes and cells, validated, frozen and hashed. Imports no torch."""

import hashlib
import json
from collections.abc import Mapping
from functools import cached_property
from typing import Annotated, Any, Literal, Self

from pydantic import (
    ConfigDict,
    Discriminator,
    Field,
    SerializerFunctionWrapHandler,
    Tag,
    model_serializer,
    model_validator,
)

from nin_bench.docstrings import Documented
from nin_bench.errors import SpecError, shown

Scalar = bool | int | float | str | None
"""What a field of a grid may hold once every axis is taken apart."""

PositiveInt = Annotated[int, Field(ge=1)]
NonNegativeInt = Annotated[int, Field(ge=0)]
PositiveFloat = Annotated[float, Field(gt=0, allow_inf_nan=False)]
NonNegativeFloat = Annotated[float, Field(ge=0, allow_inf_nan=False)]
Share = Annotated[float, Field(ge=0, lt=1, allow_inf_nan=False)]
Probability = Annotated[float, Field(ge=0, le=1, allow_inf_nan=False)]


def _is_word(value: object) -> str:
    return "(word)" if isinstance(value, str) else "(number)"


# With a callable to choose by, an error comes once, and not once for each form.
MicroBatch = Annotated[
    Annotated[PositiveInt, Tag("(number)")] | Annotated[Literal["auto"], Tag("(word)")], Discriminator(_is_word)
]


# Names for which `nin_bench.training` and `nin_bench.data` have tables of functions. Each table is checked against
# its names when it is imported: a name without a function, or a function without a name, fails at once.
Optimizer = Literal[
    "sgd", "adam", "adamw", "adamax", "nadam", "radam", "rmsprop", "adagrad", "adadelta", "adafactor"
]
Schedule = Literal["constant", "cosine", "one_cycle", "step"]
Initialisation = Literal["default", "xavier_uniform", "kaiming_normal", "normal"]
Augmentation = Literal["none", "flip", "crop_flip"]
Resize = Literal["squash", "crop", "pad"]
Precision = Literal["fp32", "bf16", "fp16"]
StopMetric = Literal["validation_loss", "validation_accuracy"]

OPTIMIZER_FIELDS: dict[Optimizer, tuple[str, ...]] = {
    "sgd": ("momentum", "nesterov"),
    "adam": ("beta1", "beta2", "eps"),
    "adamw": ("beta1", "beta2", "eps"),
    "adamax": ("beta1", "beta2", "eps"),
    "nadam": ("beta1", "beta2", "eps"),
    "radam": ("beta1", "beta2", "eps"),
    "rmsprop": ("momentum", "beta2", "eps"),
    "adagrad": ("eps",),
    "adadelta": ("beta2", "eps"),
    "adafactor": (),
}
"""The fields of a recipe that each optimizer takes beside `lr` and `weight_decay`, which all take."""


MOST_MAGNITUDE = 30
"""The greatest magnitude of operations of RandAugment (Cubuk et al., 2020), as torchvision counts it."""


class Spec(Documented):
    """A frozen value, checked where it enters; an unknown field or a value of another type is refused."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True)

    def identity(self) -> dict[str, Any]:
        """The values that differ from their default: a new field renames no old result."""
        return self.model_dump(exclude_defaults=True)


class ModelSpec(Spec):
    """A registered architecture with all its arguments, as the registry resolved them."""

    name: str
    revision: PositiveInt = 1
    """Raised by a model's author when the function it computes changes."""
    arguments: dict[str, Scalar] = Field(default={})
    """Every argument by name, defaults filled in."""
    defaults: dict[str, Scalar] = Field(default={}, exclude=True, repr=False)
    """The registry's defaults, kept so that they can be left out of the identity."""

    @model_validator(mode="before")
    @classmethod
    def _read_flat(cls, value: Any) -> Any:
        """Take name, revision and arguments as files have them, side by side."""
        if not isinstance(value, dict) or isinstance(value.get("arguments"), dict):
            return value
        own = {key: value[key] for key in ("name", "revision") if key in value}
        return {**own, "arguments": {key: one for key, one in value.items() if key not in own}}

    def identity(self) -> dict[str, Any]:
        """Name, revision, and the arguments that differ from the registry's defaults."""
        changed = {
            key: value
            for key, value in self.arguments.items()
            if key not in self.defaults or self.defaults[key] != value
        }
        return {"name": self.name, "revision": self.revision, **changed}

    @model_serializer
    def as_dict(self) -> dict[str, Any]:
        """Name, revision and every argument, side by side, as files have them."""
        return {"name": self.name, "revision": self.revision, **self.arguments}


class DataSpec(Spec):
    """Which images, at which size."""

    name: str
    """A dataset that nin_bench knows or that was registered, or `image_folder`."""
    folder: str | None = None
    """The subfolder of the data directory that `image_folder` reads."""
    content: str | None = None
    """Of images that nobody published: their digest, filled in; one given in the grid is checked against it."""
    resize: Resize = "squash"
    """Of `image_folder`, how a picture becomes square: `squash` changes its aspect ratio, `crop` cuts its longer
    side off at both ends, `pad` adds black beside its shorter side."""
    channels: Literal[1, 3] = 3
    """Of `image_folder`: 3 for colour, 1 for grey, as ITU-R 601-2 weighs red, green and blue."""
    resolution: PositiveInt | None = None
    """Height and width in pixels; null is the dataset's own."""
    normalize: Literal["none", "dataset"] = "none"
    """Pixels in [0, 1], or standardised by the training images' mean and deviation per channel."""
    train_size: PositiveInt | None = None
    """Images trained on, a stratified draw by the cell's seed; null is all but the validation images."""
    validation_size: NonNegativeInt | None = None
    """Images taken from the training set to choose by; null is the dataset's default."""

    @model_serializer(mode="wrap")
    def _as_dict(self, write: SerializerFunctionWrapHandler) -> dict[str, Any]:
        """What holds of `image_folder` alone is written of it alone."""
        values: dict[str, Any] = write(self)
        of_pictures = () if self.name == "image_folder" else ("resize", "channels")
        return {name: value for name, value in values.items() if name not in of_pictures}


class Recipe(Spec):
    """How a model is trained."""

    epochs: PositiveInt = 10
    """Passes over the training images."""
    early_stop: StopMetric | None = None
    """Ends the training once this has not improved for `patience` epochs; null trains all of them."""
    patience: PositiveInt = 5
    """Epochs without improvement that `early_stop` waits for."""
    batch_size: PositiveInt = 128
    """Images per step."""
    micro_batch: MicroBatch | None = None
    """Images per forward pass, gradients summed over the batch; null passes the batch whole, `auto` as much of it
    as the memory of the machine allows."""
    optimizer: Optimizer = "sgd"
    """How a gradient becomes a step; what is not said here is as PyTorch has it."""
    lr: PositiveFloat = 0.1
    """Peak learning rate."""
    momentum: Share = 0.0
    """Momentum of `sgd` and `rmsprop`; 0 disables it."""
    nesterov: bool = False
    """Nesterov's form of SGD's momentum; needs `momentum` above 0."""
    beta1: Share | None = None
    """Decay of the running mean of gradients, of `adam` and its kin; null is PyTorch's."""
    beta2: Share | None = None
    """Decay of the running mean of squared gradients (`alpha` of `rmsprop`, `rho` of `adadelta`)."""
    eps: PositiveFloat | None = None
    """Added to the divisor of a step; null is PyTorch's."""
    weight_decay: NonNegativeFloat = 0.0
    """Weight decay of every parameter; `adamw` and `adafactor` decouple it from the gradient."""
    clip_norm: PositiveFloat | None = None
    """Norm of all gradients together beyond which they are scaled down to it; null leaves them."""
    ema: Share = 0.0
    """Decay of a running mean of the weights, taken after every step; that network is evaluated; 0 is none."""
    schedule: Schedule = "constant"
    """How the learning rate changes over the epochs."""
    warmup_epochs: NonNegativeFloat = 0.0
    """Epochs over which the rate rises linearly from zero, before the schedule proper."""
    step_epochs: PositiveInt = 10
    """Epochs between two falls of the rate, with the schedule `step`."""
    step_factor: PositiveFloat = 0.1
    """Factor by which the rate falls, with the schedule `step`."""
    init: Initialisation = "default"
    """Initial weights of convolutions and dense layers; `default` is PyTorch's own."""
    init_std: PositiveFloat = 0.01
    """Standard deviation of the initialisation `normal`."""
    augmentation: Augmentation = "none"
    """Random changes of the training images: `flip` mirrors half of them, `crop_flip` shifts them too."""
    rand_augment: NonNegativeInt = 0
    """Operations of RandAugment that change each training image; 0 is none."""
    rand_augment_magnitude: Annotated[int, Field(ge=0, le=MOST_MAGNITUDE)] = 9
    """Strength of these operations, from 0 to 30."""
    random_erasing: Probability = 0.0
    """Probability that a rectangle of a training image is made black."""
    mixup: NonNegativeFloat = 0.0
    """Alpha of the beta distribution by which two training images and their labels are blended; 0 is none."""
    cutmix: NonNegativeFloat = 0.0
    """Alpha by which a rectangle of one image is pasted into another; with `mixup` too, a step takes either."""
    label_smoothing: Share = 0.0
    """Probability that is taken from an image's class and spread over all classes."""
    precision: Precision = "fp32"
    """`bf16` and `fp16` compute convolutions and dense layers in 16 bits (autocast), `fp16` with its loss scaled;
    weights stay in float32."""
    compile: bool = False
    """Train through torch.compile; compiling counts as training time. Not together with `micro_batch`."""
    test_every_epoch: bool = False
    """The notebooks' diagnostic: read the test images after every epoch. No choice may use it."""

    @property
    def fixed_micro_batch(self) -> int | None:
        """`micro_batch` as a number; None if the batch passes whole, or the machine decides (`auto`)."""
        return None if self.micro_batch == "auto" else self.micro_batch

    @model_validator(mode="after")
    def _fields_fit_together(self) -> Self:
        if self.nesterov and self.momentum == 0:
            raise SpecError("nesterov", "needs a momentum above 0; give one, or leave it out")
        self._check_optimizer()
        if self.warmup_epochs >= self.epochs:
            raise SpecError(
                "warmup_epochs", f"{self.warmup_epochs:g} leaves nothing of {self.epochs} epochs; use fewer"
            )
        if self.fixed_micro_batch is not None and self.fixed_micro_batch > self.batch_size:
            raise SpecError(
                "micro_batch",
                f"{self.micro_batch} exceeds the batch of {self.batch_size} images; use as many or fewer",
            )
        if self.compile and self.micro_batch is not None:
            # A CUDA graph leaves its gradients where its next replay writes, so that they would not sum up.
            raise SpecError(
                "compile", f"does not go with micro_batch {self.micro_batch}; leave one of the two out"
            )
        return self

    def _check_optimizer(self) -> None:
        """Refuse what the optimizer does not take, and name one that does."""
        remedies = {"momentum": "use 0", "nesterov": "use false"}
        for field in ("momentum", "nesterov", "beta1", "beta2", "eps"):
            value = getattr(self, field)
            if value == type(self).model_fields[field].default or field in OPTIMIZER_FIELDS[self.optimizer]:
                continue
            taker = next(name for name, fields in OPTIMIZER_FIELDS.items() if field in fields)
            remedy = remedies.get(field, "leave it out")
            raise SpecError(
                field, f"{shown(value)}, but {self.optimizer} has none; {remedy}, or optimizer {taker}"
            )


class Cell(Spec):
    """One point of a grid: model, data, recipe and seed."""

    model: ModelSpec
    data: DataSpec
    recipe: Recipe
    seed: NonNegativeInt
    label: str = Field(default="", exclude=True)
    """The variant's name for people; no part of the identity, nor of what files keep of a cell."""

    def identity(self) -> dict[str, Any]:
        """What can change the cell's result, nothing else."""
        return {**self._variant_identity(), "seed": self.seed}

    def _variant_identity(self) -> dict[str, Any]:
        return {
            "model": self.model.identity(),
            "data": self.data.identity(),
            "recipe": self.recipe.identity(),
        }

    def as_dict(self) -> dict[str, Any]:
        """The whole resolved cell, defaults included, as a record keeps it."""
        return self.model_dump()

    @cached_property
    def cell_id(self) -> str:
        """Sixteen hexadecimal digits; equal for equal experiments, on any machine."""
        return digest(self.identity())

    @cached_property
    def variant_id(self) -> str:
        """The id of the cell without its seed: what is compared."""
        return digest(self._variant_identity())

    def model_copy(self, *, update: Mapping[str, Any] | None = None, deep: bool = False) -> Self:
        """A copy with some fields changed, as pydantic makes it; its ids are computed anew."""
        copy = super().model_copy(update=update, deep=deep)
        for name in ("cell_id", "variant_id"):
            copy.__dict__.pop(name, None)
        return copy


def digest(value: Mapping[str, Any]) -> str:
    """First 16 hexadecimal digits of SHA-256 over the canonical JSON of plain values."""
    text = json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()[:16]
