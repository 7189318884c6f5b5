import io
from xml.etree import ElementTree

import pytest
from PIL import Image

from nin_bench.reporting.figures.drawing import Canvas, draw
from nin_bench.reporting.figures.plot_style import grid_of_panels
from nin_bench.reporting.figures.provenance import digest_in, sign_png, sign_svg

DIGEST = "0123456789abcdef" * 4


@pytest.fixture(scope="module")
def picture():
    return draw("empty", "Empty", lambda: Canvas(grid_of_panels(1, "x", "y")[0], alt="", caption=""))


def test_a_png_carries_the_digest_as_text_and_shows_the_same(picture):
    signed = sign_png(picture.png, DIGEST)
    with Image.open(io.BytesIO(picture.png)) as plain, Image.open(io.BytesIO(signed)) as found:
        found.verify()  # every chunk's checksum
        assert found.info["nin_bench data"] == DIGEST
        with Image.open(io.BytesIO(signed)) as again:
            assert again.tobytes() == plain.tobytes()


def test_an_svg_carries_the_digest_as_an_identifier(picture):
    root = ElementTree.fromstring(sign_svg(picture.svg, DIGEST))
    [identifier] = root.iter("{http://purl.org/dc/elements/1.1/}identifier")
    assert identifier.text == f"nin_bench data {DIGEST}"


def test_the_digest_is_read_back(picture):
    assert digest_in(sign_png(picture.png, DIGEST)) == DIGEST
    assert digest_in(sign_svg(picture.svg, DIGEST)) == DIGEST
    assert digest_in(picture.png) is None
    assert digest_in(picture.svg) is None
