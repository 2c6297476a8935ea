"""In words: from which compression on detection fails, and whether ADD moves that point."""

from pipeline.evaluation.statistics import interval
from pipeline.params.cells import ADD
from pipeline.reporting.robustness import Line, Stressed


def moved(stressed: Stressed) -> list[str]:
    """How far ADD moves the point at which detection fails, or that it does not: a sentence a pair of lines."""
    said = []
    place = ", mean over the manipulations," if len(stressed.manipulations) > 1 else ""
    level = f"{stressed.fails_below:g}".removeprefix("0")
    for add in (line for line in stressed.lines if line.method == ADD):
        plain = Line(add.backbone, add.backbone, add.compression)
        other, own = (stressed.fails(line, stressed.manipulations) for line in (plain, add))
        if other is None or own is None:
            continue
        several = len({line.backbone for line in stressed.lines if line.method == ADD}) > 1
        trained = f"Trained on {add.compression}{f' ({add.backbone})' * several}, "
        if other.never and own.never:
            said.append(
                f"{trained}neither the plain baseline nor ADD has an AUC per frame{place} below {level} up to an H.264 "
                f"rate factor of {own.last:.0f}: whether ADD moves the point at which detection fails is not seen here."
            )
            continue
        change = own.factors - other.factors
        low, high = interval(change[1:])
        bound = "at least " if own.never else "at most " if other.never else ""
        by = f"{bound}{change[0]:+.1f} [{low:+.1f}, {high:+.1f}]".replace("-", "−")
        told = "moves" if low > 0 or high < 0 else "cannot be said to move"
        said.append(
            f"{trained}the AUC per frame{place} stays below {level} from an H.264 rate factor of {other.text} on for "
            f"the plain baseline and of {own.text} on for ADD: ADD {told} the point at which detection fails ({by})."
        )
    return said
