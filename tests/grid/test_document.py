import pytest

from nin_bench.errors import InputError
from nin_bench.grid.document import header_comment, read_document, read_overrides, read_text, with_profile
from nin_bench.grid.yaml_source import MAX_BYTES

GRID = """\
schema: 1
name: tiny
recipe: {epochs: 10, lr: 0.1}
models: [{name: net}]
exclude: [{name: net, depth: 1}, {name: net, depth: 2}]
profiles:
  cpu:
    recipe: {epochs: 2}
    models: [{name: flat}, {name: net}]
    exclude: []
  quick:
    seeds: 1
"""


def refusal(text: str) -> str:
    with pytest.raises(InputError) as caught:
        read_document(text, "grid.yaml")
    return str(caught.value)


def test_the_header_is_read_over_several_lines():
    text = (
        "# yaml-language-server: $schema=grid.schema.json\n"
        "# Question: does a NiN block\n"
        "#           need its 1×1 layers,\n"
        "#\n"
        "#           and how many?\n"
        "# Run:      python -m nin_bench run --grid x.yaml\n"
        "# Expect:   45 cells: 40 minutes\n"
        "schema: 1\n"
        "# Question: not this one\n"
    )
    assert header_comment(text, "Question") == "does a NiN block need its 1×1 layers, and how many?"
    assert header_comment(text, "Run") == "python -m nin_bench run --grid x.yaml"
    assert header_comment(text, "Expect") == "45 cells: 40 minutes"


def test_a_grid_need_not_have_a_header():
    assert header_comment("schema: 1\n", "Question") == ""
    assert header_comment("", "Question") == ""
    assert header_comment("# Run: it\n", "Question") == ""


def test_a_byte_order_mark_is_no_part_of_the_text(tmp_path):
    (tmp_path / "grid.yaml").write_bytes(b"\xef\xbb\xbf# Question: why?\r\nschema: 1\r\n")
    text = read_text(tmp_path / "grid.yaml")
    assert text == "# Question: why?\nschema: 1\n"


def test_a_file_that_cannot_be_read_is_refused_with_the_reason(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "latin.yaml").write_bytes("name: é".encode("latin-1"))
    (tmp_path / "folder").mkdir()
    for name, reason in {
        "latin.yaml": "not text in UTF-8; save it so",
        "folder": "cannot be read: Is a directory; name a grid, a YAML file",
        "missing.yaml": "cannot be read: No such file or directory; name a grid, a YAML file",
    }.items():
        with pytest.raises(InputError) as caught:
            read_text(tmp_path.joinpath(name).relative_to(tmp_path))
        assert str(caught.value) == f"{name}: {reason}"


def test_of_a_file_without_end_enough_is_read_to_refuse_it(tmp_path):
    (tmp_path / "grid.yaml").write_text("é" * (MAX_BYTES * 3), encoding="utf-8")
    text = read_text(tmp_path / "grid.yaml")
    assert len(text) == MAX_BYTES + 1
    with pytest.raises(InputError, match=r"^grid.yaml: longer than 64 KiB, which is too long for a grid$"):
        read_document(text, "grid.yaml")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "grid.yaml:1:1: null is not a grid; write a mapping of fields"),
        ("[]", "grid.yaml:1:1: a list is not a grid; write a mapping of fields"),
        ("name: x", "grid.yaml:1:1: lacks 'schema'; add it"),
        ("schema: 2\nfuture: 1", "grid.yaml:1:9: schema: 2 is not a schema that this version reads; write 1"),
        ("schema: on", "grid.yaml:1:9: schema: true is not a schema that this version reads; write 1"),
        ("schema: [1]", "grid.yaml:1:9: schema: a list is not a schema that this version reads; write 1"),
    ],
)
def test_what_is_no_grid_is_refused(text, message):
    assert refusal(text) == message


def test_a_profile_is_merged_over_the_grid():
    name, root = with_profile(read_document(GRID, "grid.yaml"), "cpu", has_accelerator=False)
    merged = root.plain()
    assert name == "cpu"
    assert merged["recipe"] == {"epochs": 2, "lr": 0.1}  # key by key
    assert merged["models"] == [{"name": "flat"}, {"name": "net"}]  # whole
    assert merged["exclude"] == []
    assert root.value["recipe"].value["epochs"].path == "profiles.cpu.recipe.epochs"


@pytest.mark.parametrize(
    ("asked", "has_accelerator", "chosen"),
    [
        ("auto", False, "cpu"),
        ("auto", True, "full"),
        ("full", False, "full"),
        ("cpu", True, "cpu"),
        ("quick", False, "quick"),
    ],
)
def test_which_profile_applies(asked, has_accelerator, chosen):
    name, root = with_profile(read_document(GRID, "grid.yaml"), asked, has_accelerator)
    assert name == chosen
    if chosen == "full":
        assert root.plain()["recipe"] == {"epochs": 10, "lr": 0.1}


def test_a_grid_without_profiles_is_taken_as_written():
    root = read_document("schema: 1\nname: tiny\n", "grid.yaml")
    assert with_profile(root, "auto", has_accelerator=False) == ("full", root)


def test_an_unknown_profile_is_refused():
    with pytest.raises(InputError) as caught:
        with_profile(read_document(GRID, "grid.yaml"), "qiuck", has_accelerator=False)
    assert str(caught.value) == (
        "--profile: unknown profile 'qiuck'; did you mean 'quick'? Known: auto, cpu, full, quick"
    )


def test_overrides_become_a_document():
    over = read_overrides(["recipe.lr=1e-2", "data.resolution=[28, 32]", "recipe.epochs=2", "recipe.lr=0.5"])
    assert over.plain() == {"recipe": {"lr": 0.5, "epochs": 2}, "data": {"resolution": [28, 32]}}
    assert read_overrides([]).plain() == {}


@pytest.mark.parametrize("text", ["recipe.lr", "lr=0.1", "models.name=nin", "recipe=1", "recipe.=1", "=", ""])
def test_an_override_of_another_form_is_refused(text):
    with pytest.raises(InputError) as caught:
        read_overrides([text])
    assert str(caught.value) == f"--set {text}: write --set recipe.FIELD=VALUE or --set data.FIELD=VALUE"


def test_an_override_that_is_no_yaml_is_refused():
    with pytest.raises(InputError, match=r"^--set recipe\.lr=\[1:1:3: not YAML: "):
        read_overrides(["recipe.lr=[1"])
