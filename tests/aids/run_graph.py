"""Every stage that DVC resolves from dvc.yaml and params.yaml, in one process: python -m tests.aids.run_graph

Hundreds of stages would each take `dvc repro` 15 seconds to start. Nothing is cached, locked or skipped. Each stage
runs just before the first one that needs it; weights are removed after the last, or the paper's grid would take 14 GB.
"""

import runpy
import shlex
import sys
import time
from pathlib import Path
from typing import Any

import networkx
import torch
from dvc.repo import Repo

WEIGHTS = "model.safetensors"


def main() -> None:
    torch.set_num_threads(1)
    with Repo() as repo:
        graph = repo.index.graph
        (report,) = (stage for stage in graph if stage.addressing == "report")
        order = list(networkx.dfs_postorder_nodes(graph, report))
        assert len(order) == len(graph), "there are stages that the report does not need"
        readers = {stage: set(graph.predecessors(stage)) for stage in order}
        for number, stage in enumerate(order, start=1):
            print(f"{number}/{len(order)} {time.process_time():.0f} s, {stage.addressing}", flush=True)
            present(stage, stage.deps)
            run(stage.cmd)
            present(stage, stage.outs)
            for read in graph.successors(stage):
                readers[read].discard(stage)
                if not readers[read]:
                    drop_weights(read)


def run(command: str) -> None:
    """A stage's command line in this process, as `python -m` would run it."""
    python, option, module, *arguments = shlex.split(command)
    assert (python, option) == ("python", "-m") and module.startswith("stages."), command
    sys.argv = [module, *arguments]
    runpy.run_module(module, run_name="__main__", alter_sys=True)


def present(stage: Any, files: list[Any]) -> None:
    missing = [file.fs_path for file in files if not Path(file.fs_path).exists()]
    assert not missing, f"{stage.addressing}: {missing}"


def drop_weights(stage: Any) -> None:
    for out in stage.outs:
        weights = Path(out.fs_path) / WEIGHTS
        if weights.is_file():
            weights.unlink()


if __name__ == "__main__":
    main()
