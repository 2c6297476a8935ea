"""The graph of dvc.yaml's stages: what each one waits for."""

from dvc.repo import Repo

Graph = dict[str, set[str]]  # stage -> the stages that it depends on


def load_graph() -> Graph:
    """The stages of dvc.yaml and what each depends on."""
    with Repo() as repo:
        graph = repo.index.graph
        return {stage.addressing: {other.addressing for other in graph.successors(stage)} for stage in graph}


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


def upstream(graph: Graph, names: list[str]) -> set[str]:
    """The stages and everything that they depend on."""
    found: set[str] = set()
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name not in found:
            found.add(name)
            waiting += graph[name]
    return found
