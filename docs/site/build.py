"""Gather the pages of the documentation site: those of the repository, and a reference made from the code.

`python docs/site/build.py FOLDER` writes the pages and zensical.toml; `make docs` then builds the site of them.
Relative links are those of the repository, so that pages read the same there; those to reports lead to their HTML.
"""

import json
import re
import shutil
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT / "docs" / "site"))

from reference import REFERENCE  # noqa: E402

Nav = dict[str, Any]

NAV: list[Nav] = [
    {"Home": "index.md"},
    {"Tutorial": "docs/tutorial.md"},
    {
        "How to": [
            {"Ask your own question": "docs/grids.md"},
            {"Use your own networks": "docs/own_models.md"},
            {"Find learning rates": "docs/search.md"},
            {"Watch a run": "docs/watch.md"},
            {"Stop and go on": "docs/resume.md"},
            {"Use several machines": "docs/cluster.md"},
            {"Change a grid, share cells": "docs/grow.md"},
            {"Use the numbers": "docs/results.md"},
            {"Work from Python": "docs/python.md"},
            {"Export a network": "docs/export.md"},
            {"Change nin_bench": "CONTRIBUTING.md"},
        ]
    },
    {
        "Explanation": [
            {"How a verdict is computed": "docs/reports.md"},
            {"How often it errs": "docs/statistics.md"},
            {"How costs are measured": "docs/costs.md"},
            {"What makes training fast": "docs/speed.md"},
            {"How fast it is": "docs/benchmarks.md"},
            {"Files from strangers": "docs/security.md"},
        ]
    },
    {"Reference": [{"Commands, briefly": "docs/commands.md"}, *({page.title: page.path} for page in REFERENCE)]},
    {"Changes": "CHANGELOG.md"},
]

_TOML = """\
[project]
site_name = "nin_bench"
site_description = "Claims about convolutional networks, turned into experiments for a sceptical reviewer."
docs_dir = "pages"
site_dir = "site"
use_directory_urls = false
nav = {nav}

[project.theme]
language = "en"
features = [
  "navigation.tabs", "navigation.top", "navigation.footer", "content.code.copy", "search.highlight", "toc.follow",
]

[[project.theme.palette]]
media = "(prefers-color-scheme: light)"
scheme = "default"
toggle.icon = "lucide/sun"
toggle.name = "Use dark colours"

[[project.theme.palette]]
media = "(prefers-color-scheme: dark)"
scheme = "slate"
toggle.icon = "lucide/moon"
toggle.name = "Use light colours"
"""
_LINK = re.compile(r"(\]\()([^)#\s]+)(#[^)\s]*)?(\))")


def gather(out: Path) -> None:
    """Write every page and the site's configuration into a folder."""
    pages = out / "pages"
    shutil.rmtree(pages, ignore_errors=True)
    sources = {Path("index.md"): ROOT / "README.md"}
    sources |= {Path(name): ROOT / name for name in ("CONTRIBUTING.md", "CHANGELOG.md", "SECURITY.md")}
    sources |= {path.relative_to(ROOT): path for path in sorted((ROOT / "docs").glob("*.md"))}
    nav = [*NAV]
    if (chapter := ROOT / "reports" / "README.md").exists():
        sources[Path("reports/README.md")] = chapter
        nav.insert(2, {"What was found": "reports/README.md"})
    for place, source in sources.items():
        _write(pages / place, _rewritten(source.read_text(), source, pages))
    for page in REFERENCE:
        _write(pages / page.path, page.text())
    _write(pages / "gallery.md", gallery(pages))
    nav.insert(-1, {"Gallery": "gallery.md"})
    _write(out / "zensical.toml", _TOML.format(nav=_toml(nav)))


def gallery(pages: Path) -> str:
    """A page that shows every report that ships, and puts the reports there."""
    lines = ["# Gallery", "", "Reports that ship, each made from records that ship."]
    for folder in sorted((ROOT / "reports" / "reference").glob("*/*")):
        shutil.copytree(folder, pages / folder.relative_to(ROOT), dirs_exist_ok=True, ignore=_no_markdown)
        name = folder.relative_to(ROOT).as_posix()
        for data, figure in (("report.json", "seeds"), ("search.json", "search_curves")):
            if not (folder / data).exists():
                continue
            found = json.loads((folder / data).read_text())
            page = f"{name}/{data.removesuffix('.json')}.html"
            lines += ["", f"## {found['name']}, {found['profile']}", "", " ".join(found["question"].split())]
            if (folder / "figures" / f"{figure}.svg").exists():
                lines += ["", f"[![{found['name']}]({name}/figures/{figure}.svg)]({page})"]
            lines += ["", f"[Open the report]({page})"]
    return "\n".join(lines) + "\n"


def _no_markdown(folder: str, names: Iterable[str]) -> list[str]:
    """A report's Markdown is for GitHub: here its HTML stands."""
    return [name for name in names if name.endswith(".md")]


def _rewritten(text: str, source: Path, pages: Path) -> str:
    """A page whose links lead to where their targets lie in the site; files that it links to are put there."""

    def rewrite(match: re.Match[str]) -> str:
        opened, target, anchor, closed = match.groups(default="")
        found = (source.parent / target).resolve()
        if "://" in target or not found.is_relative_to(ROOT) or not found.is_file():
            return match.group()
        if found == ROOT / "README.md":
            target = target.replace("README.md", "index.md")
        elif found.suffix == ".md" and found.is_relative_to(ROOT / "reports" / "reference"):
            target = target.removesuffix(".md") + ".html"
        elif found.suffix != ".md":
            goal = pages / found.relative_to(ROOT)
            goal.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(found, goal)
        return f"{opened}{target}{anchor}{closed}"

    return _LINK.sub(rewrite, text)


def _toml(value: Any) -> str:
    if isinstance(value, Mapping):
        return "{ " + ", ".join(f"{json.dumps(key)} = {_toml(one)}" for key, one in value.items()) + " }"
    if isinstance(value, Sequence) and not isinstance(value, str):
        return "[" + ", ".join(map(_toml, value)) + "]"
    return json.dumps(value)


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


if __name__ == "__main__":
    gather(Path(sys.argv[1]))
