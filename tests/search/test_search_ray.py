"""A search on two nodes of a Ray cluster, its studies in PostgreSQL; a node dies in the middle of a trial."""

from collections import Counter
from typing import Any

import optuna
import pytest

from nin_bench.search import storage as storages
from nin_bench.search.events import SearchEvent, TrialEnded, TrialEpochEnded, TrialStarted
from tests.processes import linux
from tests.search.search_grid_text import GRID

ray_nodes = pytest.importorskip("tests.ray_nodes")
pytestmark = [linux, pytest.mark.extra]

EPOCHS = 40
# With a pruner a trial asks after every epoch whether to go on, so that none is over before its node dies.
LONG = GRID.replace("epochs: 2", f"epochs: {EPOCHS}").replace("trials: 3", "trials: 3\n  pruner: median")


def test_a_trial_whose_node_dies_is_taken_up_again_and_the_total_is_exact(
    postgresql: str, bench: Any, tmp_path, monkeypatch, request: pytest.FixtureRequest
):
    def opened(*arguments: Any) -> optuna.storages.RDBStorage:
        storage = optuna.storages.RDBStorage(*arguments)
        request.addfinalizer(storage.engine.dispose)  # a command's end closes its connections
        return storage

    monkeypatch.setattr(storages, "RDBStorage", opened)
    started: list[TrialStarted] = []
    killed: list[str] = []
    with ray_nodes.ray_nodes(tmp_path, [1, 1]) as nodes:

        def listen(event: SearchEvent) -> None:
            if isinstance(event, TrialStarted):
                started.append(event)
            elif isinstance(event, TrialEpochEnded) and event.epoch.epoch == 3 and not killed:
                killed.append(event.key)
                nodes.kill(next(one.slot.node for one in started if one.key == event.key))

        bench.search(LONG, on_event=listen, storage=postgresql, ray_address=nodes.address, retries=0)
    storage = opened(postgresql)
    for name in optuna.get_all_study_names(storage):
        trials = optuna.load_study(study_name=name, storage=storage).trials
        assert [trial.state.name for trial in trials] == ["COMPLETE"] * 3
        assert all(sorted(trial.intermediate_values) == list(range(1, EPOCHS + 1)) for trial in trials)
    assert [event.result.error for event in bench.told(TrialEnded)] == [None] * 6
    times = Counter(event.key for event in started)
    assert times[killed[0]] == 2
    nodes_of_lost = [event.slot.node for event in started if event.key == killed[0]]
    assert len(set(nodes_of_lost)) == 2
    # What this machine alone reaches with the same values is what came out.
    alone = type(bench)(tmp_path / "alone", bench.load)
    alone.search(LONG)
    for label, study in alone.studies().items():
        values = [(trial["params"], trial["value"]) for trial in study["trials"]]
        assert values == [(trial["params"], trial["value"]) for trial in bench.trials(label)]
