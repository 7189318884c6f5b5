"""Turns of a node of a Ray cluster, with real workers and without Ray."""

import pickle
from itertools import count

from nin_bench.executors import Ended, Message, Slot, Task, ray_node
from nin_bench.executors.ray_node import NodeWorkers
from nin_bench.executors.workers import Order
from nin_bench.runner.session import PRELOAD
from tests import executor_tasks as tasks


def test_what_tells_how_work_goes_waits_for_an_end_or_a_question(monkeypatch):
    monkeypatch.setattr(ray_node, "TURN_SECONDS", 600.0)
    # One forkserver serves a whole test run, and its first user decides what it has imported.
    workers = NodeWorkers(PRELOAD)
    task = Task("task", tasks.tell_then_ask, (3,))
    order = Order(task.key, pickle.dumps(task), [Slot("cpu")], None)
    with workers._held:
        first = pickle.loads(workers.turn(1, [order], [], "go on"))
        assert first == [
            *(Message("task", number) for number in range(3)), Message("task", "and now?", is_question=True)
        ]  # fmt: skip
        *told, end = pickle.loads(workers.turn(2, [], [("task", "go")], "go on"))
        assert told == [Message("task", number) for number in range(3)]
        assert isinstance(end, Ended)
        assert (end.how, end.result) == ("returned", "go")
        assert pickle.loads(workers.turn(3, [], [], "go on")) == []


def test_a_turn_in_which_nothing_ends_is_over_in_time(monkeypatch):
    monkeypatch.setattr(ray_node, "TURN_SECONDS", 0.1)
    workers, numbers = NodeWorkers(PRELOAD), count(1)
    task = Task("task", tasks.until_stopped)
    orders = [Order(task.key, pickle.dumps(task), [Slot("cpu")], None)]
    with workers._held:
        while not (told := pickle.loads(workers.turn(next(numbers), orders, [], "go on"))):
            orders = []  # its process has not begun
        assert [type(event) for event in told] == [Message]
        monkeypatch.setattr(ray_node, "TURN_SECONDS", 600.0)
        assert [event.result for event in pickle.loads(workers.turn(next(numbers), [], [], "stop"))] == [
            "stopped in order"
        ]


def test_a_turn_whose_answer_was_lost_is_answered_again_and_not_taken_again(monkeypatch):
    monkeypatch.setattr(ray_node, "TURN_SECONDS", 600.0)
    workers = NodeWorkers(PRELOAD)
    orders = [Order("task", pickle.dumps(Task("task", tasks.tell_then_ask, (1,))), [Slot("cpu")], None)]
    with workers._held:
        for _ in range(2):
            assert [event.content for event in pickle.loads(workers.turn(1, orders, [], "go on"))] == [
                0,
                "and now?",
            ]
        for _ in range(2):
            told, end = pickle.loads(workers.turn(2, [], [("task", "go")], "go on"))
            assert (told.content, end.result) == (0, "go")
        assert pickle.loads(workers.turn(3, [], [], "go on")) == []
