"""What params.yaml must agree on with itself about sets, folds and pooled tasks.

Each raises ValueError, which says what to change.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pipeline.params.schema import Params


def check_sets(params: Params) -> None:
    if "original" not in params.published:
        raise ValueError("published must hold original: every source brings real videos, nothing else does")
    if both := sorted(set(params.published) & set(params.forge.manipulations)):
        raise ValueError(f"published and forge.manipulations both hold {both[0]}: it is brought or made, not both")
    if params.forge.manipulations and "original" not in params.forge.reals:
        raise ValueError("forge.reals must hold original where forge.manipulations names what is made from it")
    if extra := sorted({*params.forge.reals, *params.detect.sets} - set(params.sets)):
        raise ValueError(f"forge.reals or detect.sets holds {extra[0]}, which sets does not have")
    if "original" not in params.detect.sets:
        raise ValueError("detect.sets must hold original: the reals take no box from any other set")
    if narrow := [name for name in params.forge.manipulations if name not in params.forge.face_width]:
        raise ValueError(f"forge.face_width has no width for {narrow[0]}")


def check_folds(params: Params) -> None:
    """What is wrong with people, buckets and folds whoever the people are."""
    if len(set(params.folds)) < len(params.folds):
        raise ValueError(f"folds names a fold twice: {list(params.folds)}")
    if params.official:
        if params.folds != (0,):
            raise ValueError(f"folds must be [0] for the source {params.source}: its official split is one fold")
        return
    count, validation = params.split.buckets, params.split.validation
    if count < 2 + validation:
        raise ValueError(
            f"split.buckets is {count}: in each fold 1 tests, {validation} (split.validation) validate, and none "
            f"is left to train: set split.buckets to {2 + validation} or more"
        )
    if beyond := [number for number in params.folds if number >= count]:
        left = [number for number in params.folds if number < count] or list(range(count))
        raise ValueError(
            f"folds holds {beyond[0]}, which would test bucket b{beyond[0]}, but split.buckets is {count}: set "
            f"folds to {left}, or split.buckets to {max(beyond) + 1}"
        )


def check_pooled(params: Params) -> None:
    for task in params.pooled.tasks:
        if task not in params.pooled.sets:
            raise ValueError(f"pooled.tasks holds {task}, which pooled.sets does not have")
        if task in params.sets:
            raise ValueError(f"pooled.tasks: {task} is the name of a set; give the pooled task another")
        if extra := sorted(set(params.pooled.sets[task]) - set(params.manipulations)):
            raise ValueError(f"pooled.sets.{task} holds {', '.join(extra)}, which manipulations does not have")
