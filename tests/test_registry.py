import math
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Annotated, Literal

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch import nn

from nin_bench.errors import InputError, SpecError
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
    unavailable_packages,
)
from nin_bench.models.code import definition_digests
from nin_bench.models.registry import use_own_file
from nin_bench.plugins import own_file, registered

ANY_VALUE = st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.integers())


@pytest.fixture
def spare_registry(monkeypatch):
    """What a test registers is forgotten after it."""
    list_models()
    monkeypatch.setitem(registered, "model", dict(registered["model"]))


def test_models_are_listed_by_name():
    assert list_models() == [
        "alexnet",
        "lenet",
        "mlp",
        "nin",
        "nin11",
        "nin16",
        "nin19",
        "nin_cifar",
        "nin_mnist",
        "vgg11",
        "vgg13",
        "vgg16",
        "vgg19",
    ]


PLUGIN = """
from typing import Annotated

from torch import nn

from nin_bench import ImageSpec, register_model
from nin_bench.models import About


@register_model
def {name}(image: ImageSpec, *, width: Annotated[int, About("number of units", minimum=1)] = 8) -> nn.Module:
    \"\"\"Of another package.\"\"\"
    return nn.Sequential(nn.Flatten(), nn.Linear(image.channels * image.resolution**2, image.num_classes))
"""


@pytest.fixture
def install(tmp_path, monkeypatch, spare_registry):
    """Install a package whose entry point names a module with this text."""

    def install(text: str) -> None:
        (tmp_path / "their_models.py").write_text(text)
        about = tmp_path / "theirs-1.2.dist-info"
        about.mkdir()
        (about / "METADATA").write_text("Metadata-Version: 2.1\nName: theirs\nVersion: 1.2\n")
        (about / "entry_points.txt").write_text("[nin_bench.models]\ntheirs = their_models\n")
        monkeypatch.syspath_prepend(tmp_path)
        monkeypatch.delitem(sys.modules, "their_models", raising=False)
        registry._import_all.cache_clear()

    yield install
    registry._import_all.cache_clear()


def test_another_package_brings_models_by_an_entry_point(install):
    install(PLUGIN.format(name="theirs"))
    assert "theirs" in list_models()
    assert model_summary("theirs") == "Of another package."
    assert resolve_arguments("theirs", {"width": 3}) == {"width": 3}


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (
            PLUGIN.format(name="nin"),
            "ValueError: model 'nin' is registered twice; rename one of the two functions",
        ),
        ("import nothing_that_exists", "ModuleNotFoundError: No module named 'nothing_that_exists'"),
        ("1 / 0", "ZeroDivisionError: division by zero"),
        ("raise SystemExit(3)", "SystemExit: 3"),
        ("def (", "SyntaxError: "),
        (
            "from nin_bench import register_model\n@register_model\ndef bare(image, width=(1, 2)): ...",
            "ValueError: model 'bare', argument 'width': <class 'tuple'> is not bool, int, float, str or a "
            "Literal",
        ),
        (
            PLUGIN.format(name="bare").replace(" = 8", ""),
            "ValueError: model 'bare', argument 'width': give it a default",
        ),
        (
            PLUGIN.format(name="bare").replace("[int,", "[bytes,"),
            "ValueError: model 'bare', argument 'width': <class 'bytes'> is not bool, int, float, str or a "
            "Literal",
        ),
    ],
)
def test_a_package_whose_models_cannot_be_had_is_named_and_no_built_in_is_replaced(install, text, reason):
    built_in = registered["model"]["nin"]
    install(text)
    (told,) = unavailable_packages()
    assert told.startswith(f"models of package theirs 1.2 (their_models) cannot be had: {reason}")
    assert told.endswith("; mend it, or uninstall it")
    assert registered["model"]["nin"] is built_in
    assert resolve_arguments("mlp", {"hidden": 3})["hidden"] == 3, "whoever needs none of it is not hindered"
    with pytest.raises(SpecError) as refusal:
        resolve_arguments("theirs", {})
    assert str(refusal.value).endswith(told)


OWN = """
from torch import nn

import my_blocks
from nin_bench import register_model


@register_model
def mine(image, width=8, ratio: float = 0.5, *, head="mean", bias=True):
    return my_blocks.network(image, width)
"""


@pytest.fixture
def own(tmp_path, monkeypatch, spare_registry):
    """Register the models of a user's file with this text, beside a file that it may import."""
    monkeypatch.setenv("NIN_BENCH_MODELS", "")  # whatever is set is forgotten after the test
    (tmp_path / "my_blocks.py").write_text(
        "from torch import nn\n"
        "def network(image, width):\n"
        "    units = image.channels * image.resolution**2\n"
        "    return nn.Sequential(nn.Flatten(), nn.Linear(units, width), nn.Linear(width, image.num_classes))\n"
    )
    path = tmp_path / "my_nets.py"

    def own(text: str) -> Path:
        path.write_text(text)
        use_own_file(path)
        return path

    yield own
    for name in ("own_models.my_nets", "my_blocks"):
        sys.modules.pop(name, None)


def test_a_users_file_brings_models_whose_arguments_are_read_from_their_defaults(own):
    path = own(OWN)
    assert own_file() == path
    arguments = model_arguments("mine")
    kinds = {name: (argument.type, argument.default) for name, argument in arguments.items()}
    assert kinds == {"width": (int, 8), "ratio": (float, 0.5), "head": (str, "mean"), "bias": (bool, True)}
    assert resolve_arguments("mine", {"head": "any text", "ratio": 1})["ratio"] == 1.0
    assert build_model("mine", ImageSpec(1, 4, 3), width=5).get_submodule("1").out_features == 5
    for name, value in (("width", 1.5), ("head", 3), ("bias", 1)):
        with pytest.raises(SpecError) as refusal:
            resolve_arguments("mine", {name: value})
        assert refusal.value.field == name
    assert str(path.parent) not in sys.path


def test_the_digest_of_a_users_model_covers_the_files_beside_it(own):
    own(OWN)
    definition_digests.cache_clear()
    assert set(definition_digests("mine")) == {"mine", "my_blocks.network"}
    definition_digests.cache_clear()


def test_a_users_file_may_be_renamed(own, tmp_path):
    own(OWN)
    definition_digests.cache_clear()
    before = definition_digests("mine")
    del sys.modules["own_models.my_nets"], registered["model"]["mine"]
    renamed = (tmp_path / "my_nets.py").rename(tmp_path / "my networks, newest.py")
    use_own_file(renamed)
    definition_digests.cache_clear()
    assert definition_digests("mine") == before
    definition_digests.cache_clear()
    del sys.modules["own_models.my networks, newest"]


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("import nothing_that_exists", ":1", "ModuleNotFoundError: No module named 'nothing_that_exists'"),
        ("x = 1\n\n1 / 0", ":3", "ZeroDivisionError: division by zero"),
        ("def (", ":1", "SyntaxError: "),
        ("raise SystemExit(3)", ":1", "SystemExit: 3"),
        (OWN.replace("def mine", "def nin"), ":8", "ValueError: model 'nin' is registered twice; rename one"),
        (OWN.replace("=True", ""), ":8", "ValueError: model 'mine', argument 'bias': give it a default"),
    ],
)
def test_a_users_file_that_cannot_be_had_is_refused_at_its_line_and_leaves_nothing(
    own, tmp_path, text, place, reason
):
    before = list_models()
    with pytest.raises(InputError) as refusal:
        own(text)
    assert str(refusal.value).startswith(f"{tmp_path / 'my_nets.py'}{place}: cannot be imported: {reason}")
    assert list_models() == before
    assert own_file() is None
    with pytest.raises(InputError, match="there is no such file"):
        use_own_file(tmp_path / "none.py")
    (tmp_path / "nets.txt").write_text(text)
    with pytest.raises(InputError, match=r"nets\.txt: is no Python file; give one whose name ends in \.py"):
        use_own_file(tmp_path / "nets.txt")


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
        "class_staged": False,
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
    with pytest.raises(
        SpecError, match=r"^pointwise: 2\.0 is not a number of 1×1 layers; use 0 or more, below 100$"
    ):
        resolve_arguments("nin", {"pointwise": 2.0})


def test_null_is_allowed_where_it_is_the_default():
    assert resolve_arguments("nin", {"class_pointwise": None})["class_pointwise"] is None
    with pytest.raises(
        SpecError, match=r"^pointwise: null is not a number of 1×1 layers; use 0 or more, below 100$"
    ):
        resolve_arguments("nin", {"pointwise": None})


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("pointwise", -1, "-1 is not a number of 1×1 layers; use 0 or more, below 100"),
        ("pointwise", 100, "100 is not a number of 1×1 layers; use 0 or more, below 100"),
        ("pointwise", "two", "'two' is not a number of 1×1 layers; use 0 or more, below 100"),
        ("pointwise", True, "true is not a number of 1×1 layers; use 0 or more, below 100"),
        ("pointwise", [1, 2], "a list is not a number of 1×1 layers; use 0 or more, below 100"),
        ("class_pointwise", -2, "-2 is not a number of 1×1 layers; use 0 or more, below 100, or null"),
        ("class_pointwise", 100, "100 is not a number of 1×1 layers; use 0 or more, below 100, or null"),
        ("pointwise_relu", "no", "'no' is neither true nor false"),
        ("pointwise_relu", None, "null is neither true nor false"),
        ("pointwise_relu", 1, "1 is neither true nor false"),
        ("pointwise_kernel", 2, "2 is not a window of the 1×1 layers; use 1 or 3"),
        ("pointwise_kernel", True, "true is not a window of the 1×1 layers; use 1 or 3"),
        (
            "head",
            "gab",
            "unknown head 'gab'; did you mean 'gap'? Known: fc, fc_linear, fc_maps, gap, gap_linear",
        ),
        (
            "head",
            False,
            "false is not a way from feature maps to class scores; use gap, gap_linear, fc, fc_linear or fc_maps",
        ),
        ("dropout", 1.0, "1.0 is not a share of values; use 0 or more, below 1"),
        ("dropout", -0.1, "-0.1 is not a share of values; use 0 or more, below 1"),
        ("dropout", float("nan"), "nan is not a share of values; use 0 or more, below 1"),
        (
            "width",
            "wide",
            "'wide' is not a multiplier of every convolution's channels; use a number, below 1,000",
        ),
        ("width", math.inf, "inf is not a multiplier of every convolution's channels; use a number, below 1,000"),
        ("width", 1e300, "1e+300 is not a multiplier of every convolution's channels; use a number, below 1,000"),
        ("hidden", 0, "0 is not a number of units; use 1 or more, below 1,000,000"),
        (
            "hidden",
            2**62,
            "4611686018427387904 is not a number of units; use 1 or more, below 1,000,000",
        ),
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
        ((0, 28, 10), "channels: 0 is not a number of channels; use 1 or more, below 1,000"),
        ((1, -1, 10), "resolution: -1 is not a number of pixels; use 1 or more, below 10,000"),
        ((1, 10**12, 10), "resolution: 1000000000000 is not a number of pixels; use 1 or more, below 10,000"),
        ((1, 28, 0), "num_classes: 0 is not a number of classes; use 1 or more, below 1,000,000"),
    ],
)
def test_images_need_channels_pixels_and_classes(image, message):
    with pytest.raises(SpecError) as refusal:
        ImageSpec(*image)
    assert str(refusal.value) == message


@pytest.fixture
def unbounded(spare_registry):
    """A model that sets its argument no bound."""

    @register_model
    def unbounded(image: ImageSpec, *, units: Annotated[float, About("number of units")] = 1) -> nn.Module:
        if units == 13:
            raise TypeError("13 brings bad luck")
        pixels = image.channels * image.resolution**2
        return nn.Sequential(nn.Flatten(), nn.Linear(pixels, int(units)), nn.Linear(int(units), image.num_classes))


@pytest.mark.parametrize("units", [1e12, 1e17, 1e300], ids=str)
def test_what_pytorch_cannot_count_is_refused_by_its_largest_number(unbounded, units):
    with torch.device("meta"), pytest.raises(SpecError) as refusal:
        build_model("unbounded", ImageSpec(3, 9_999, 10), units=units)
    assert str(refusal.value) == f"units: {units} is too large for unbounded; use much less"


def test_a_models_own_mistake_is_not_taken_for_a_refusal(unbounded):
    with pytest.raises(TypeError, match="13 brings bad luck"):
        build_model("unbounded", ImageSpec(1, 8, 10), units=13)


@pytest.mark.parametrize("name", list_models())
def test_the_largest_values_allowed_are_built_at_once_or_refused(name):
    largest = {
        key: argument.about.below - 1
        for key, argument in model_arguments(name).items()
        if argument.about.below is not None and argument.about.below > 1
    }
    with torch.device("meta"):
        assert build_model(name, ImageSpec(999, 9_999, 999_999), **largest)


@pytest.mark.parametrize("name", list_models())
def test_every_model_says_what_it_is(name):
    assert model_revision(name) >= 1
    assert model_summary(name).endswith(".")
    for argument in model_arguments(name).values():
        assert argument.description
        assert argument.check(argument.default) == argument.default
