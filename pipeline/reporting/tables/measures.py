"""How tables name and print measures, and the intervals around them."""

from collections.abc import Callable

from pipeline.reporting.tables.table import NOTHING, decimal, percent

NAMES = {
    "acc": "ACC %",
    "auc": "AUC",
    "knn_r1": "R@1 (kNN) %",
    "fake_recall": "fake recall %",
    "balanced_acc": "balanced ACC %",
    "average_precision": "AP",
    "eer": "EER %",
    "ece": "ECE",
    "above_target": "above own target %",
}


def form(name: str) -> Callable[..., str]:
    """What prints this measure: a value, and its deviation where there is one."""
    return percent if NAMES[name].endswith("%") else decimal


def kinds(few_people: bool) -> dict[str, str]:
    """The intervals that a table shows, by their names in what evaluate leaves: over people first where they are few.

    The values are how the CSV names them.
    """
    return {"interval_persons": "auc_people", "interval": "auc"} if few_people else {"interval": "auc"}


def edges(few_people: bool) -> list[str]:
    """The headers of these intervals."""
    return ["95 % people", "95 % videos"] if few_people else ["95 % videos"]


def over(few_people: bool) -> str:
    """What these intervals are over, in words."""
    return "over people, who are few, and over videos" if few_people else "over videos"


def between(low: float | None, high: float | None, digits: int = 3, scale: float = 1.0) -> str:
    """An interval as text; nothing of what is not known."""
    if low is None or high is None or low != low or high != high:
        return NOTHING
    return f"[{scale * low:.{digits}f}, {scale * high:.{digits}f}]".replace("-", "−")


def probability(p: float) -> str:
    """A p value with three decimals."""
    return NOTHING if p != p else "< .001" if p < 0.001 else f"{p:.3f}"
