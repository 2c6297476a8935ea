"""People into groups that are never divided: what a fold trains on and what it tests never share a person."""

import random
from collections.abc import Iterable, Mapping

from pipeline.work.errors import UserError


def assign(people: Iterable[str], buckets: int, seed: int, clips: Mapping[str, int] | None = None) -> dict[str, str]:
    """Put each person into one of the buckets b0, b1, ..., at random but for the balance.

    The buckets' numbers of people differ by at most one. With the number of clips a person, these are evened out too:
    of each round of people, most clips first, the next one goes to the bucket that has the fewest clips.
    The order of `people` does not matter.

    Raises: UserError where there are fewer people than buckets.
    """
    order = sorted(set(people))
    if len(order) < buckets:
        fewer = f"set split.buckets to {len(order)}, and folds below it" if len(order) > 1 else "2 are the least"
        raise UserError(
            f"split.buckets: {buckets} buckets need as many people, the source has {len(order)} "
            f"({', '.join(order) or 'nobody'}): add people, or {fewer}"
        )
    chance = random.Random(seed)
    chance.shuffle(order)
    weight = {person: (clips or {}).get(person, 1) for person in order}
    order.sort(key=lambda person: -weight[person])
    totals = [0] * buckets
    assigned: dict[str, str] = {}
    for start in range(0, len(order), buckets):
        free = chance.sample(range(buckets), buckets)  # so that ties fall at random
        for person in order[start : start + buckets]:
            bucket = min(free, key=totals.__getitem__)
            free.remove(bucket)
            totals[bucket] += weight[person]
            assigned[person] = f"b{bucket}"
    return dict(sorted(assigned.items()))
