"""What every JSON file of a results folder has in common: one frozen class, which both writes and reads it.

A file may come from anybody. It is checked once, where it is read; past that point its fields are known.
"""

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, ClassVar, Self, TypeVar

from pydantic import ConfigDict, Field, Strict, ValidationError

from nin_bench.docstrings import Documented
from nin_bench.errors import SpecError
from nin_bench.files import MAX_BYTES, DamagedFileError, read_json, write_json

_T = TypeVar("_T")

Tuple = Annotated[tuple[_T, ...], Strict(False)]
"""A JSON list, kept as a tuple; its items are checked strictly all the same."""

Id = Annotated[str, Field(pattern=r"^[0-9A-Za-z_-]{1,64}$")]
"""The id of a cell or a variant. It names files, so it cannot lead out of a folder."""

NonNegative = Annotated[float, Field(ge=0, le=2.0**128)]
"""A measured number; no loss is larger, since losses are computed in single precision."""

Count = Annotated[int, Field(ge=0)]
Share = Annotated[float, Field(ge=0, le=1)]

RUN_SCHEMA = 2
"""The version of what a run writes: grid.json, records and predictions."""


class Part(Documented):
    """A frozen part of a file; an unknown field or a value of another type is refused."""

    model_config = ConfigDict(strict=True, frozen=True, extra="forbid", allow_inf_nan=False)


class Artefact(Part):
    """The content of a JSON file."""

    SCHEMA: ClassVar[int]
    """The version of the file's form; a file of another version is refused."""
    MAX_BYTES: ClassVar[int] = MAX_BYTES
    """A larger file is refused."""

    def __repr_args__(self) -> list[tuple[str | None, Any]]:
        """Only what is short: a name, an id, an outcome; a whole record or analysis would fill pages."""
        return [
            (name, value)
            for name, value in super().__repr_args__()
            if isinstance(value, str | int | float) and len(str(value)) <= 48
        ]

    @classmethod
    def read(cls, path: Path) -> Self:
        """Read a file.

        Raises:
            DamagedFileError: the file is torn, of another schema, or not as `write` writes it; it says why.
            FileNotFoundError: there is no such file.
            ResultsError: the system refused to read it.
        """
        return cls.parse(read_json(path, cls.SCHEMA, cls.MAX_BYTES))

    @classmethod
    def parse(cls, content: Mapping[str, Any]) -> Self:
        """Check plain values, as JSON has them, without schema and digest; DamagedFileError says what is wrong."""
        try:
            return cls.model_validate(content)
        except ValidationError as error:
            first = error.errors(include_url=False)[0]
            place = ".".join(str(part) for part in first["loc"])
            message = first["msg"].removeprefix("Value error, ")
            reason = f"{place}: {message[:1].lower()}{message[1:]}" if place else message
            raise DamagedFileError(f"is not as a run writes it ({reason})") from error
        except SpecError as error:
            raise DamagedFileError(f"is not as a run writes it ({error})") from error

    def write(self, path: Path) -> None:
        """Write the file with its schema and a digest, whole or not at all; ResultsError if the system refused."""
        write_json(path, self.model_dump(), self.SCHEMA)


class Machine(Part):
    """A machine as `describe_machine` describes it."""

    fingerprint: str
    """A hash of processor, cores, memory, accelerator and software."""
    processor: str | None = None
    num_cores: Count | None = None
    memory_bytes: Count | None = None
    device: str
    """`cpu`, or the accelerator's name."""
    software: dict[str, str | None] = Field(default={})
    """Versions by package."""
