"""What a run comes to, told before it starts: stages, trainings, videos, disk, and hours from measured steps."""

import shutil
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import torch

from pipeline.detectors.device import device
from pipeline.jobs import amounts
from pipeline.jobs.graph import changed, load_pipeline, upstream
from pipeline.jobs.measuring import measure
from pipeline.jobs.scheduling import Machine
from pipeline.params.cells import Cell, expected, pooled
from pipeline.params.schema import Params
from pipeline.work.parallel import cores
from pipeline.work.progress import progress

HOUR, GB = 3600, 1e9
Due = dict[Cell, list[int]]  # the folds of each that have to run


def plan(params: Params, machine: Machine) -> str:
    """The plan as text. It measures a step of every kind of training, which takes a minute or a few on a CPU."""
    pipeline = load_pipeline()
    todo = pipeline.due(changed())
    fetched = "download" not in map(_kind_of, todo)  # else data/raw may be another source's, or of other settings
    known, cells = amounts.videos(params, fetched), expected(params) + pooled(params)
    graph = pipeline.graph
    if params.tests_only:
        made = upstream(graph, (name for name in graph if _kind_of(name) == "crop"))
        graph, todo, cells = {name: graph[name] for name in made}, todo & made, []
    lines = [f"stages     {len(graph)}, of which {len(todo)} have to run: {_counted(todo)}"]
    due = _trainings(cells, params.folds, [out for name in todo for out in pipeline.outs.get(name, ())])
    lines += [_trained(params, cells, sum(map(len, due.values())))]
    if known is None:
        lines += [
            f"videos     unknown before they are there: run `dvc repro download` first (source: {params.source})",
            "           so are disk and hours",
        ]
        return "\n".join(lines)
    lines += [f"videos     {', '.join(f'{known.total(name):,} {name}' for name in params.sets)}"]
    lines += [f"           {params.sample.frames} frames of each, in {1 + len(params.compressions)} qualities"]
    if params.tests_only:
        lines += [_disk(params, known)]
    if not due:
        return "\n".join(lines)
    return "\n".join([*lines, *_time_and_disk(due, params, known, machine)])


def _trainings(cells: Sequence[Cell], folds: Sequence[int], outs: Sequence[str]) -> Due:
    """The trainings that leave one of the paths, models/<folder of the cell>/fold<k>."""
    left = {"/".join(Path(out).parts[-3:]) for out in outs}
    due = {cell: [fold for fold in folds if f"{cell.folder}/fold{fold}" in left] for cell in cells}
    return {cell: its for cell, its in due.items() if its}


def _time_and_disk(due: Due, params: Params, known: amounts.Known, machine: Machine) -> Iterator[str]:
    threads = _set_threads(machine)
    kinds = Counter(_kind(cell) for cell in due)
    examples = {_kind(cell): cell for cell in due}
    costs = {kind: measure(examples[kind], params) for kind in progress(sorted(kinds), len(kinds), "plan", "kind")}
    total = weights = 0.0
    yield f"\n{'training':<32}{'runs':>7}{'steps':>9}{'s/step':>9}{'hours':>9}"
    for (name, backbone), cost in costs.items():
        own = {cell: folds for cell, folds in due.items() if _kind(cell) == (name, backbone)}
        todo = [amounts.work(cell, params, known, folds) for cell, folds in own.items()]
        seconds = sum(one.steps * cost.step + one.scored * cost.score for one in todo)
        runs = sum(map(len, own.values()))
        steps = max(one.steps // len(folds) for one, folds in zip(todo, own.values(), strict=True))
        yield f"{f'{name} {backbone}':<32}{runs:>7}{steps:>9,}{cost.step:>9.3g}{seconds / HOUR:>9.1f}"
        total += seconds
        weights += runs * cost.weights
    places = len(set(machine.devices)) if None not in machine.devices else len(machine.devices)
    at_once = places or machine.cores
    yield f"\nhours      {total / HOUR:,.1f} in all, {total / HOUR / at_once:,.1f} with {at_once} at a time"
    yield _disk(params, known, f", {weights / GB:,.1f} GB of models")
    yield "           videos and faces come on top, and DVC's cache holds a second copy of all where files cannot share"
    yield "           their blocks (docs/data.md, docs/scaling.md)"
    where = device()
    yield "assumed"
    yield f"  the videos are {known.origin}; none is rejected"
    scaled = {cost.images for cost in costs.values()}
    yield f"  a step as just measured on this {where.type} with {threads} threads and {_spread(scaled)} images,"
    yield "  scaled to the recipe's; what reads the crops keeps up; other work beside this makes all look slower"
    yield "  steps are a model's in one fold, at most: with train.select: best a training stops early"
    yield "  hours hold these trainings, their validations and tests; not the tests of models that are there, nor the"
    yield "  making of videos and crops (docs/scaling.md has its speed)"
    if machine.devices and None in machine.devices:
        yield "  the nodes of the cluster are as fast as this machine"


def _trained(params: Params, cells: Sequence[Cell], due: int) -> str:
    if params.tests_only:
        return (
            f"trainings  none: {params.source} is to be tested on; `dvc repro crop` makes its crops, and the clone\n"
            "           that has the models names them in `elsewhere` (docs/data.md)"
        )
    count = len(cells) * len(params.folds)
    return f"trainings  {count}: {len(cells)} models in {len(params.folds)} folds, of which {due} have to run"


def _disk(params: Params, known: amounts.Known, models: str = "") -> str:
    crops, free = amounts.crop_bytes(params, known), shutil.disk_usage(Path.cwd()).free
    return f"disk       {crops / GB:,.1f} GB of crops{models}; {free / GB:,.0f} GB are free"


def _kind_of(stage: str) -> str:
    return stage.partition("@")[0]


def _kind(cell: Cell) -> tuple[str, str]:
    """What makes trainings cost the same a step."""
    return cell.family, cell.backbone


def _counted(names: set[str]) -> str:
    kinds = Counter(map(_kind_of, names))
    return ", ".join(f"{count} {kind}" for kind, count in sorted(kinds.items())) or "none"


def _spread(numbers: set[int]) -> str:
    return "-".join(str(number) for number in sorted({min(numbers), max(numbers)}))


def _set_threads(machine: Machine) -> int:
    """As many as each training has in the run."""
    if not machine.devices:
        torch.set_num_threads(max(1, cores() // machine.cores))
    return torch.get_num_threads()
