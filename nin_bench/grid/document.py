"""From a grid's file to one document: its profile laid over it, beside what the user sets."""

import re
import shlex
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from nin_bench.errors import InputError, shown, unknown_name
from nin_bench.grid.file import SCHEMA
from nin_bench.grid.yaml_source import MAX_BYTES, Node, parse_yaml
from nin_bench.plugins import own_file


def read_text(path: Path) -> str:
    """The file's text, cut off where it is too long to be parsed; InputError if it is missing or not UTF-8."""
    try:
        with path.open(encoding="utf-8-sig") as stream:
            return stream.read(MAX_BYTES + 1)  # enough to be refused
    except UnicodeDecodeError as error:
        raise InputError(f"{path}: not text in UTF-8; save it so") from error
    except OSError as error:
        raise InputError(f"{path}: cannot be read: {error.strerror or error}; name a grid, a YAML file") from error


def read_document(text: str, source: str) -> Node:
    """Parse a grid, and check that this version can read it; InputError with its place in the text."""
    root = parse_yaml(text, source)
    if not isinstance(root.value, dict):
        raise root.error(f"{shown(root.value)} is not a grid; write a mapping of fields")
    if "schema" not in root.value:
        raise root.error("lacks 'schema'; add it")
    schema = root.at("schema")
    if schema.value != SCHEMA or isinstance(schema.value, bool):
        raise schema.error(f"{shown(schema.value)} is not a schema that this version reads; write {SCHEMA}")
    return root


def with_profile(root: Node, profile: str, has_accelerator: bool) -> tuple[str, Node]:
    """The name of the profile that applies, and the grid with it laid over; InputError if there is none."""
    profiles = root.section("profiles").value
    if not isinstance(profiles, dict):
        return "full", root  # refused when all is validated
    if profile == "auto":
        profile = "cpu" if "cpu" in profiles and not has_accelerator else "full"
    if profile == "full":
        return profile, root
    if profile not in profiles:
        raise InputError(f"--profile: {unknown_name('profile', profile, [*profiles, 'auto', 'full'])}")
    over = profiles[profile]
    return profile, root.merged(over) if isinstance(over.value, dict) else root


def read_overrides(texts: Sequence[str]) -> Node:
    """What `--set` says, to lay over a grid; InputError if it is not `recipe.FIELD=VALUE`, or `data.…`."""
    merged = Node({}, "--set", 1, 1)
    for text in texts:
        source = f"--set {text}"
        field, equals, value = text.partition("=")
        part, _, name = field.partition(".")
        if not equals or part not in ("recipe", "data") or not name:
            raise InputError(f"{source}: write --set recipe.FIELD=VALUE or --set data.FIELD=VALUE")
        node = replace(parse_yaml(value, source), path=field)
        merged = merged.merged(replace(node, value={part: replace(node, value={name: node})}))
    return merged


def trials_override(count: int) -> Node:
    """`--trials`, as a document to lay over a grid."""
    node = Node(count, f"--trials {count}", 1, 1)
    return replace(node, value={"search": replace(node, value={"trials": node})})


def check_models_from(root: Node, path: Path) -> None:
    """Refuse a grid whose `models_from` names another file than the one that the command was given."""
    if not isinstance(root.value.get("models_from"), Node) or not isinstance(root.at("models_from").value, str):
        return  # refused later, if it is wrong
    wanted = path.parent / root.at("models_from").value
    own = own_file()
    if own is None or own != wanted.resolve():
        raise root.at("models_from").error(
            f"the grid needs the models of {wanted}, and runs no code itself; if you trust that file, add "
            f"--models {shlex.quote(str(wanted))}"
        )


def header_comment(text: str, title: str) -> str:
    """What the comment at the file's top says after `# Title:`, its further lines joined."""
    words: list[str] = []
    inside = False
    for line in text.splitlines():
        if not line.startswith("#"):
            break
        comment = line.lstrip("#").strip()
        if re.match(r"[A-Z][a-z]+:", comment):
            inside = comment.startswith(f"{title}:")
            comment = comment.removeprefix(f"{title}:")
        if inside:
            words += comment.split()
    return " ".join(words)
