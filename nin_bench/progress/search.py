"""Show a search's events, trial by trial."""

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any, TextIO

from nin_bench.progress.display import Display, display_on
from nin_bench.search.run import SearchEvent, SearchPlanned, TrialEnded, TrialEpochEnded, TrialStarted
from nin_bench.search.study import VariantStudy


@contextmanager
def search_progress_on(stream: TextIO, heading: str) -> Iterator[Callable[[SearchEvent], None]]:
    """A listener for `search_grid` that shows its events on a stream while the context lasts.

    Args:
        stream: a terminal, or anything else that takes text.
        heading: what is searched; shown before all else, but only once nothing speaks against searching it.
    """
    with display_on(stream) as display:
        yield lambda event: _show(event, display, heading)


def _show(event: SearchEvent, display: Display, heading: str) -> None:
    match event:
        case SearchPlanned():
            epochs = {
                _key(study, draw): study.epochs
                for study in event.studies
                for draw, trial in enumerate(study.standing)
                if not study.is_done(trial)
            }
            for line in (heading, _plan_line(event, len(epochs))):
                display.say(line)
            display.plan(epochs, "trials")
        case TrialStarted():
            params = ", ".join(f"{name}={_short(value)}" for name, value in event.params.items())
            name = f"{event.study.variant.label} trial {event.number}"
            display.start(_key(event.study, event.draw), name, f"started on {event.device} with {params}")
        case TrialEpochEnded():
            note = told_value(event.study, event.content.value)
            display.epoch(_key(event.study, event.draw), event.content.epoch, note)
        case TrialEnded():
            interrupted = event.result.error is not None and not event.will_retry
            key = _key(event.study, event.draw)
            display.end(key, _outcome(event), again=event.will_retry, interrupted=interrupted)


def told_value(study: VariantStudy, value: float) -> str:
    """A value of the objective, named and rounded as people read it: `validation accuracy 86.1%`."""
    if study.spec.objective == "validation_accuracy":
        return f"validation accuracy {value:.1%}"
    return f"validation loss {value:.3f}"


def _plan_line(event: SearchPlanned, todo: int) -> str:
    total = sum(study.spec.trials for study in event.studies)
    where = f"{len(event.slots)} × {event.slots[0].device.partition(':')[0]}"
    return f"{todo} of {total} trials to run ({total - todo} done before) on {where}"


def _outcome(event: TrialEnded) -> str:
    result = event.result
    if result.error is not None:
        return f"failed: {result.error}" + ("; will be tried again" if event.will_retry else "")
    if result.value is None:
        return "pruned"
    failed = {
        "diverged": result.diverged,
        "never escaped": result.escaped is False,
        "fell back to chance level": any(_fell_back(event.study, run) for run in result.runs),
    }
    how, said = [name for name, happened in failed.items() if happened], told_value(event.study, result.value)
    return f"{said}, where a seed that {' or '.join(how)} counts as {_worst(event.study)}" if how else said


def _fell_back(study: VariantStudy, run: Mapping[str, Any]) -> bool:
    """Whether a seed left chance level and was back there at its end: it counts as other than what it reached."""
    return bool(
        run["outcome"] == "trained" and run["escaped"] and run["value"] != run["history"][-1][study.spec.objective]
    )


def _worst(study: VariantStudy) -> str:
    return "0" if study.spec.objective == "validation_accuracy" else "ten times the loss of a guess"


def _key(study: VariantStudy, draw: int) -> str:
    return f"{study.name} {draw}"


def _short(value: object) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
