"""The graph of dvc.yaml's stages: what each one waits for, what it uses, and which have to run."""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from dvc.repo import Repo

Graph = dict[str, set[str]]  # stage -> the stages that it depends on
# What a stage may say under `meta: uses` in dvc.yaml; one that says nothing is a process of one core.
NETWORK, CORES, DEVICE = "network", "cores", "device"


@dataclass(frozen=True)
class Pipeline:
    """The stages of dvc.yaml. uses: NETWORK, CORES (as many as there are), DEVICE (a GPU where there is one), or None.

    commands: the command line of each.
    """

    graph: Graph
    uses: dict[str, str | None]
    commands: dict[str, str]


def load_pipeline() -> Pipeline:
    """Read dvc.yaml, with params.yaml in it."""
    with Repo() as repo:
        found = repo.index.graph
        graph = {stage.addressing: {other.addressing for other in found.successors(stage)} for stage in found}
        uses = {stage.addressing: (stage.meta or {}).get("uses") for stage in found}
        return Pipeline(graph, uses, {stage.addressing: _command(stage) for stage in found})


def changed() -> set[str]:
    """The stages whose command, dependencies, params or outs are not those that dvc.lock records."""
    with Repo() as repo:
        return set(repo.status())


def height(graph: Graph) -> dict[str, int]:
    """How many stages must still run one after the other once a stage is done."""
    found = dict.fromkeys(graph, 0)
    for _ in graph:  # settles after as many rounds as the longest way has stages
        raised = {d: found[name] + 1 for name in graph for d in graph[name] if found[d] <= found[name]}
        if not raised:
            break
        for name, value in raised.items():
            found[name] = max(found[name], value)
    return found


def downstream(graph: Graph, names: Iterable[str]) -> set[str]:
    """The stages and everything that depends on them."""
    readers: Graph = {name: set() for name in graph}
    for name, needs in graph.items():
        for need in needs:
            readers[need].add(name)
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += readers[name]
    return found


def _command(stage: Any) -> str:
    return " ".join(stage.cmd) if isinstance(stage.cmd, list) else str(stage.cmd or "")
