"""The machine-learning reproducibility checklist (Pineau et al., 2021), answered from the records."""

from collections.abc import Callable

from nin_bench.analysis.analysis import Analysis
from nin_bench.analysis.tables import VariantRow
from nin_bench.errors import counted
from nin_bench.reporting import text
from nin_bench.reporting.blocks import NOT_KNOWN, Block, Details, Section, Table
from nin_bench.reporting.sections.setting import machine_and_software

_Question = tuple[str, str | Callable[[Analysis], str]]


def checklist(analysis: Analysis) -> list[Block]:
    """What reviewers ask of a study, each with what the records say."""
    rows = tuple((asked, answer if isinstance(answer, str) else answer(analysis)) for asked, answer in _QUESTIONS)
    details = Details(
        "What reviewers ask, answered from the records", (Table(("question", "answer"), rows, "ll"),)
    )
    return [Section("Reproducibility checklist", (details,))] if analysis.cells else []


def _networks(analysis: Analysis) -> str:
    models = dict.fromkeys(analysis.names.models.values())
    return (
        f"{counted(len(analysis.comparison), 'variant')} of {', '.join(models)}; grid.json holds every argument."
    )


def _complexity(analysis: Analysis) -> str:
    params = _range(analysis, lambda row: row.num_params)
    return f"{params} parameters, {_range(analysis, lambda row: row.num_macs)} MACs per image."


def _data(analysis: Analysis) -> str:
    data = {**{one.field: "see Setting" for one in analysis.setting.differing}, **analysis.setting.data}
    source = "its pictures by digest" if data.get("content") else "verified against its published digest"
    return f"{data['name']}, {source}."


def _splits(analysis: Analysis) -> str:
    data = analysis.setting.data
    size = data.get("validation_size")
    validation = "None to validate" if size == 0 else f"{size:,} to validate" if size else "Some to validate"
    return f"{validation}, drawn by seed and class; the test images are the data set's own, read once at the end."


def _code(analysis: Analysis) -> str:
    software = machine_and_software(analysis.setting.environment).get("Software", {})
    known = [f"{name} {software[name]}" for name in ("nin_bench", "commit", "torch", "python") if name in software]
    return f"{', '.join(known) or NOT_KNOWN}."


def _settings(analysis: Analysis) -> str:
    tuned = "the same for all" if "lr" in analysis.setting.recipe else "which differ between variants"
    return f"Setting lists all, learning rates included, {tuned}; those of a search stand in its own report."


def _runs(analysis: Analysis) -> str:
    outcomes = ", ".join(f"{count} {outcome}" for outcome, count in analysis.outcomes.items())
    return f"{analysis.num_cells} planned, of seeds {text.number_ranges(analysis.seeds)}: {outcomes}."


def _measures(analysis: Analysis) -> str:
    locked = "locked before the run" if analysis.lock.intact else "not locked, or changed since"
    claims = counted(len(analysis.hypotheses), "claim")
    return f"{claims} with margins, {locked}; docs/reports.md defines tests and metrics."


def _time(analysis: Analysis) -> str:
    seconds = [cell.metrics.get("train_seconds") for cell in analysis.cells]
    known = [one for one in seconds if one is not None]
    if not known:
        return NOT_KNOWN
    mean, total = text.three_digits(sum(known) / len(known)), text.three_digits(sum(known) / 3600)
    return f"{mean} s a network, {total} h in all."


def _energy(analysis: Analysis) -> str:
    entries = [row.entry for machine in analysis.costs if machine.of_grid for row in machine.rows]
    known = [
        one.energy_joules_per_image.train.median for one in entries if one.energy_joules_per_image is not None
    ]
    if not known:
        return "Not measured."
    low, high = text.three_digits(min(known)), text.three_digits(max(known))
    return f"{low} to {high} J per training image and pass, by variant."


def _machine(analysis: Analysis) -> str:
    machine = machine_and_software(analysis.setting.environment).get("Machine", {})
    kept = ("processor", "cores", "memory", "device", "system")
    return f"{', '.join(f'{name} {machine[name]}' for name in kept if name in machine) or NOT_KNOWN}."


def _repeated(analysis: Analysis) -> str:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in analysis.setting.replayed.items())
    return f"{counts or 'None was tried'}; nin_bench replay trains recorded cells again."


_QUESTIONS: tuple[_Question, ...] = (
    ("Which networks?", _networks),
    ("How large are they?", _complexity),
    ("Which data, and from where?", _data),
    ("Which splits?", _splits),
    ("Which code and versions?", _code),
    ("Are trained networks there?", "Predictions on the test images are; weights with run --keep-weights."),
    ("Which settings, and how chosen?", _settings),
    ("How many runs?", _runs),
    ("Which measures, and set when?", _measures),
    (
        "How do results vary?",
        "Mean ± standard deviation over n seeds, failed networks included; claims have intervals.",
    ),
    ("How long did training take?", _time),
    ("How much energy?", _energy),
    ("On which machine?", _machine),
    ("Did runs repeat?", _repeated),
)


def _range(analysis: Analysis, value: Callable[[VariantRow], int | None]) -> str:
    known = [found for row in analysis.comparison if (found := value(row)) is not None]
    if not known:
        return NOT_KNOWN
    low, high = text.human_count(min(known)), text.human_count(max(known))
    return low if low == high else f"{low} to {high}"
