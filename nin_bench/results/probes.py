"""Probes: what a trained network answers beside its test images as they are, and the file that keeps the answers.

Imports no torch.
"""

from itertools import pairwise
from typing import TYPE_CHECKING, Annotated, ClassVar, Literal, Self

from pydantic import AfterValidator, Field, model_validator

from nin_bench.files import DamagedFileError
from nin_bench.results.artefact import Artefact, Count, Id, Part, Share, Tuple

if TYPE_CHECKING:
    from nin_bench.results.records import Record

MAX_PIXELS = 4096
MAX_MAPPED = 20
"""Classes whose maps are kept, and test images of which they are kept."""
THUMBNAIL = 14
"""Height and width of a kept test image, in pixels."""


def _ascending(values: tuple[int, ...]) -> tuple[int, ...]:
    if any(one >= other for one, other in pairwise(values)):
        raise ValueError("is not ascending; sort the values, each named once")
    return values


ProbeState = Literal["made", "to make", "no weights"]
"""The state of a cell's probes. `to make`: with its training, or from kept weights. `no weights`: it is done, and
none were kept."""

_Shifts = Annotated[Tuple[Annotated[int, Field(ge=0, le=MAX_PIXELS)]], AfterValidator(_ascending)]
_Sizes = Annotated[Tuple[Annotated[int, Field(ge=1, le=MAX_PIXELS)]], AfterValidator(_ascending)]


class Probes(Part):
    """What a grid asks of its trained networks, beside their test images as they are."""

    shift: _Shifts = ()
    """Pixels that the test images are moved by, at the size at which the network sees them."""
    resolution: _Sizes = ()
    """Sizes of the test images, in pixels, that the network is tested at without further training."""
    class_maps: Annotated[int, Field(ge=0, le=MAX_MAPPED)] = 0
    """Test images whose class maps are kept: the first one of each class, of so many classes."""

    def covers(self, asked: "Probes") -> bool:
        """Whether whoever answered these has answered all that is asked."""
        return (
            set(asked.shift) <= set(self.shift)
            and set(asked.resolution) <= set(self.resolution)
            and asked.class_maps <= self.class_maps
        )

    def num_passes(self, resolution: int) -> float:
        """How often they pass the test images through the network, counted in passes at its own resolution."""
        return len(self.shift) + sum((size / resolution) ** 2 for size in self.resolution)


class ProbedAccuracy(Part):
    """Accuracy on the test images after a change."""

    at: Count
    """Pixels that they were moved by, or their size in pixels."""
    accuracy: Share | None
    """Test accuracy; None if the network cannot take such images."""
    not_possible: str | None = None
    """Why it cannot."""

    @model_validator(mode="after")
    def _is_known_or_not_possible(self) -> Self:
        if (self.accuracy is None) == (self.not_possible is None):
            raise ValueError("gives either an accuracy or why there is none")
        return self


class ImageMaps(Part):
    """What each class's map shows on a test image."""

    index: Count
    """The number of the image, among the test images."""
    label: Count
    """The number of its class."""
    thumbnail: Annotated[str, Field(pattern=rf"^[0-9a-f]{{{2 * THUMBNAIL**2}}}$")]
    """The image in grey, 14×14 pixels row by row, two hexadecimal digits each."""
    maps: Tuple[Tuple[Tuple[float]]]
    """The maps of the first classes, (classes, height, width), as they are averaged to the class scores."""

    @model_validator(mode="after")
    def _maps_are_of_one_size(self) -> Self:
        sizes = {(len(rows), len(row)) for rows in self.maps for row in rows}
        if len(sizes) != 1 or not 1 <= len(self.maps) <= MAX_MAPPED:
            raise ValueError("maps: are not of one size")
        return self


class ProbeFile(Artefact):
    """What a cell's trained network answered: `probes/<cell-id>.json`."""

    SCHEMA: ClassVar[int] = 1

    cell_id: Id
    test_accuracy: Share
    """That of the cell's record, by which the two are known to be of one network."""
    asked: Probes
    shift: Tuple[ProbedAccuracy]
    resolution: Tuple[ProbedAccuracy]
    class_maps: Tuple[ImageMaps] = ()
    """Empty for a network whose class scores are not the means of class maps."""

    @model_validator(mode="after")
    def _answers_what_was_asked(self) -> Self:
        for name in ("shift", "resolution"):
            if tuple(one.at for one in getattr(self, name)) != getattr(self.asked, name):
                raise ValueError(f"{name}: does not answer what was asked")
        if len(self.class_maps) > self.asked.class_maps:
            raise ValueError("class_maps: answers more than was asked")
        return self

    def check_is_of(self, record: "Record") -> None:
        """See that the answers are of a record's network; DamagedFileError if of another cell or training."""
        if self.cell_id != record.cell_id:
            raise DamagedFileError(f"holds the probes of another cell, {self.cell_id!r}")
        if record.outcome != "trained" or self.test_accuracy != record.metrics.test_accuracy:
            raise DamagedFileError("is of another training than its record")
