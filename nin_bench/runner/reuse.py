"""Take over what other results folders hold of a grid's cells, before anything is measured or trained."""

from collections.abc import Callable, Sequence
from dataclasses import replace

from nin_bench.cell import Cell
from nin_bench.files import DamagedFileError
from nin_bench.planning import PlannedCell
from nin_bench.results import ResultsFolder


def take_over(
    planned: Sequence[PlannedCell],
    folder: ResultsFolder,
    plan_without: Callable[[Sequence[Cell]], Sequence[PlannedCell]],
    is_stopping: Callable[[], bool],
) -> tuple[list[PlannedCell], list[str]]:
    """Take over every cell that is to be reused; what cannot be, or is left if the run stops, is planned without.

    Returns:
        The cells, those that were taken over as done; a sentence for each that could not be.

    Raises:
        ResultsError: the folder cannot be written.
    """
    done: dict[str, PlannedCell] = {}
    left: list[Cell] = []
    notes = []
    for one in planned:
        if one.state != "reuse":
            continue
        assert one.shared is not None
        try:
            if is_stopping():
                left.append(one.cell)
                continue
            one.shared.take_over(folder, one.cell.label)
            done[one.cell.cell_id] = replace(one, state="done")
        except DamagedFileError as damage:
            left.append(one.cell)
            notes.append(
                f"{one.cell.label} seed {one.cell.seed} is not taken over from {one.shared.source}: "
                f"its predictions there {damage}"
            )
    if left:
        done |= {one.cell.cell_id: one for one in plan_without(left)}
    return [done.get(one.cell.cell_id, one) for one in planned], notes
