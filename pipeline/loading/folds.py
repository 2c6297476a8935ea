"""Folds: which buckets of people train, which validate, which test."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from pipeline.params.sources import OFFICIAL
from pipeline.work.errors import UserError


class Roles(NamedTuple):
    """The buckets of each role; no bucket, and so no person, has two."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


def fold(buckets: Iterable[str], fold: int, validation: int) -> Roles:
    """The roles of the buckets in one fold.

    Of b0..b{k-1}: bucket `fold` tests, the next `validation` ones (cyclically) validate, the rest trains.
    An official split (train, val, test) is its own fold 0.

    Raises: UserError for a fold that is not there, or that leaves nothing to train.
    """
    names = set(buckets)
    if names and names <= set(OFFICIAL):
        if fold != 0:
            raise UserError(f"folds: the source's official split has fold 0 alone, not {fold}")
        roles = Roles(*((name,) if name in names else () for name in OFFICIAL))
    else:
        order = sorted(names, key=_number)
        if not 0 <= fold < len(order):
            raise UserError(f"folds: {fold} is not one of the {len(order)} folds 0..{len(order) - 1}")
        turned = _turn(order, fold)
        roles = Roles(tuple(sorted(turned[1 + validation :], key=_number)), turned[1 : 1 + validation], turned[:1])
    if not roles.train:
        raise UserError(
            f"split: of {len(names)} buckets fold {fold} tests {len(roles.test)} and validates on {len(roles.val)}, "
            "which leaves none to train: raise split.buckets or lower split.validation"
        )
    return roles


def _turn(order: Sequence[str], by: int) -> tuple[str, ...]:
    return (*order[by:], *order[:by])


def _number(bucket: str) -> int:
    if not (bucket.startswith("b") and bucket[1:].isdigit()):
        raise UserError(
            f"bucket {bucket!r} is neither one of b0, b1, ... nor of an official split {', '.join(OFFICIAL)}"
        )
    return int(bucket[1:])
