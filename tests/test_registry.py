import subprocess
import sys
from contextlib import suppress
from typing import Annotated, Literal

import pytest
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nin_bench.errors import SpecError
from nin_bench.models import (
    About,
    Argument,
    ImageSpec,
    build_model,
    list_models,
    model_arguments,
    model_revision,
    model_summary,
    register_model,
    registry,
    resolve_arguments,
)

ANY_VALUE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@pytest.fixture
def spare_registry(monkeypatch):
    """What a test registers is forgotten after it."""
    list_models()
    monkeypatch.setattr(registry, "_registered", dict(registry._registered))


def test_models_are_listed_by_name():
    assert list_models() == [
        "alexnet",
        "lenet",
        "mlp",
        "nin",
        "nin_cifar",
        "nin_mnist",
        "vgg11",
        "vgg13",
        "vgg16",
        "vgg19",
    ]


def test_importing_the_registry_imports_no_torch():
    code = "import sys, nin_bench.models.registry; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_a_function_becomes_a_model(spare_registry):
    @register_model(revision=3)
    def probe(
        image: ImageSpec,
        *,
        depth: Annotated[int | None, About("number of layers, none by default", minimum=1)] = None,
        kernel: Annotated[Literal[1, 3], About("window")] = 1,
        leak: Annotated[float, About("slope", minimum=0, below=1)] = 0.25,
        bias: Annotated[bool, About("whether a bias is added")] = True,
    ) -> nn.Module:
        """A dense layer.

        More of it.
        """
        return nn.Linear(image.channels, image.num_classes, bias=bias)

    assert "probe" in list_models()
    assert model_revision("probe") == 3
    assert model_summary("probe") == "A dense layer."
    assert list(model_arguments("probe").values()) == [
        Argument("depth", int, None, None, About("number of layers, none by default", minimum=1)),
        Argument("kernel", int, 1, (1, 3), About("window")),
        Argument("leak", float, 0.25, None, About("slope", minimum=0, below=1)),
        Argument("bias", bool, True, None, About("whether a bias is added")),
    ]
    assert [argument.allowed for argument in model_arguments("probe").values()] == [
        "1 or more, or null",
        "1 or 3",
        "0 or more, below 1",
        "true or false",
    ]
    assert build_model("probe", ImageSpec(3, 8, 5), bias=False).bias is None


def test_a_name_can_be_taken_once(spare_registry):
    def nin(image: ImageSpec) -> nn.Module:
        return nn.Identity()

    with pytest.raises(ValueError, match="model 'nin' is registered twice; rename one of the two functions"):
        register_model(nin)


def test_defaults_are_filled_in():
    assert resolve_arguments("nin", {"pointwise": 1, "head": "fc"}) == {
        "pointwise": 1,
        "class_pointwise": None,
        "pointwise_relu": True,
        "pointwise_kernel": 1,
        "head": "fc",
        "final_relu": True,
        "dropout": 0.5,
        "width": 1.0,
        "hidden": 4096,
    }


def test_an_int_will_do_for_a_float_but_not_the_reverse():
    width = resolve_arguments("nin", {"width": 2})["width"]
    assert (width, type(width)) == (2.0, float)
    with pytest.raises(SpecError, match=r"^pointwise: 2\.0 is not a number of 1×1 layers; use 0 or more$"):
        resolve_arguments("nin", {"pointwise": 2.0})


def test_null_is_allowed_where_it_is_the_default():
    assert resolve_arguments("nin", {"class_pointwise": None})["class_pointwise"] is None
    with pytest.raises(SpecError, match=r"^pointwise: None is not a number of 1×1 layers; use 0 or more$"):
        resolve_arguments("nin", {"pointwise": None})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pointwise", -1, "-1 is not a number of 1×1 layers; use 0 or more"),
        ("pointwise", "two", "'two' is not a number of 1×1 layers; use 0 or more"),
        ("pointwise", True, "True is not a number of 1×1 layers; use 0 or more"),
        ("pointwise", [1, 2], "[1, 2] is not a number of 1×1 layers; use 0 or more"),
        ("class_pointwise", -2, "-2 is not a number of 1×1 layers; use 0 or more, or null"),
        ("pointwise_relu", "no", "'no' is neither true nor false"),
        ("pointwise_relu", 1, "1 is neither true nor false"),
        ("pointwise_kernel", 2, "2 is not a window of the 1×1 layers; use 1 or 3"),
        ("pointwise_kernel", True, "True is not a window of the 1×1 layers; use 1 or 3"),
        (
            "head",
            "gab",
            "unknown head 'gab'; did you mean 'gap'? Known: fc, fc_linear, fc_maps, gap, gap_linear",
        ),
        ("head", False, "unknown head False; Known: fc, fc_linear, fc_maps, gap, gap_linear"),
        ("dropout", 1.0, "1.0 is not a share of values; use 0 or more, below 1"),
        ("dropout", -0.1, "-0.1 is not a share of values; use 0 or more, below 1"),
        ("dropout", float("nan"), "nan is not a share of values; use 0 or more, below 1"),
        ("width", "wide", "'wide' is not a multiplier of every convolution's channels; use a number"),
        ("width", float("inf"), "inf is not a multiplier of every convolution's channels; use a number"),
        ("hidden", 0, "0 is not a number of units; use 1 or more"),
    ],
)
def test_a_refusal_names_the_value_and_what_would_be_right(field, value, message):
    with pytest.raises(SpecError) as refusal:
        resolve_arguments("nin", {field: value})
    assert (refusal.value.field, refusal.value.message) == (field, message)


def test_unknown_names_are_answered_with_the_known_ones():
    with pytest.raises(SpecError, match=r"^name: unknown model 'nni'; did you mean 'nin'\? Known: alexnet, "):
        build_model("nni", ImageSpec(1, 224, 10))
    with pytest.raises(SpecError) as refusal:
        resolve_arguments("mlp", {"hiden": 3})
    assert refusal.value.field == "hiden"
    assert refusal.value.message == "unknown mlp argument 'hiden'; did you mean 'hidden'? Known: hidden"


@given(argument=st.sampled_from(list(model_arguments("nin").values())), value=ANY_VALUE)
def test_any_value_is_taken_as_the_arguments_type_or_refused(argument, value):
    with suppress(SpecError):
        taken = argument.check(value)
        assert taken == value
        assert type(taken) is argument.type or (taken is None and argument.optional)


@pytest.mark.parametrize(
    ("image", "message"),
    [
        ((0, 28, 10), "channels: 0 is not a number of channels; use 1 or more"),
        ((1, -1, 10), "resolution: -1 is not a number of pixels; use 1 or more"),
        ((1, 28, 0), "num_classes: 0 is not a number of classes; use 1 or more"),
    ],
)
def test_images_need_channels_pixels_and_classes(image, message):
    with pytest.raises(SpecError) as refusal:
        ImageSpec(*image)
    assert str(refusal.value) == message


@pytest.mark.parametrize("name", list_models())
def test_every_model_says_what_it_is(name):
    assert model_revision(name) == 1
    assert model_summary(name).endswith(".")
    for argument in model_arguments(name).values():
        assert argument.description
        assert argument.check(argument.default) == argument.default
