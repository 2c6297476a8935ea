"""The outcome of a run in plain words, from the same numbers as the tables."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from statistics import fmean

from pipeline.evaluation.calibration import TEST
from pipeline.evaluation.statistics import LEVEL, within
from pipeline.evaluation.summary import without_auc
from pipeline.params.cells import ADD, RAW
from pipeline.params.schema import Params
from pipeline.reporting.comparison import MEAN, Comparison, Comparisons
from pipeline.reporting.results import Results

CONTROL = "warm_start"
FEW = 10  # people: fewer are a caveat in words as well, not only FEW_PEOPLE's intervals over people
CLAIM = (
    "Under strong compression a detector trained with ADD (a teacher that saw the raw crops, and two attention "
    "distillations) tells fakes from real faces better than the same network trained without it."
)


@dataclass(frozen=True)
class Conclusion:
    """headline: one sentence. details: what it rests on, and what it does not show."""

    headline: str
    details: list[str]


def conclude(results: Results, comparisons: Comparisons, params: Params, more: Sequence[str] = ()) -> Conclusion:
    """What this run says about the claim, by AUC per frame. more: sentences of the stress stage."""
    rows = [row for row in comparisons.against_add if row.measure == "auc"]
    details = [*_gap(results, params), *_compared(results, rows), *_equal(results, rows, params.report.margin), *more]
    return Conclusion(_headline(results, rows), [*details, *_power(rows), *_limits(results, params)])


def _headline(results: Results, rows: Sequence[Comparison]) -> str:
    """The mean over manipulations decides where there are several; the single tasks follow as counts."""
    rows = [row for row in rows if row.other.is_baseline and row.other.backbone == row.add.backbone]
    rows = [row for row in rows if row.videos.value == row.videos.value]
    if not rows:
        return "Nothing can be said: ADD and a plain baseline of the same network are not both in this run."
    means = [row for row in rows if row.task.manipulation == MEAN]
    single = [row for row in rows if row not in means]
    text = "; ".join(_said(results, means or single)) + "."
    if means:
        better = sum(told_apart(row) and row.videos.value > 0 for row in single)
        worse = sum(told_apart(row) and row.videos.value < 0 for row in single)
        text += f" One by one: better on {better}, worse on {worse} of {len(single)} tasks, undecided on the rest."
    return text[0].upper() + text[1:]


def _outcome(row: Comparison) -> str:
    if not told_apart(row):
        return "cannot be told from"
    return "beats" if row.videos.value > 0 else "falls short of"


def _place(row: Comparison) -> str:
    return _at(row.task.manipulation, row.task.compression)


def _at(manipulation: str, compression: str) -> str:
    return f"at {compression}, over all manipulations" if manipulation == MEAN else f"on {manipulation} {compression}"


def _said(results: Results, rows: Sequence[Comparison]) -> Iterator[str]:
    """A clause for each outcome, which names the compressions and backbones that share it together."""
    found: dict[tuple[str, str, str], list[str]] = {}  # manipulation, compression, outcome -> backbones
    for row in rows:
        found.setdefault((row.task.manipulation, row.task.compression, _outcome(row)), []).append(row.add.backbone)
    shared: dict[tuple[str, str, tuple[str, ...]], list[str]] = {}
    for (manipulation, compression, outcome), names in found.items():
        shared.setdefault((manipulation, outcome, tuple(names)), []).append(compression)
    several = any(results.label(row.add) != ADD for row in rows)
    for (manipulation, outcome, backbones), compressions in shared.items():
        name = f"ADD on {_listed(backbones)}" if several else "ADD"
        yield f"{_at(manipulation, _listed(compressions))}, {name} {outcome} the plain baseline"


def _listed(names: Sequence[str]) -> str:
    return f"{', '.join(names[:-1])} and {names[-1]}" if len(names) > 1 else names[0]


def told_apart(row: Comparison) -> bool:
    """Whether a difference stands after Holm's correction."""
    return row.corrected < LEVEL


def _gap(results: Results, params: Params) -> Iterator[str]:
    for backbone in params.grid.backbones:
        means = {}
        for quality in (RAW, *params.grid.compressions):
            found = [results.teacher(backbone, name, quality, "frame", "auc") for name in params.manipulations]
            if known := [value for value in found if value is not None]:
                means[quality] = fmean(known)
        if RAW in means and len(means) > 1:
            several = ", mean over the manipulations" if len(params.manipulations) > 1 else ""
            worse = ", ".join(f"{value:.3f} at {quality}" for quality, value in means.items() if quality != RAW)
            yield (
                f"The gap: the teacher ({backbone}), trained on raw crops, has an AUC per frame of {means[RAW]:.3f} "
                f"on raw crops of unseen people and {worse} on the same frames{several}."
            )


def _compared(results: Results, rows: Sequence[Comparison]) -> Iterator[str]:
    """The baseline and the control in numbers, the other methods by name; over all manipulations where several."""
    pooled = len({row.task.manipulation for row in rows}) > 1
    rows = [row for row in rows if (row.task.manipulation == MEAN) == pooled and row.corrected == row.corrected]
    near = [row for row in rows if row.other.method in (CONTROL, row.add.backbone)]
    for row in near:
        name = f"{'the plain baseline ' * row.other.is_baseline}{results.label(row.other)}"
        over = [f"[{found.low:+.3f}, {found.high:+.3f}] over {unit}" for found, unit in
                ((row.people, "people"), (row.videos, "videos"))]  # fmt: skip
        change = f"{row.videos.value:+.3f} {', '.join(over if results.few_people else over[1:])},"
        judged = "stands out" if told_apart(row) else "cannot be told from zero"
        place = _place(row)
        yield (
            f"{place[0].upper()}{place[1:]}, {results.label(row.add)} has an AUC of {row.values[0]:.3f} against "
            f"{row.values[1]:.3f} of {name}: the difference of {change} {judged} (p = {row.corrected:.3f} after Holm's "
            "correction)."
        ).replace("-0.", "−0.")
    far = [row for row in rows if row not in near]
    for compression, add in dict.fromkeys((row.task.compression, row.add) for row in far):
        block = [row for row in far if (row.task.compression, row.add) == (compression, add)]
        said = ", ".join(f"{results.label(row.other)} ({row.videos.value:+.3f}, {_word(row)})" for row in block)
        yield f"AUC of {results.label(add)} less that of the other methods at {compression}: {said}.".replace(
            "-0.", "−0."
        )


def _word(row: Comparison) -> str:
    return ("better" if row.videos.value > 0 else "worse") if told_apart(row) else "undecided"


def _equal(results: Results, rows: Sequence[Comparison], margin: float) -> Iterator[str]:
    """Which differences are shown to be small, over all manipulations where there are several."""
    pooled = len({row.task.manipulation for row in rows}) > 1
    rows = [row for row in rows if (row.task.manipulation == MEAN) == pooled and row.videos.low == row.videos.low]
    few = results.few_people
    if not rows:
        return
    found = [row.first(few) for row in rows]
    small = [row for row, one in zip(rows, found, strict=True) if within(one.low, one.high, margin)]
    over = "people" if few else "videos"
    if small:
        names = ", ".join(f"{results.label(row.other)} ({_place(row)})" for row in small)
        yield f"Shown to differ from ADD by an AUC of less than {margin:g} (95 % interval over {over}): {names}."
    else:
        widest = max(max(abs(one.low), abs(one.high)) for one in found)
        yield (
            f"No method is shown to differ from ADD by an AUC of less than {margin:g}: over {over}, differences of up "
            f"to {widest:.3f} are not ruled out."
        )


def _power(rows: Sequence[Comparison]) -> Iterator[str]:
    known = [row.videos.detectable for row in rows if row.videos.detectable == row.videos.detectable]
    if known:
        yield (
            "Size of difference that these test videos could have shown, four times in five: an AUC of "
            f"{min(known):.3f} to {max(known):.3f}, depending on task and method; smaller ones may stay unseen."
        )


def _limits(results: Results, params: Params) -> Iterator[str]:
    people = {one for table in results.scores.values() for one in table.loc[table["role"] == TEST, "person"]}
    if len(people) < FEW:
        yield (
            f"Only {len(people)} people were tested: what stands out on their videos may be theirs alone (the paired "
            "tests also have intervals over people)."
        )
    if len(params.grid.seeds) == 1:
        yield "One seed was trained: how much of a difference is the luck of one training run is not known."
    else:
        yield (
            f"{len(params.grid.seeds)} seeds were trained; intervals and tests resample the test videos, the spread "
            "over seeds stands beside them as ±."
        )
    lacking = {
        f"{cell.name} at {quality}": why
        for cell, summary in results.summaries.items()
        for quality, result in summary["results"].items()
        if (why := without_auc(result))
    }
    if lacking:
        first, why = next(iter(lacking.items()))
        others = f", and {len(lacking) - 1} more" if len(lacking) > 1 else ""
        yield f"An AUC needs reals and fakes, and is missing of {first} ({why}){others}."
    if results.missing:
        names = ", ".join(cell.name for cell in results.missing[:6])
        more = f" and {len(results.missing) - 6} more" if len(results.missing) > 6 else ""
        yield f"Missing cells: {names}{more}."
    if not any(cell.method == ADD for cell in results.cells):
        yield "ADD itself is not among this run's methods."
