"""Which stages run at a time, and where: cores and GPUs are handed out; a failure stops only what depends on it."""

from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from dataclasses import dataclass

from pipeline.jobs.graph import CORES, DEVICE, NETWORK, Graph, height

# Of the stages that use every core so many run at a time: while one starts, or waits for its last video, others work.
SHARE = 2


@dataclass(frozen=True)
class Machine:
    """What there is to hand out.

    cores: how many stages of one core run at a time. devices: one entry for each stage that may use a GPU at a time,
    the value of CUDA_VISIBLE_DEVICES that pins it, or None where a cluster chooses. Without any, they take a core.
    """

    cores: int
    devices: tuple[str | None, ...] = ()

    def __str__(self) -> str:
        cores = f"{self.cores} at a time on the cores"
        if not self.devices:
            return cores
        gpus = len({*self.devices} - {None})
        return f"{len(self.devices)} at a time on {f'{gpus} GPUs' if gpus else 'the cluster'}, beside them {cores}"

    def queue(self, uses: str | None) -> str:
        """What a stage waits for."""
        if uses == NETWORK or (uses == DEVICE and self.devices):
            return uses
        return CORES

    def share(self, uses: str | None) -> int:
        """The cores that a stage takes."""
        if self.queue(uses) != CORES:
            return 0
        return max(1, self.cores // SHARE) if uses == CORES else 1


@dataclass(frozen=True)
class Place:
    """Where one stage runs. device: one that is its own alone, as in Machine."""

    queue: str
    cores: int
    device: str | None = None


Run = Callable[[str, Place], str | None]  # runs a stage at its place; gives the cause where it failed


class Free:
    """What no stage uses now."""

    def __init__(self, machine: Machine) -> None:
        self.machine = machine
        self.cores, self.devices, self.network = machine.cores, list(machine.devices), True

    def take(self, uses: str | None) -> Place | None:
        """A place for a stage, which is free no more; None where there is none."""
        queue, cores = self.machine.queue(uses), self.machine.share(uses)
        if not {NETWORK: self.network, DEVICE: bool(self.devices), CORES: cores <= self.cores}[queue]:
            return None
        self.cores -= cores
        self.network &= queue != NETWORK
        return Place(queue, cores, self.devices.pop(0) if queue == DEVICE else None)

    def give_back(self, place: Place) -> None:
        self.cores += place.cores
        self.network |= place.queue == NETWORK
        if place.queue == DEVICE:
            self.devices.append(place.device)


def side_by_side(
    graph: Graph, uses: dict[str, str | None], todo: set[str], machine: Machine, run: Run
) -> dict[str, str]:
    """Run the stages `todo`, each when all of them that it depends on are done; the failed ones with their causes.

    Those with the longest way to the end come first. Where the next one waits for cores, so do all after it, or one
    that needs many would never start. After a failure everything goes on that does not depend on it.
    """
    heights = height(graph)
    waiting = sorted(todo, key=lambda name: (-heights[name], name))
    failed: dict[str, str] = {}
    free = Free(machine)
    running: dict[Future[str | None], tuple[str, Place]] = {}
    with ThreadPoolExecutor(max(1, len(todo))) as pool:
        while True:
            undone = {*waiting, *failed, *(name for name, _ in running.values())}
            full: set[str] = set()
            for name in list(waiting):
                queue = machine.queue(uses.get(name))
                if graph[name] & undone or queue in full:
                    continue
                place = free.take(uses.get(name))
                if place is None:
                    full.add(queue)
                    continue
                waiting.remove(name)
                running[pool.submit(run, name, place)] = (name, place)
            if not running:
                return failed
            finished, _ = wait(running, return_when=FIRST_COMPLETED)
            for call in finished:
                name, place = running.pop(call)
                free.give_back(place)
                if cause := call.result():
                    failed[name] = cause
