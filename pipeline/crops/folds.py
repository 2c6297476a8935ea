"""Folds: which buckets of people train, which validate, which test, and whether each role has both classes.

Which buckets there are follows from the params alone: one that nobody is left in is missed, not passed over.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from pipeline.params.schema import Params
from pipeline.params.sources import OFFICIAL
from pipeline.work.errors import UserError


class Roles(NamedTuple):
    """The buckets of each role; no bucket, and so no person, has two."""

    train: tuple[str, ...]
    val: tuple[str, ...]
    test: tuple[str, ...]


# The forge's manipulations whose donor must be another person; for the others another clip will do. They stand here
# and not with the forge, since `unforgeable` tells of too few people before anything is forged.
SWAPS = ("faceswap",)
DOES = {"train": "trains on", "val": "validates on", "test": "tests"}


def fold(params: Params, number: int) -> Roles:
    """The roles of the buckets in one fold.

    Of b0..b{k-1}, k = split.buckets: bucket `number` tests, the next split.validation ones (cyclically) validate, the
    rest trains. An official split (train, val, test) is its own fold 0.

    Raises: UserError for a fold that is not there.
    """
    if params.official:
        if number != 0:
            raise UserError(f"folds: the source's official split has fold 0 alone, not {number}")
        return Roles(*((name,) for name in OFFICIAL))
    count, validation = params.split.buckets, params.split.validation
    if not 0 <= number < count:
        raise UserError(f"folds: {number} is not one of the {count} folds 0..{count - 1}")
    turned = [(number + step) % count for step in range(count)]
    test, val, train = turned[:1], turned[1 : 1 + validation], sorted(turned[1 + validation :])
    return Roles(*(tuple(f"b{bucket}" for bucket in part) for part in (train, val, test)))


def gap(
    params: Params, have: Collection[str], people: Mapping[str, Collection[str]], what: str, each: bool = False
) -> str | None:
    """The first fold that cannot be trained or tested, in a line with what can be done; None where each can.

    have: the buckets that have what is needed; people: bucket -> who is in it; what: is lacking, such as "no crops";
    each: every bucket needs it; else it is enough that one of those that train, or validate, together has it.
    """
    if params.tests_only:
        return None
    lacking: list[tuple[str, int, tuple[str, ...]]] = []
    for number in (0,) if params.official else [one for one in params.folds if one < params.split.buckets]:
        for role, buckets in fold(params, number)._asdict().items():
            without = tuple(bucket for bucket in buckets if bucket not in have)
            if without and (each or without == buckets):
                lacking.append((role, number, without))
    if not lacking:
        return None
    role, number, buckets = min(lacking)  # test before train: it names one bucket
    where = ", ".join(f"{bucket} ({', '.join(sorted(people.get(bucket, ()))) or 'nobody'})" for bucket in buckets)
    line = f"{what} in bucket {where}, which fold {number} {DOES[role]}"
    if params.official:
        return f"{line}: see rejected.csv for what the source lacks"
    whole = sorted(set(params.folds) - {one for _, one, _ in lacking})
    fewer = f"set folds to {whole}, or " if whole else ""
    return f"{line}: add people, {fewer}divide them into fewer buckets (split.buckets)"


def unforgeable(params: Params, clips: Sequence[tuple[str, str]]) -> str | None:
    """As `gap`, the first fold for which the forge can make no fakes, because nobody in a bucket can lend a face.

    clips: (bucket, person) of each real one.
    """
    people = members(clips)
    for manipulation in params.forge.manipulations:
        swap = manipulation in SWAPS
        held = {bucket: len(names) for bucket, names in people.items()} if swap else Counter(b for b, _ in clips)
        able = {bucket for bucket, count in held.items() if count > 1}
        line = gap(params, able, people, f"no second {'person' if swap else 'clip'}, which {manipulation} needs,")
        if line is None:
            continue
        count, least = sum(map(len, people.values())), 2 + params.split.validation
        fits = min(count // 2, params.split.buckets)
        if params.official or not swap:
            return line
        if least <= fits < params.split.buckets:
            return f"{line}: {count} people fill {fits}, split.buckets={fits} and folds={list(range(fits))}"
        return f"{line}; {2 * least} people are the least, or leave {manipulation} out of the params' lists"
    return None


def members(clips: Iterable[tuple[str, str]]) -> dict[str, set[str]]:
    """bucket -> its people, of (bucket, person)."""
    found: dict[str, set[str]] = {}
    for bucket, person in clips:
        found.setdefault(bucket, set()).add(person)
    return found
