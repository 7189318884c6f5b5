from itertools import combinations

import numpy as np
from matplotlib.colors import to_rgb

from nin_bench.reporting.figures.plot_style import INK, PALETTE, PAPER, page_colors, page_style, styles

DARK_PAGE = "#14171a"


def linear(color):
    """Intensities of red, green and blue light. Source: IEC 61966-2-1."""
    return np.array([c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in to_rgb(color)])


def contrast(a, b):
    """Source: Web Content Accessibility Guidelines 2.1, relative luminance."""
    high, low = sorted((linear(color) @ (0.2126, 0.7152, 0.0722) for color in (a, b)), reverse=True)
    return (high + 0.05) / (low + 0.05)


def lab(rgb):
    """CIE L*a*b* of linear light under D65."""
    xyz = np.array([[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]) @ rgb
    f = [np.cbrt(v) if v > 0.008856 else 7.787 * v + 16 / 116 for v in xyz / (0.9505, 1.0, 1.089)]
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


# what a reader without green cones sees, of linear light. Source: Machado, Oliveira and Fernandes, 2009
DEUTERANOPIA = np.array(
    [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413], [-0.01182, 0.04294, 0.968881]]
)


def test_every_colour_stands_out_from_its_background():
    for light, dark in PALETTE:
        assert contrast(light, PAPER) >= 3, light
        assert contrast(dark, DARK_PAGE) >= 3, dark
    assert contrast(INK, PAPER) >= 7


def test_colours_are_told_apart_in_light_and_dark():
    for theme in zip(*PALETTE, strict=True):
        for a, b in combinations(theme, 2):
            assert np.linalg.norm(lab(linear(a)) - lab(linear(b))) > 18, (a, b)


def test_what_readers_without_green_cones_confuse_has_another_marker():
    looks = list(styles([str(number) for number in range(len(PALETTE))]).values())
    for theme in zip(*PALETTE, strict=True):
        seen = [lab(np.clip(DEUTERANOPIA @ linear(color), 0, 1)) for color in theme]
        for a, b in combinations(range(len(PALETTE)), 2):
            assert looks[a].marker != looks[b].marker or np.linalg.norm(seen[a] - seen[b]) > 20, (
                theme[a],
                theme[b],
            )


def test_styles_tell_every_variant_apart():
    found = styles([str(number) for number in range(72)])
    assert len({(style.color, style.marker) for style in found.values()}) == 72
    assert len({style.color for style in list(found.values())[:9]}) == 9  # as many as onexone has
    assert "v" not in {style.marker for style in found.values()}


def test_a_page_has_a_value_for_every_colour():
    assert page_colors() == {INK: "currentColor", PAPER: "var(--page)"} | {
        light: f"var(--series-{number})" for number, (light, _) in enumerate(PALETTE)
    }
    assert f"--series-0:light-dark({PALETTE[0][0]},{PALETTE[0][1]});" in page_style()
