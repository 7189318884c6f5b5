import json
import os
import re
import subprocess
import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nin_bench.catalog import RegistryCatalog, check_networks
from nin_bench.errors import InputError
from nin_bench.grid import Grid
from nin_bench.grid.load import MAX_CELLS
from nin_bench.grid.yaml_source import MAX_BYTES
from nin_bench.results import ResolvedGrid
from tests.faults.scale import Count, scaled

ROOT = Path(__file__).parents[2]
WHOLE = (ROOT / "experiments" / "quickstart.yaml").read_text()

# Generated grids: those that mean well, with something wrong in them, and texts with slips


def axis(values: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return values | st.lists(values, max_size=3)


JUNK = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=5,
)
RECIPE = st.fixed_dictionaries(
    {},
    optional={
        "epochs": axis(st.integers(-1, 12)),
        "batch_size": axis(st.integers(0, 512)),
        "lr": axis(st.floats(-0.1, 2)),
        "momentum": axis(st.sampled_from([0, 0.9, 1, -1])),
        "optimizer": axis(st.sampled_from(["sgd", "adam", "adamw", "lion"])),
        "schedule": axis(st.sampled_from(["constant", "cosine", "one_cycle", "sometimes"])),
        "nesterov": axis(st.booleans()),
        "label_smoothing": axis(st.floats(0, 1.2)),
    },
)
MODEL = st.one_of(
    st.fixed_dictionaries(
        {"name": st.just("mlp")},
        optional={
            "hidden": axis(st.integers(0, 64)),
            "recipe": RECIPE,
            "label": st.sampled_from(["{hidden}", "{recipe.lr} {hidden}", "all", "{", "{x}", ""]),
        },
    ),
    st.fixed_dictionaries(
        {"name": st.sampled_from(["lenet", "nin_mnist", "alexnet", "nonet"])},
        optional={
            "activation": axis(st.sampled_from(["relu", "sigmoid"])),
            "pointwise": axis(st.integers(-1, 3)),
            "width": axis(st.sampled_from([0, 0.1, 0.25])),
        },
    ),
)
PATTERN = st.fixed_dictionaries(
    {}, optional={"name": st.sampled_from(["mlp", "lenet", "none"]), "hidden": axis(st.integers(0, 64))}
)
HYPOTHESIS = st.fixed_dictionaries(
    {
        "id": st.text("abc-/. ", max_size=5),
        "claim": st.text(max_size=10),
        "metric": st.sampled_from(["test_accuracy", "num_params", "speed"]),
        "expect": st.sampled_from(["greater", "less", "equivalent", "maybe"]),
    },
    optional={
        "compare": st.lists(PATTERN, max_size=3),
        "minus": st.lists(PATTERN, max_size=3),
        "over": st.sampled_from(["hidden", "recipe.lr", "data.resolution", "speed", ""]),
        "of": PATTERN,
        "kinds": st.lists(st.sampled_from(["dense", "pointwise", "other", "fast"]), max_size=3),
        "margin": st.floats(-1, 1),
        "factor": st.floats(0, 3),
        "primary": st.booleans(),
    },
)
GRIDS = st.fixed_dictionaries(
    {
        "schema": st.sampled_from([1, 1, 1, 2]),
        "name": st.sampled_from(["tiny", "tiny", "../tiny", "Tiny", ""]),
        "data": st.fixed_dictionaries(
            {"name": st.sampled_from(["digits", "digits", "dogs"])},
            optional={
                "resolution": axis(st.integers(0, 32)),
                "normalize": axis(st.sampled_from(["none", "dataset"])),
                "train_size": axis(st.integers(0, 2000)),
                "folder": JUNK,
            },
        ),
        "models": st.lists(MODEL, max_size=3),
    },
    optional={
        "recipe": RECIPE,
        "seeds": st.integers(-1, 20_000)
        | st.lists(st.integers(-1, 5), max_size=4)
        | st.fixed_dictionaries({"until": st.just("decided"), "at_most": st.integers(0, 9)}),
        "exclude": st.lists(PATTERN, max_size=3),
        "baseline": PATTERN,
        "hypotheses": st.lists(HYPOTHESIS, max_size=2),
        "profiles": st.dictionaries(st.sampled_from(["cpu", "full", "../x"]), st.just({"seeds": 1}), max_size=2),
    },
)
TOKENS = [
    *("  ", "\t", "\n", ": ", "- ", "[", "]", "{", "}", "'", '"', ", ", "*x", "&x ", "!!int ", "# ", "? ", "|\n"),
    *("\x00", "é", "\u202e", "1e999", "~", "\ud800"),
]


@st.composite
def wrong_somewhere(draw: st.DrawFn) -> str:
    """A grid as JSON, which YAML reads; a value of it, or none, replaced by anything."""
    grid = draw(GRIDS)
    if draw(st.booleans()):
        place = grid
        while isinstance(place, dict) and place:
            key = draw(st.sampled_from(sorted(place)))
            if not isinstance(place[key], dict) or draw(st.booleans()):
                place[key] = draw(JUNK)
                break
            place = place[key]
    return json.dumps(grid, indent=draw(st.none() | st.just(1)), ensure_ascii=draw(st.booleans()))


@st.composite
def with_slips(draw: st.DrawFn) -> str:
    """A grid that ships, with a few pieces cut out and put in."""
    text = WHOLE
    for _ in range(draw(st.integers(1, 4))):
        start = draw(st.integers(0, len(text)))
        end = min(len(text), start + draw(st.sampled_from([0, 0, 1, 2, 40])))
        text = text[:start] + draw(st.sampled_from(["", *TOKENS]) | st.text(max_size=4)) + text[end:]
    return text


def test_generated_grids_are_loaded_or_refused_at_a_place_in_them(tmp_path, monkeypatch, inputs: Count):
    monkeypatch.chdir(tmp_path)
    counts = {"loaded": 0, "refused": 0}

    @settings(max_examples=scaled(150, 1500), deadline=None, suppress_health_check=list(HealthCheck))
    @given(wrong_somewhere() | with_slips())
    def check(text: str) -> None:
        Path("grid.yaml").write_bytes(text.encode(errors="surrogatepass"))
        try:
            grid = Grid.load(Path("grid.yaml"), RegistryCatalog(tmp_path))
            if len(grid.variants) <= 12:
                check_networks(grid.variants, tmp_path)
        except InputError as error:
            counts["refused"] += 1
            refusal = str(error)
        else:
            counts["loaded"] += 1
            check_loaded(grid)
            return
        *lines, last = refusal.splitlines()
        for line in lines if re.fullmatch(r"and [\d,]+ more", last) else [*lines, last]:
            place = re.match(r"grid\.yaml:(\d+):(\d+): ", line)
            if place is None:
                assert re.match(r"grid\.yaml: (not text in UTF-8; save it so|longer than 64 KiB, )", line), line
            else:
                assert 1 <= int(place[1]) <= 1 + len(re.findall(r"\r\n|[\n\r\x85\u2028\u2029]", text)), line
                assert 1 <= int(place[2]) <= 1 + len(text), line

    check()
    assert min(counts.values()) > sum(counts.values()) / 20, counts
    inputs("grids", sum(counts.values()))


def check_loaded(grid: Grid) -> None:
    """What a grid that loads must be, whatever it says."""
    assert 1 <= len(grid.cells) <= MAX_CELLS
    assert len({cell.cell_id for cell in grid.cells}) == len(grid.cells)
    assert len({variant.variant_id for variant in grid.variants}) == len(grid.variants)
    assert grid.selected == grid.cells
    assert all(variant.label.isprintable() for variant in grid.variants)
    assert re.fullmatch(r"[a-z0-9][a-z0-9_-]{0,63}", grid.name)
    resolved = grid.resolved("cpu")
    resolved.write(Path("grid.json"))
    assert ResolvedGrid.read(Path("grid.json")) == resolved


# Grids that mean harm, each written by hand

HEAD = "schema: 1\nname: x\ndata: {name: digits}\n"
MODELS = "models: [{name: mlp}]\n"


def many(unit: Callable[[int], str], head: str = "", tail: str = "") -> str:
    """As many units as 64 KiB take between head and tail."""
    text, number = [head], 0
    size = len(head) + len(tail)
    while size + len(unit(number)) <= MAX_BYTES:
        text.append(unit(number))
        size += len(text[-1])
        number += 1
    return "".join([*text, tail])


HARMFUL = {
    "longer than any grid": (HEAD + MODELS + "#" * MAX_BYTES, r": longer than 64 KiB"),
    "a hundred megabytes of blanks": (" " * 100_000_000, r": longer than 64 KiB"),
    "nested lists": ("- " * 32_000, r":1:33: .*nested more than 16 deep"),
    "nested brackets": ("[" * 65_000, r":1:17: .*nested more than 16 deep"),
    "nested mappings": ("{a: " * 16_000, r":1:65: .*nested more than 16 deep"),
    "a billion laughs": (
        "a: &a [x, x]\n" + "".join(f"{b}: &{b} [*{a}, *{a}]\n" for a, b in pairwise("abcdefghi")),
        r":1:4: a: anchor &a: anchors and aliases are not used",
    ),
    "an alias of itself": ("a: &a [*a]", r":1:4: a: anchor &a"),
    "a merge key": ("a: {<<: *b}", r":1:9: a\.<<: alias \*b"),
    "a Python object": ("a: !!python/object/apply:os.system [exit]", r":1:4: a: tag .*tags are not used"),
    "a tag of its own": ("a: !include /etc/passwd", r":1:4: a: tag '!include'"),
    "a key given thousands of times": (many(lambda _: "a: 1\n"), r":2:1: a: given twice, on line 1"),
    "thousands of fields": (many(lambda n: f"k{n}: 1\n"), r":1:1: lacks 'schema'"),
    "a number of a thousand digits": ("schema: " + "9" * 1000, r":1:9: schema: inf is not a schema"),
    "a number of 60,000 digits": (HEAD + MODELS + "seeds: " + "9" * 60_000, r":5:8: seeds: inf is not"),
    "a trillion seeds": (HEAD + MODELS + "seeds: 1000000000000", r":1:1: 1,000,000,000,000 cells"),
    "axes whose product is beyond counting": (
        HEAD
        + f"recipe: {{lr: {list(range(1, 2000))}, momentum: {[0] * 999}, weight_decay: {[0] * 999}}}\n"
        + f"models: [{{name: mlp, hidden: {list(range(1, 2000))}}}]",
        r":1:1: 3,988,012,994,001 cells before exclusions, over 100,000; shorten an axis$",
    ),
    "an axis of empty lists": (
        many(lambda n: "[],", HEAD + "models: [{name: mlp, hidden: [", "]}]"),
        r":4:\d+: models\[0\]\.hidden\[\d+\]: 10,000 values stand before this",
    ),
    "a layer of a billion units": (
        HEAD + "models: [{name: mlp, hidden: 999999999}]",
        r":4:30: models\[0\]\.hidden: 999999999 is not a number of units",
    ),
    "a width beyond floating point": (
        HEAD.replace("digits", "digits, resolution: 80") + "models: [{name: alexnet, width: 1e400}]",
        r":4:33: models\[0\]\.width: inf is not a",
    ),
    "not a number": (HEAD + "recipe: {lr: .nan}\n" + MODELS, r":4:14: recipe\.lr: nan is not"),
    "a NUL": (HEAD + "models: [{name: 'ml\x00p'}]", r":4:20: not YAML: character U\+0000"),
    "an escape that no character has": ('a: "\\UFFFFFFFF"', r":1:7: not YAML: a number out of range"),
    "half a character": (HEAD + 'models: [{name: "\\ud800"}]', r":4:17: .*half a character"),
    "a name that climbs out": (
        "schema: 1\nname: ../../etc\ndata: {name: digits}\n" + MODELS,
        r":2:7: name: '\.\./\.\./etc' is not a short name",
    ),
    "a profile that climbs out": (
        HEAD + MODELS + "profiles: {../up: {}}",
        r":5:12: profiles\.\.\./up: '\.\./up' is not a short name",
    ),
    "a folder that climbs out": (
        HEAD.replace("digits", "image_folder, resolution: 8, folder: ../../etc") + MODELS,
        r":3:51: data\.folder: '\.\./\.\./etc' leaves the data directory",
    ),
    "thousands of patterns against thousands of cells": (
        many(
            lambda n: f"- {{hidden: {n + 5000}}}\n",
            HEAD + f"seeds: 10\nmodels: [{{name: mlp, hidden: {list(range(1, 1001))}}}]\nexclude:\n",
            "- {hidden: x, name: mlp}",
        ),
        r":\d+:12: exclude\[\d+\]\.hidden: 'x' is not a number of",
    ),
    "two documents": (HEAD + MODELS + "---\n" + HEAD, r":5:1: a second document"),
    "bytes that are no text": ("\udcff", r": not text in UTF-8"),
}  # fmt: skip


@pytest.mark.parametrize("what", HARMFUL)
def test_a_grid_that_means_harm_is_refused_at_its_place(tmp_path, monkeypatch, faults: Count, what):
    monkeypatch.chdir(tmp_path)
    text, refusal = HARMFUL[what]
    Path("grid.yaml").write_bytes(text.encode(errors="surrogateescape" if "\udcff" in text else "strict"))
    with pytest.raises(InputError) as caught:
        Grid.load(Path("grid.yaml"), RegistryCatalog(tmp_path))
    told = str(caught.value)
    assert len(told.splitlines()) <= 11
    assert len(told) < 2000
    assert re.match(rf"grid\.yaml{refusal}", told), told
    faults("hand-made malicious grids", 1)


MEASURE = """
import resource, sys, time
from pathlib import Path

from nin_bench.errors import InputError
from nin_bench.grid import Grid
from nin_bench.models import list_models
from nin_bench.catalog import RegistryCatalog

list_models()  # which imports torch


def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss // 1024


before, longest = peak(), 0.0
for path in sys.argv[1:]:
    begun = time.process_time()
    try:
        Grid.load(Path(path), RegistryCatalog(Path(".")))
    except InputError:
        pass
    longest = max(longest, time.process_time() - begun)
print(peak() - before, longest)
"""


def test_grids_that_mean_harm_take_less_than_500_megabytes_and_3_seconds(tmp_path, faults: Count):
    for number, (text, _) in enumerate(HARMFUL.values()):
        (tmp_path / f"{number}.yaml").write_bytes(text.encode(errors="surrogateescape"))
    done = subprocess.run(
        [sys.executable, "-c", MEASURE, *(f"{number}.yaml" for number in range(len(HARMFUL)))],
        cwd=tmp_path, env={**os.environ, "PYTHONPATH": str(ROOT)}, capture_output=True, text=True, check=True,
    )  # fmt: skip
    megabytes, seconds_of_processor = map(float, done.stdout.split())
    assert megabytes < 500
    assert seconds_of_processor < 3  # it takes less than 1; processors differ, and other work slows them
    faults("malicious grids, for the memory and the processor's time that each takes", len(HARMFUL))
