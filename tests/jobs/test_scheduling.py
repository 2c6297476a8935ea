"""Which stages run at a time and where, with a list of devices that stands for a machine's."""

import threading
import time

import pytest

from pipeline.jobs.graph import Graph, Pipeline, downstream, height
from pipeline.jobs.machine import environment, find, usable
from pipeline.jobs.scheduling import Machine, Place, side_by_side
from pipeline.params.schema import load

TRAININGS = [f"teacher@{number}" for number in range(7)]


class Recorder:
    """Stands for DVC: notes who runs where, and after each start who runs at once.

    together: nothing ends before so many have run at once (or a minute is over, and the test fails).
    """

    def __init__(self, failing: dict[str, str], together: int) -> None:
        self.failing, self.together = failing, together
        self.places: dict[str, Place] = {}
        self.at_once: list[set[str]] = []
        self._running: set[str] = set()
        self._changes = threading.Condition()

    @property
    def order(self) -> list[str]:
        return list(self.places)

    def peak(self, kind: str = "") -> int:
        return max(sum(name.startswith(kind) for name in names) for names in self.at_once)

    def __call__(self, name: str, place: Place) -> str | None:
        with self._changes:
            self.places[name] = place
            self._running.add(name)
            self.at_once.append(set(self._running))
            self._changes.notify_all()
            self._changes.wait_for(lambda: self.peak() >= self.together, timeout=60)
        time.sleep(0.01)
        with self._changes:
            self._running.discard(name)
        return self.failing.get(name)


def run(
    graph: Graph,
    machine: Machine,
    uses: dict[str, str | None] | None = None,
    failing: dict[str, str] | None = None,
    together: int = 1,
) -> tuple[Recorder, dict[str, str]]:
    recorder = Recorder(failing or {}, together)
    given = uses or {name: "device" for name in graph if name.startswith("teacher")}
    return recorder, side_by_side(graph, given, set(graph), machine, recorder)


def test_each_training_has_a_gpu_of_its_own() -> None:
    recorder, failed = run({name: set() for name in TRAININGS}, Machine(8, ("a", "b", "c")), together=3)
    assert not failed and sorted(recorder.order) == TRAININGS
    assert {recorder.places[name].device for name in TRAININGS} == {"a", "b", "c"}
    assert recorder.peak() == 3
    for names in recorder.at_once:
        assert len({recorder.places[name].device for name in names}) == len(names)


def test_several_to_a_gpu_first_fill_every_gpu(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("pipeline.jobs.devices.gpus", lambda: ["a", "b"])
    params = load()
    machine = find(params.model_copy(update={"jobs": params.jobs.model_copy(update={"per_gpu": 2})}), jobs=4)
    assert machine == Machine(4, ("a", "b", "a", "b"))
    recorder, _ = run({name: set() for name in TRAININGS}, machine, together=4)
    assert recorder.peak() == 4 and [recorder.places[name].device for name in TRAININGS[:2]] == ["a", "b"]
    for names in recorder.at_once:
        held = [recorder.places[name].device for name in names]
        assert max(held.count("a"), held.count("b")) <= 2


def test_stages_of_the_cores_run_beside_the_gpus() -> None:
    graph: Graph = {**{name: set() for name in TRAININGS[:3]}, "crop@a": set(), "sample@a": set()}
    uses: dict[str, str | None] = {**dict.fromkeys(TRAININGS, "device"), "crop@a": "cores"}
    recorder, _ = run(graph, Machine(2, ("a", "b")), uses, together=4)
    assert {*TRAININGS[:2], "crop@a", "sample@a"} in recorder.at_once
    assert recorder.places["crop@a"] == recorder.places["sample@a"] == Place("cores", 1)


def test_without_a_gpu_a_training_takes_a_core() -> None:
    recorder, _ = run({name: set() for name in TRAININGS}, Machine(2))
    assert all(place == Place("cores", 1) for place in recorder.places.values())
    assert environment(Machine(2), recorder.places["teacher@0"]).get("CUDA_VISIBLE_DEVICES") is None


def test_two_stages_of_all_cores_at_a_time_and_one_download() -> None:
    graph: Graph = {f"{name}@{number}": set() for name in ("compress", "download") for number in range(4)}
    uses: dict[str, str | None] = {n: "cores" if n.startswith("compress") else "network" for n in graph}
    recorder, _ = run(graph, Machine(8), uses, together=3)
    assert (recorder.peak("compress"), recorder.peak("download")) == (2, 1)


def test_a_stage_starts_after_what_it_needs() -> None:
    graph: Graph = {"a": set(), "b": {"a"}, "c": {"a"}, "d": {"b", "c"}}
    recorder, _ = run(graph, Machine(2))
    assert sorted(recorder.order) == ["a", "b", "c", "d"] and recorder.order[0] == "a" and recorder.order[-1] == "d"


def test_what_is_done_is_left_alone() -> None:
    recorder = Recorder({}, together=1)
    assert side_by_side({"a": set(), "b": {"a"}}, {}, {"b"}, Machine(2), recorder) == {}
    assert recorder.order == ["b"]


def test_what_most_waits_for_comes_first() -> None:
    graph: Graph = {"teacher": set(), "baseline": set(), "student": {"teacher"}, "report": {"student", "baseline"}}
    assert height(graph) == {"teacher": 2, "baseline": 1, "student": 1, "report": 0}


def test_a_failure_stops_what_needs_it_and_nothing_else() -> None:
    graph: Graph = {"a": set(), "b": set(), "after a": {"a"}, "after b": {"b"}, "last": {"after a", "after b"}}
    recorder, failed = run(graph, Machine(1), failing={"a": "no such video"})
    assert failed == {"a": "no such video"}
    assert sorted(recorder.order) == ["a", "after b", "b"]
    assert downstream(graph, failed) == {"a", "after a", "last"}


def test_a_stage_of_many_cores_is_not_starved_by_small_ones() -> None:
    graph: Graph = {
        "big": set(),
        **{f"after{number}": {"big"} for number in range(3)},
        **{str(n): set() for n in "1234"},
    }
    recorder, _ = run(graph, Machine(4), {"big": "cores"})
    assert recorder.order[0] == "big"


def test_cores_of_the_gpus_are_left_to_them(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.sched_getaffinity", lambda _: {0, 1, 2, 3})
    machine = Machine(4, ("a", "b"))
    assert usable(machine, Place("cores", 2)) == {2, 3}
    assert usable(machine, Place("device", 0, "a")) is None
    assert usable(Machine(4), Place("cores", 2)) is None  # nobody is pinned: all as before
    assert usable(Machine(4, ("a",) * 9), Place("cores", 2)) == {3}
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    pinned = environment(machine, Place("device", 0, "b"))
    assert pinned == {"CUDA_VISIBLE_DEVICES": "b", "OMP_NUM_THREADS": "2"}


def test_nodes_of_a_cluster_have_cores_of_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert environment(Machine(4, (None, None)), Place("device", 0)) == {}


def test_nothing_runs_again_for_a_stage_that_leaves_the_same() -> None:
    graph: Graph = {"check": set(), "train": {"check"}, "other": {"check"}, "report": {"train", "other"}}
    pipeline = Pipeline(graph, dict.fromkeys(graph), frozenset({"check"}))
    assert pipeline.due({"check"}) == {"check"}
    assert pipeline.due({"check", "train"}) == {"check", "train", "report"}
    assert Pipeline(graph, dict.fromkeys(graph)).due({"check"}) == set(graph)
