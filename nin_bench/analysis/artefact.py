"""What the written analyses have in common: of a run, of a search, of two folders."""

from typing import ClassVar

from pydantic import ConfigDict

from nin_bench.results.artefact import Artefact


class AnalysisArtefact(Artefact):
    """What follows from a results folder by computing, raw and unrounded."""

    SCHEMA: ClassVar[int] = 2
    MAX_BYTES: ClassVar[int] = 256 * 2**20

    model_config = ConfigDict(strict=False)
