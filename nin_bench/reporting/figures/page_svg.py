"""matplotlib's SVG as part of a page: in the page's colours, without any style that its policy would refuse."""

import re
from collections.abc import Iterator, Mapping, Sequence
from xml.etree import ElementTree
from xml.etree.ElementTree import Element

from nin_bench.reporting.figures.plot_style import page_colors

_DROPPED = {"metadata", "style", "title"}
_NEVER_NEEDED = {"font-family", "font-stretch"}
"""Text has the page's font."""
_REFERENCE = re.compile(r"url\(#([^)]*)\)")
_LONG_NUMBER = re.compile(r"(\d+\.\d\d)\d+")
_DEFAULTS = {"stroke-linejoin": "round", "stroke-linecap": "butt"}
"""What matplotlib says in a style sheet for the whole figure."""


def inline_svg(
    svg: bytes,
    name: str,
    alt: str,
    digest: str,
    marks: Mapping[str, Sequence[Mapping[str, str | None]]],
    parts: Mapping[str, str],
    switches: Mapping[str, str],
) -> str:
    """An SVG element that can stand in an HTML page beside others.

    Args:
        svg: as matplotlib writes it, with text as text.
        name: prefix of all its ids.
        alt: one sentence for readers who see no picture.
        digest: of the data that it draws, which the element carries.
        marks: by an artist's id, what each of its marks stands for: attributes, of which those that are None are
            left out.
        parts: variants by the id of what belongs to them.
        switches: variants by the id of what hides and shows them.
    """
    root = ElementTree.fromstring(svg)
    _clean(root, name)
    groups = {element.get("id", "").removeprefix(f"{name}-"): element for element in root.iter("g")}
    for gid, said in marks.items():
        shapes = list(_shapes(groups[gid])) if gid in groups else []
        if len(shapes) == len(said):
            for shape, mark in zip(shapes, said, strict=True):
                shape.attrib.update({f"data-{key}": value for key, value in mark.items() if value is not None})
    for gid, variant in parts.items():
        if gid in groups:
            groups[gid].set("data-variant", variant)
    for gid, variant in switches.items():
        groups[gid].attrib |= {"data-switch": variant, "role": "button", "tabindex": "0", "aria-pressed": "true"}
    view = root.get("viewBox", "")
    root.attrib.clear()
    root.attrib |= {
        "id": name, "class": "figure", "viewBox": view, "role": "group", "tabindex": "0", "aria-label": alt,
        "data-digest": digest, "font-size": "10", "fill": "currentColor", **_DEFAULTS,
    }  # fmt: skip
    return ElementTree.tostring(root, encoding="unicode")


def _clean(element: Element, name: str) -> None:
    element.tag = _local(element.tag)
    element.tail = element.tail.strip() if element.tail and element.tag != "tspan" else None
    if element.tag != "text":
        element.text = None
    attributes = {_local(key): value for key, value in element.attrib.items()}
    for declaration in attributes.pop("style", "").split(";"):
        key, _, value = declaration.partition(":")
        if value and key.strip() not in _NEVER_NEEDED:
            attributes[key.strip()] = value.strip().removesuffix("px")
    element.attrib.clear()
    element.attrib |= {key: _value(key, value, name) for key, value in attributes.items()}
    for child in list(element):
        if _local(child.tag) in _DROPPED or child.get("id") == "patch_1":  # the background of all
            element.remove(child)
        else:
            _clean(child, name)


def _value(key: str, value: str, name: str) -> str:
    if key == "id":
        return f"{name}-{value}"
    if key == "href" and value.startswith("#"):
        return f"#{name}-{value[1:]}"
    value = _REFERENCE.sub(lambda match: f"url(#{name}-{match[1]})", value)
    if key in {"fill", "stroke"}:
        return page_colors().get(value, value)
    return _LONG_NUMBER.sub(r"\1", value) if key in {"d", "x", "y", "transform"} else value


def _shapes(group: Element) -> Iterator[Element]:
    """What a group draws, in its order; what is only defined there is not drawn."""
    for child in group:
        if child.tag in {"path", "use", "text"}:
            yield child
        elif child.tag != "defs":
            yield from _shapes(child)


def _local(name: str) -> str:
    """Without the namespace."""
    return name.rpartition("}")[2]
