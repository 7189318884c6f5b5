"""A search as its report looks at it: its studies, and which of their networks learned."""

from dataclasses import dataclass
from pathlib import Path
from typing import TypeGuard

from nin_bench.analysis.names import Names
from nin_bench.cell import Scalar
from nin_bench.metrics import has_learned
from nin_bench.results import ResultsFolder
from nin_bench.results.artefact import Tuple
from nin_bench.results.studies import (
    Objective,
    SearchConfig,
    SearchSettings,
    StudySummary,
    TrialRun,
    TrialSummary,
    read_studies,
)


class Run(TrialRun):
    """One network of a trial."""

    learned: bool | None = None
    """Whether it left chance level and was not back there at the end; None if that is not known."""

    def measured(self, objective: Objective) -> float | None:
        """What it had reached after its last epoch; None for one that diverged."""
        if not self.history or self.outcome == "diverged":
            return None
        last = self.history[-1]
        return last.validation_accuracy if objective == "validation_accuracy" else last.validation_loss


class Trial(TrialSummary):
    """One set of parameters, trained with every seed of the search."""

    runs: Tuple[Run] = ()

    @property
    def counts(self) -> bool:
        """Whether it used up one of the trials asked for; one that failed is replaced by another."""
        return self.state != "failed" and self.value is not None

    @property
    def learned(self) -> bool:
        """Whether it ran to its end with every seed learning."""
        return self.state == "complete" and len(self.learned_runs) == len(self.runs) > 0

    @property
    def learned_runs(self) -> list[Run]:
        """The trial's networks, but for those of which it is known that they did not learn."""
        return [run for run in self.runs if self.has_learned(run) is not False]

    @property
    def ended_at_chance(self) -> bool:
        """Whether it ran to its end, without diverging, and some seed ended at chance level."""
        at_chance = any(self.has_learned(run) is False for run in self.runs)
        return self.state == "complete" and not self.diverged and at_chance

    def has_learned(self, run: Run) -> bool | None:
        """Whether one of its seeds ended above chance level and did not diverge; None where nobody can know.

        One that was pruned at chance level might have left it later.
        """
        if run.outcome == "diverged":
            return False
        return run.learned if run.learned or self.state == "complete" else None


class Study(StudySummary):
    """Every trial of one variant, in the order in which they were started."""

    trials: Tuple[Trial] = ()
    name: str = ""
    """What a page calls the variant."""

    @property
    def best_trial(self) -> Trial | None:
        """The trial that the search chose, whether or not any seed of it learned."""
        return next((trial for trial in self.trials if self.best and trial.number == self.best.number), None)

    @property
    def complete(self) -> list[Trial]:
        """The trials that ran to their end."""
        return [trial for trial in self.counted if trial.state == "complete"]

    @property
    def counted(self) -> list[Trial]:
        """The trials that the total counts."""
        return [trial for trial in self.trials if trial.counts]


@dataclass(frozen=True)
class Search:
    """A search as read: what its report starts from."""

    config: SearchConfig
    names: Names
    studies: list[Study]
    """One per variant, in the grid's order; without trials if there is no file yet."""
    left_out: list[str]
    """A sentence for each file that was not used."""

    @property
    def settings(self) -> SearchSettings:
        """What the grid's `search` section asked for."""
        return self.config.search


def read_search(folder: Path) -> Search:
    """Read what a search left in one `<root>/<grid>/<profile>`, without changing it.

    Raises:
        ResultsError: there is no readable search.json. Damaged studies raise nothing: they are left out and named
            in `Search.left_out`.
    """
    config, kept, left_out = read_studies(ResultsFolder(folder))
    names = Names.of(config.variants)
    studies = []
    for variant in config.variants:
        found = kept.get(variant.variant_id)
        studies.append(
            Study.model_construct(
                variant_id=variant.variant_id,
                label=variant.label,
                name=names[variant.label],
                study_name=variant.study_name,
                trials=tuple(_judged(trial, config.chance_loss) for trial in found.trials) if found else (),
                best=found.best if found else None,
                chosen=found.chosen if found else None,
            )
        )
    return Search(config, names, studies, left_out)


def _judged(trial: TrialSummary, chance_loss: float) -> Trial:
    """The trial with what is known of which networks learned; of a pruned one, what its last epoch tells."""

    def learned(run: TrialRun) -> bool | None:
        if run.failed is not None:
            return not run.failed
        return has_learned(run.escaped, dict(run.history[-1]), chance_loss) if run.history else None

    runs = [Run.model_construct(**dict(run), learned=learned(run)) for run in trial.runs]
    return Trial.model_construct(**{**dict(trial), "runs": tuple(runs)})


def is_number(value: Scalar) -> TypeGuard[int | float]:
    """Whether a parameter's value is a number; true and false are none."""
    return isinstance(value, int | float) and not isinstance(value, bool)
