"""The outcome of a run in plain words, from the same numbers as the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from pipeline.cells import ADD, TEACHER
from pipeline.params import Params
from pipeline.reporting.comparison import MEAN, Comparison, Comparisons
from pipeline.reporting.results import Results
from pipeline.reporting.statistics import LEVEL

CLAIM = (
    "Under strong compression a detector trained with ADD (a teacher that saw the raw crops, and two attention "
    "distillations) tells fakes from real faces better than the same network trained without it."
)


@dataclass(frozen=True)
class Verdict:
    """headline: one sentence. details: what it rests on, and what it does not show."""

    headline: str
    details: list[str]


def verdict(results: Results, comparisons: Comparisons, params: Params) -> Verdict:
    """What this run says about the claim, by AUC per frame."""
    rows = [row for row in comparisons.against_add if row.measure == "auc"]
    details = [*_gap(results, params), *_compared(results, rows), *_power(rows), *_limits(results, params)]
    return Verdict(_headline([row for row in rows if row.other.is_baseline and row.task.manipulation != MEAN]), details)


def _headline(rows: Sequence[Comparison]) -> str:
    if not any(row.videos.value == row.videos.value for row in rows):
        return "Nothing can be said: ADD and a plain baseline of the same network are not both in this run."
    better = [row.task.label for row in rows if told_apart(row) and row.videos.value > 0]
    worse = [row.task.label for row in rows if told_apart(row) and row.videos.value < 0]
    if not better and not worse:
        return (
            "Not shown here: ADD and the plain baseline cannot be told apart on any of the "
            f"{len(rows)} tasks of this run."
            if len(rows) > 1
            else "Not shown here: ADD and the plain baseline cannot be told apart on the one task of this run."
        )
    parts = [f"ADD beats the plain baseline on {_some(better, len(rows))}"] if better else []
    parts += [f"ADD falls short of the plain baseline on {_some(worse, len(rows))}"] if worse else []
    rest = len(rows) - len(better) - len(worse)
    parts += (
        [f"the other {rest} cannot be told apart" if rest > 1 else "the other cannot be told apart"] if rest else []
    )
    return "; ".join(parts) + "."


def told_apart(row: Comparison) -> bool:
    """Whether a difference stands after Holm's correction."""
    return row.corrected < LEVEL


def _some(tasks: Sequence[str], total: int) -> str:
    listed = f" ({', '.join(tasks)})" if len(tasks) <= 4 else ""
    return f"{len(tasks)} of {total} task{'s' if total > 1 else ''}{listed}"


def _gap(results: Results, params: Params) -> Iterator[str]:
    for cell in (cell for cell in results.summaries if cell.method == TEACHER):
        qualities = [q for q in params.compressions if q in params.grid.compressions]
        values = {q: results.teacher(cell.backbone, cell.manipulation, q, "frame", "auc") for q in ("raw", *qualities)}
        found = ", ".join(f"{value:.3f} at {q}" for q, value in values.items() if q != "raw" and value is not None)
        if values["raw"] is not None and found:
            yield (
                f"The gap on {cell.manipulation} ({cell.backbone}): the teacher, trained on raw crops, has an AUC of "
                f"{values['raw']:.3f} per frame on raw crops of unseen people and {found} on the same frames."
            )


def _compared(results: Results, rows: Sequence[Comparison]) -> Iterator[str]:
    pooled = {(row.add, row.other, row.task.compression) for row in rows if row.task.manipulation == MEAN}
    for row in rows:  # the mean over manipulations says it at once, where there are several
        if (row.add, row.other, row.task.compression) in pooled and row.task.manipulation != MEAN:
            continue
        where = f"{row.task.compression}, mean over manipulations" if row.task.manipulation == MEAN else row.task.label
        name = f"{'the plain baseline ' * row.other.is_baseline}{results.label(row.other)}"
        change = f"{row.videos.value:+.3f} [{row.videos.low:+.3f}, {row.videos.high:+.3f}]"
        judged = "stands out" if told_apart(row) else "cannot be told from zero"
        yield (
            f"At {where}, {results.label(row.add)} has an AUC of {row.values[0]:.3f} against {row.values[1]:.3f} "
            f"of {name}: the difference of {change} {judged} "
            f"(p = {row.corrected:.3f} after Holm's correction)."
        ).replace("-0.", "−0.")


def _power(rows: Sequence[Comparison]) -> Iterator[str]:
    known = [row.videos.detectable for row in rows if row.videos.detectable == row.videos.detectable]
    if known:
        yield (
            "Size of difference that these test videos could have shown, four times in five: an AUC of "
            f"{min(known):.3f} to {max(known):.3f}, depending on task and method; smaller ones may stay unseen."
        )


def _limits(results: Results, params: Params) -> Iterator[str]:
    if len(params.grid.seeds) == 1:
        yield "One seed was trained: how much of a difference is the luck of one training run is not known."
    else:
        yield (
            f"{len(params.grid.seeds)} seeds were trained; intervals and tests resample the test videos, the spread "
            "over seeds stands beside them as ±."
        )
    if results.missing:
        names = ", ".join(cell.name for cell in results.missing[:6])
        more = f" and {len(results.missing) - 6} more" if len(results.missing) > 6 else ""
        yield f"Missing cells: {names}{more}."
    if not any(cell.method == ADD for cell in results.cells):
        yield "ADD itself is not among this run's methods."
