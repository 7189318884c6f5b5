"""What a figure says: its words, in the order in which they are drawn."""

from xml.etree import ElementTree

from nin_bench.reporting.figures import Drawing


def words(drawing: Drawing) -> list[str]:
    root = ElementTree.fromstring(drawing.svg)
    return ["".join(text.itertext()) for text in root.iter("{http://www.w3.org/2000/svg}text")]
