"""Show a search's events, as lines."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from nin_bench.search.run import SearchEvent, SearchPlanned, TrialEnded, TrialEpochEnded, TrialStarted
from nin_bench.search.study import VariantStudy


@contextmanager
def shown_on(stream: TextIO, heading: str) -> Iterator[Callable[[SearchEvent], None]]:
    """A listener for `search_grid`."""
    yield _Lines(stream, heading)


class _Lines:
    def __init__(self, stream: TextIO, heading: str) -> None:
        self.stream = stream
        self.heading = heading

    def __call__(self, event: SearchEvent) -> None:
        match event:
            case SearchPlanned():
                self._say(self.heading)
                self.started = time.monotonic()
                self.todo = {
                    study.name: (study.spec.trials - study.num_done) * study.epochs for study in event.studies
                }
                self.total = sum(self.todo.values())
                self.seen = 0
            case TrialStarted():
                values = ", ".join(f"{name}={value}" for name, value in event.params.items())
                self._say(f"{_named(event.study, event.number)}: started on {event.device} with {values}")
            case TrialEpochEnded():
                self.seen += 1
                news = event.news
                name = event.study.spec.objective.replace("_", " ")
                self._say(
                    f"{_named(event.study, event.number)}: epoch {news.epoch}/{event.study.epochs}, {name} {news.value:.4f}"
                )
            case TrialEnded():
                left = (time.monotonic() - self.started) / max(self.seen, 1) * (self.total - self.seen) / 60
                self._say(
                    f"{_named(event.study, event.number)}: {event.result.error or event.result.value} (about {left:.0f} min left)"
                )

    def _say(self, line: str) -> None:
        self.stream.write(f"{line}\n")
        self.stream.flush()


def _named(study: VariantStudy, number: int) -> str:
    return f"{study.variant.label} trial {number}"
