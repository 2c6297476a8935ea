"""The graph of dvc.yaml's stages: what each one waits for, what it uses, and which have to run."""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field

from dvc.exceptions import DvcException
from dvc.lock import LockError
from dvc.repo import Repo
from dvc.scm import SCMError

from pipeline.work.errors import UserError

Graph = dict[str, set[str]]  # stage -> the stages that it depends on
# What a stage may say under `meta: uses` in dvc.yaml; one that says nothing is a process of one core.
NETWORK, CORES, DEVICE = "network", "cores", "device"
SAME = "the same"  # under `meta: leaves`: what the stage leaves never changes, so nothing runs again for it


@dataclass(frozen=True)
class Pipeline:
    """The stages of dvc.yaml. uses: NETWORK, CORES (all of them), DEVICE (a GPU where there is one), or None.
    constant: those that leave the same whatever they are run on. outs: the paths that each leaves."""

    graph: Graph
    uses: dict[str, str | None]
    constant: frozenset[str] = frozenset()
    outs: Mapping[str, Sequence[str]] = field(default_factory=dict)

    def due(self, changed: Iterable[str]) -> set[str]:
        """The stages that have to run: those that changed, and what depends on what they leave."""
        return downstream({name: needs - self.constant for name, needs in self.graph.items()}, changed)


def load_pipeline() -> Pipeline:
    """Read dvc.yaml, with params.yaml in it."""
    with _repo() as repo:
        found = repo.index.graph
        graph = {stage.addressing: {other.addressing for other in found.successors(stage)} for stage in found}
        uses = {stage.addressing: (stage.meta or {}).get("uses") for stage in found}
        constant = frozenset(stage.addressing for stage in found if (stage.meta or {}).get("leaves") == SAME)
        outs = {stage.addressing: [out.def_path for out in stage.outs] for stage in found}
        return Pipeline(graph, uses, constant, outs)


def changed() -> set[str]:
    """The stages whose command, dependencies, params or outs are not those that dvc.lock records."""
    with _repo() as repo:
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
    return upstream(readers, names)


def upstream(graph: Graph, names: Iterable[str]) -> set[str]:
    """The stages and everything that they depend on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found


@contextmanager
def _repo() -> Iterator[Repo]:
    """DVC's view of this folder. Raises: UserError with what DVC says, and where another process has its lock."""
    try:
        with Repo() as repo:
            yield repo
    except LockError:
        raise UserError("another dvc, or make repro, works in this folder; wait until it ends, and run again") from None
    except SCMError as error:
        raise UserError(
            f"{error}, as after a download without it: clone it, or `git init`; or `.venv/bin/dvc config --local "
            "core.no_scm true`, and go without dvc exp run"
        ) from None
    except DvcException as error:
        raise UserError(f"dvc: {' '.join(str(error).split())}") from None
