from xml.etree import ElementTree

import pytest

from nin_bench.reporting.figures.drawing import Canvas, draw
from nin_bench.reporting.figures.plot_style import grid_of_panels
from nin_bench.reporting.figures.provenance import digest_in, sign_svg

DIGEST = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def picture():
    return draw("empty", "Empty", lambda: Canvas(grid_of_panels(1, "x", "y")[0], alt="", caption=""))


def test_an_svg_carries_the_digest_as_an_identifier(picture):
    root = ElementTree.fromstring(sign_svg(picture.svg, DIGEST))
    [identifier] = root.iter("{http://purl.org/dc/elements/1.1/}identifier")
    assert identifier.text == f"nin_bench data {DIGEST}"


def test_the_digest_is_read_back(picture):
    assert digest_in(sign_svg(picture.svg, DIGEST)) == DIGEST
    assert digest_in(picture.svg) is None
