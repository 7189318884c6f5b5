"""What changes a model's code digest, and what does not, on a package of two modules that is edited."""

import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import pytest

from nin_bench.errors import SpecError
from nin_bench.models import list_models, registry
from nin_bench.models.code import _read, code_digest, definition_digests
from nin_bench.plugins import registered

NETS = '''\
"""Nets."""

from typing import Annotated

from torch import nn

from nin_bench.models import About, ImageSpec, register_model
from spare_nets.blocks import row

Width = Annotated[int, About("number of units", minimum=1)]
UNITS = 3


@register_model
def spare(image: ImageSpec, *, width: Width = UNITS) -> nn.Module:
    """A net."""
    # one row
    return row(image.channels, width)


@register_model
def other(image: ImageSpec) -> nn.Module:
    return nn.Identity()
'''
BLOCKS = '''\
from torch import nn


def row(inputs: int, outputs: int) -> nn.Module:
    if inputs < 1:
        raise ValueError("no inputs")
    return Dense(inputs, outputs)


class Dense(nn.Linear):
    """A layer."""

    scale: float = 1.0

    def forward(self, x):
        return self.scale * super().forward(x)


def unused() -> int:
    return 1
'''

Digests = Callable[..., dict[str, str]]


@pytest.fixture
def digests(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Digests]:
    """Import the package, as edited, and digest a model of it; it is forgotten after the test."""
    list_models()
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(registered, "model", dict(registered["model"]))
    (tmp_path / "spare_nets").mkdir()

    def forget() -> None:
        for name in [name for name in sys.modules if name.startswith("spare_nets")]:
            del sys.modules[name]
        for name in ("spare", "other"):
            registered["model"].pop(name, None)
        _read.cache_clear()
        definition_digests.cache_clear()

    def found(old: str = "", new: str = "", model: str = "spare") -> dict[str, str]:
        assert old in NETS + BLOCKS
        forget()
        for name, text in {"__init__": "", "nets": NETS, "blocks": BLOCKS}.items():
            path = tmp_path / "spare_nets" / f"{name}.py"
            path.write_text(text.replace(old, new) if old else text)
        monkeypatch.setattr(sys, "dont_write_bytecode", True)
        import_module("spare_nets.nets")
        return dict(definition_digests(model))

    yield found
    forget()


def test_what_the_function_reaches_counts(digests):
    assert list(digests()) == ["blocks.Dense", "blocks.row", "nets.UNITS", "nets.spare"]
    assert list(digests(model="other")) == ["nets.other"]


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ('"""A net."""', '"""The same net, said otherwise."""'),
        ('"""A layer."""', ""),
        ("# one row", "# a single row"),
        ("return row(image.channels, width)", "return row(\n        image.channels,\n        width,\n    )"),
        ("number of units", "units"),
        ("inputs: int, outputs: int", "inputs, outputs"),
        ("no inputs", "there are no inputs"),
        ("return 1", "return 2"),
        ("nn.Identity()", "nn.Flatten()"),
    ],
)
def test_what_computes_nothing_or_is_not_reached_changes_nothing(digests, old, new):
    assert digests(old, new) == digests()


@pytest.mark.parametrize(
    ("old", "new", "changed"),
    [
        ("return row(image.channels, width)", "return row(image.channels, 2 * width)", {"nets.spare"}),
        ("UNITS = 3", "UNITS = 4", {"nets.UNITS"}),
        ("self.scale * super()", "self.scale + super()", {"blocks.Dense"}),
        ("scale: float = 1.0", "scale: float = 2.0", {"blocks.Dense"}),
        ("if inputs < 1:", "if inputs < 2:", {"blocks.row"}),
        ("from torch import nn\n\n\ndef row", "from torch import nn\n\nnn.Linear.spare = None\n\n\ndef row",
         {"blocks.(import)"}),
        ("return Dense(", "return nn.Linear(", {"blocks.row", "blocks.Dense"}),
    ],
)  # fmt: skip
def test_a_change_is_named(digests, old, new, changed):
    before = digests()
    after = digests(old, new)
    assert {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)} == changed


def test_a_models_digest_is_of_all_its_definitions(digests):
    digests()
    before = code_digest("spare")
    assert before is not None
    assert len(before) == 16
    digests("UNITS = 3", "UNITS = 4")
    assert code_digest("spare") not in (None, before)
    digests()
    assert code_digest("spare") == before


def test_every_built_in_model_has_a_digest_of_its_own_and_the_registry_is_no_part_of_it():
    found = {name: code_digest(name) for name in list_models()}
    assert None not in found.values()
    assert len(set(found.values())) == len(found)
    assert not [name for model in found for name in definition_digests(model) if name.startswith("registry.")]
    assert "layers.GlobalAveragePool" in definition_digests("nin_mnist")


def test_code_that_cannot_be_read_has_no_digest(digests, tmp_path):
    digests()
    for path in tmp_path.rglob("*.py"):
        path.unlink()
    _read.cache_clear()
    definition_digests.cache_clear()
    assert code_digest("spare") is None


def test_a_function_that_is_not_at_the_top_counts_with_its_whole_module(monkeypatch):
    monkeypatch.setitem(registered, "model", dict(registered["model"]))

    @registry.register_model
    def nested(image):
        return None

    assert "test_code.NETS" in definition_digests("nested")
    definition_digests.cache_clear()


def test_modules_of_one_name_in_two_packages_are_told_apart(digests, tmp_path):
    for part in ("first", "second"):
        folder = tmp_path / "spare_nets" / part
        folder.mkdir()
        (folder / "__init__.py").write_text("")
        (folder / "blocks.py").write_text(f"def {part}_row(*sizes):\n    return {part!r}\n\n\nSIZE = 1\n")
    imports = "".join(
        f"from spare_nets.{part}.blocks import SIZE as {part.upper()}\n" for part in ("first", "second")
    )
    uses = "UNITS = FIRST + SECOND"
    before = digests("UNITS = 3", f"{imports}{uses}")
    assert {"first.blocks.SIZE", "second.blocks.SIZE"} < before.keys()
    (tmp_path / "spare_nets" / "first" / "blocks.py").write_text("SIZE = 2\n")
    after = digests("UNITS = 3", f"{imports}{uses}")
    assert {name for name in before if before[name] != after[name]} == {"first.blocks.SIZE"}


@pytest.mark.parametrize("test", ["TYPE_CHECKING", "typing.TYPE_CHECKING"])
def test_only_the_other_branch_of_type_checking_runs(digests, test):
    branches = (
        f"import typing\nfrom typing import TYPE_CHECKING\nif {test}:\n    UNITS: int\nelse:\n    UNITS = 3\n"
    )
    before = digests("UNITS = 3\n", branches)
    assert "nets.UNITS" in before
    assert "nets.(import)" not in before
    assert digests("UNITS = 3\n", branches.replace("UNITS: int", "UNITS: float")) == before
    assert digests("UNITS = 3\n", branches.replace("UNITS = 3", "UNITS = 4")) != before


def test_an_unknown_model_has_no_code():
    with pytest.raises(SpecError, match="unknown model 'nni'; did you mean 'nin'"):
        code_digest("nni")
