import json
import math
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nin_bench.errors import InputError
from nin_bench.grid.yaml_source import MAX_BYTES, Node, parse_yaml

NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), max_size=20)
SCALARS = (
    st.none()
    | st.booleans()
    | st.integers(-(10**16), 10**16)
    | st.floats(allow_nan=False, allow_infinity=False)
    | NAMES
)
VALUES = st.recursive(
    SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(NAMES, inner, max_size=4)
)
WEIRD = st.text() | st.text(
    st.sampled_from(
        [*"ab01:-?,[]{}#&*!|>'\"%@` \n\t\r\\.~<+=_xU", "\x00", "\x1b", "\x85", "\u2028", "\ufeff", "\ud800"]
    )
)


def plain(text: str) -> object:
    return parse_yaml(text, "grid.yaml").plain()


def refusal(text: str, source: str = "grid.yaml") -> str:
    with pytest.raises(InputError) as caught:
        parse_yaml(text, source)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def walk(node: Node):
    yield node
    children = node.value.values() if isinstance(node.value, dict) else node.value
    for child in children if isinstance(node.value, dict | list) else ():
        yield from walk(child)


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("1e-3", 0.001),
        ("1.0e-3", 0.001),
        ("-.5", -0.5),
        ("1.", 1.0),
        ("+2E2", 200.0),
        (".inf", math.inf),
        ("-.INF", -math.inf),
        ("7", 7),
        ("-7", -7),
        ("10_000", 10_000),
        ("010", 10),
        ("123456789012345678", 123456789012345678),
        ("1234567890123456789", 1234567890123456789.0),
        ("on", True),
        ("Yes", True),
        ("TRUE", True),
        ("off", False),
        ("No", False),
        ("false", False),
        ("", None),
        ("~", None),
        ("null", None),
        ("y", "y"),
        ("0x1F", "0x1F"),
        ("1_", "1_"),
        ("1e", "1e"),
        ("12:30", "12:30"),
        ("2026-01-01", "2026-01-01"),
        ("<<", "<<"),
        ("'1'", "1"),
        ('"on"', "on"),
        ('""', ""),
        ("two\n words", "two words"),
        ("|\n 1\n", "1\n"),
    ],
)
def test_a_scalar(text, value):
    found = plain(text)
    assert found == value
    assert type(found) is type(value)


@pytest.mark.parametrize("text", [".nan", ".NaN", ".NAN"])
def test_not_a_number_is_a_float(text):
    assert math.isnan(plain(text))


def test_mappings_and_lists():
    assert plain("a: 1\nb: [x, {c: }]\nd:\n- - 2\n") == {"a": 1, "b": ["x", {"c": None}], "d": [[2]]}


@pytest.mark.parametrize("text", ["", "\n\n", "# nothing but a comment\n", "---\n...\n"])
def test_an_empty_document_is_null(text):
    node = parse_yaml(text, "grid.yaml")
    assert node.value is None
    assert node.line >= 1


def test_every_value_remembers_its_place_and_its_name():
    text = "recipe:\n  lr: 0.1\nmodels:\n  - {name: nin, pointwise: [0, 1]}\n"
    places = {node.path: (node.line, node.column) for node in walk(parse_yaml(text, "grid.yaml"))}
    assert places == {
        "": (1, 1),
        "recipe": (2, 3),
        "recipe.lr": (2, 7),
        "models": (4, 3),
        "models[0]": (4, 5),
        "models[0].name": (4, 12),
        "models[0].pointwise": (4, 28),
        "models[0].pointwise[0]": (4, 29),
        "models[0].pointwise[1]": (4, 32),
    }
    recipe = parse_yaml(text, "grid.yaml").value["recipe"]
    assert str(recipe.error("what is wrong")) == "grid.yaml:2:3: recipe: what is wrong"
    assert str(recipe.key_error("what is wrong")) == "grid.yaml:1:1: recipe: what is wrong"


def test_an_option_is_its_own_place():
    node = parse_yaml("-1", "--set recipe.lr=-1")
    assert str(node.error("-1 is wrong")) == "--set recipe.lr=-1: -1 is wrong"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a: 1\nb: &x 2", "grid.yaml:2:4: b: anchor &x: anchors and aliases are not used in grids; leave it out"),
        ("a: *x", "grid.yaml:1:4: a: alias *x: aliases are not expanded; write the value out"),
        ("a: {<<: *x}", "grid.yaml:1:9: a.<<: alias *x: aliases are not expanded; write the value out"),
        ("*x : 1", "grid.yaml:1:1: alias *x: aliases are not expanded; write the value out"),
        (
            "a: [!!python/name:os.system x]",
            "grid.yaml:1:5: a[0]: tag 'tag:yaml.org,2002:python/name:os.system': "
            "tags are not used in grids; leave it out",
        ),
        ("! a", "grid.yaml:1:1: tag '!': tags are not used in grids; leave it out"),
        ("a:\n  lr: 1\n  lr: 2", "grid.yaml:3:3: a.lr: given twice, on line 2 already; keep one"),
        ("{a: 1, 'a': 2}", "grid.yaml:1:8: a: given twice, on line 1 already; keep one"),
        ("a: {[x]: 1}", "grid.yaml:1:5: a: a field's name must be plain text"),
        ('"a\\e": 1', "grid.yaml:1:1: a field's name must be plain text"),
        ("a: 1\n---\nb: 2", "grid.yaml:2:1: a second document; a grid is one document"),
        (
            "[" * 17,
            f"grid.yaml:1:17: {'[0]' * 16}: nested more than 16 deep; no grid needs that",
        ),
        ("a: 1\nb: \x00", "grid.yaml:2:4: not YAML: character U+0000; leave it out"),
        ("a: \ud800", "grid.yaml:1:4: not YAML: character U+D800; leave it out"),
        ('a: "\\ud800"', "grid.yaml:1:4: a: '\\ud800' holds half a character; write the whole character itself"),
        ('"\\UFFFFFFFF"', "grid.yaml:1:4: not YAML: a number out of range; use a smaller one"),
    ],
)
def test_what_no_grid_needs_is_refused_at_its_place(text, message):
    assert refusal(text) == message


TAB = "a tab; indent with spaces"
QUOTE = "a quote that is not closed; close it; in '…' an apostrophe is written ''"
FIELD = "a line without a field; write a name, a colon and a space: name: value"
COLUMN = (
    "a line that does not go with those before it; begin the fields of a section in one column, "
    "put a space after each colon and after a list's dashes"
)
TEXT = "text goes on behind a value, or holds a colon; put the whole text in quotes"
OPEN = "the bracket of line {} is not closed; add {}, or a comma before this"
COLON = (
    "a second colon in the bracket of line {}; "
    "add }}, or a comma before its field, or quote text that holds a colon"
)
DIRECTIVE = "a line that begins with % speaks to the parser; leave it out; a grid needs none"
MARK = "text cannot begin with a mark of YAML's own; put it in quotes"


@pytest.mark.parametrize(
    ("text", "place", "message"),
    [
        ("recipe:\n\tlr: 1", "2:1", TAB),
        ("recipe:\n  epochs: 3\n\tlr: 1", "3:1", TAB),
        ("models:\n\t- {name: nin}", "2:1", TAB),
        ("schema: 1\nname:tiny\nseeds: 2", "2:1", FIELD),
        ("recipe:\n  epochs: 2\n  lr:0.1\nseeds: 2", "3:3", FIELD),
        ("schema:1\nname: tiny", "2:5", COLUMN),
        ("recipe:\n  lr: 1\n    epochs: 2", "3:11", COLUMN),
        ("recipe:\n   lr: 1\n  epochs: 2", "3:3", COLUMN),
        ("models:\n  - {name: nin}\n - {name: vgg}", "3:2", COLUMN),
        ("models:\n  - {name: nin}\n  -{name: vgg}", "3:3", COLUMN),
        ("models:\n  {name: nin}\n  {name: vgg}", "3:3", COLUMN),
        ("  schema: 1\nname: tiny", "2:1", COLUMN),
        ("models:\n  - {name: nin, pointwise: [0, 1}", "2:33", OPEN.format(2, "]")),
        ("models:\n  - {name: 'nin'\nseeds: 2", "3:1", OPEN.format(2, "}")),
        ("models:\n  - {name: nin\nseeds: 2", "3:6", COLON.format(2)),
        ("models: [\n  {name: nin},\n  {name: vgg}\nseeds: 2", "4:1", OPEN.format(1, "]")),
        ("data: {name: dots resolution: 3}", "1:29", COLON.format(1)),
        ("seeds: [1, 2]]", "1:14", "a bracket that was not opened; take it out, or put the text in quotes"),
        ("a: 'x", "1:4", QUOTE),
        ('hypotheses:\n  - says: "Two are better\n    id: x\nseeds: 2', "2:11", QUOTE),
        ("says: 'It's better'", "1:11", TEXT),
        ("says: Claim: two beat one", "1:12", TEXT),
        ('says: "Two" beat one', "1:13", TEXT),
        ("says: {two} beat one", "1:13", TEXT),
        ("a: {says: Claim: two}", "1:16", COLON.format(1)),
        ("says: @home", "1:7", "text cannot begin with @; put it in quotes"),
        ("says: *two* beat one", "1:11", MARK),
        ("says: > 0.9 is good", "1:9", MARK),
        ('says: "a\\q"', "1:10", "an escape that YAML does not know; use single quotes, or write \\\\ for \\"),
        ("%YAML x", "1:7", DIRECTIVE),
        ("%YAML 9.9\n---\na: 1", "1:1", DIRECTIVE),
        ("%YAML 1.1\n%YAML 1.1\n---\na: 1", "2:1", DIRECTIVE),
        ("%TAG ! !\n%TAG ! !\n---\na: 1", "2:1", DIRECTIVE),
    ],
)  # fmt: skip
def test_a_slip_in_the_syntax_is_answered_where_it_is_with_what_to_do(text, place, message):
    assert refusal(f"{text}\n") == f"grid.yaml:{place}: not YAML: {message}"


def test_deep_nesting_exhausts_nothing():
    assert "nested more than 16 deep" in refusal("- " * 30_000)
    assert "nested more than 16 deep" in refusal("{a: " * 15_000)
    assert plain("[" * 16 + "]" * 16)


def test_at_most_64_kib_are_read():
    comment = "é" * (MAX_BYTES // 2 - 3) + "\n"
    assert plain("a: 1\n#" + comment[2:]) == {"a": 1}
    assert refusal("a: 1\n#" + comment) == "grid.yaml: longer than 64 KiB, which is too long for a grid"


def test_a_place_is_found_by_fields_and_positions_and_what_is_not_there_is_passed_over():
    node = parse_yaml("a: {b: [1, {c: 2}]}", "grid.yaml")
    assert node.at("a", "b", 1, "c").value == 2
    assert node.at("a", "(list)", "b", 0).value == 1
    assert node.at("a", "d") is node.value["a"]
    assert node.section("a") is node.value["a"]
    assert (node.section("d").value, node.section("d").path) == ({}, "d")


def test_merging_goes_key_by_key_and_replaces_lists_whole():
    under = parse_yaml("a: {x: 1, y: [1, 2]}\nb: 1\nc: {z: 1}", "grid.yaml")
    over = parse_yaml("\na: {y: [3]}\nc: 5\nd: 6", "grid.yaml")
    merged = under.merged(over)
    assert merged.plain() == {"a": {"x": 1, "y": [3]}, "b": 1, "c": 5, "d": 6}
    assert merged.value["a"].value["x"].line == 1
    assert merged.value["a"].value["y"].line == 2
    assert under.plain() == {"a": {"x": 1, "y": [1, 2]}, "b": 1, "c": {"z": 1}}


@settings(deadline=None)
@given(VALUES)
def test_plain_values_come_back_as_they_were_written(value):
    found = plain(json.dumps(value, ensure_ascii=False))
    assert found == value
    assert json.dumps(found) == json.dumps(value)  # 1, 1.0 and true are equal, and not the same


@settings(deadline=None)
@given(WEIRD)
def test_any_text_is_parsed_or_refused_at_a_place_inside_it(text):
    num_lines = 1 + sum(map(text.count, "\n\r\x85\u2028\u2029"))
    try:
        places = [(node.line, node.column) for node in walk(parse_yaml(text, "f"))]
    except InputError as error:
        refused = re.fullmatch(r"f:(\d+):(\d+): .+", str(error))
        places = [(int(refused[1]), int(refused[2]))]
    for line, column in places:
        assert 1 <= line <= num_lines
        assert 1 <= column <= len(text) + 1


@settings(deadline=None)
@given(NAMES.filter(str.isprintable), SCALARS)
def test_a_place_is_where_the_value_stands(name, value):
    written = json.dumps(value, ensure_ascii=False)
    text = f"first: 1\n{json.dumps(name, ensure_ascii=False)}: {written}\n"
    node = parse_yaml(text, "grid.yaml").value[name]
    assert text.splitlines()[node.line - 1][node.column - 1 :] == written
