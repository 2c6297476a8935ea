"""What the sections of params.yaml must agree on with each other.

Each check raises ValueError, which says what to change.
"""

from collections.abc import Callable, Collection

from pipeline.params.cells import BASELINE, TEACHER
from pipeline.params.fields import Fields
from pipeline.params.recipes import Recipe


def check_sets(params: Fields) -> None:
    if set(params.sets) != (wanted := {"original", *params.manipulations}):
        raise ValueError(f"sets must hold original and every manipulation: {sorted(wanted)}")
    if set(params.published) | set(params.forge.manipulations) != wanted:
        raise ValueError("published and forge.manipulations together must make up sets: each is one or the other")
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


def check_folds(params: Fields) -> None:
    """That buckets and folds fit each other; how many people there are is not known yet."""
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


def check_sizes(params: Fields) -> None:
    if params.crop.size < params.model.image_size:
        raise ValueError("crop.size must be at least model.image_size")


def check_lists(params: Fields) -> None:
    """That each list of names is within the list that defines them."""
    grid, trained = params.grid, {*params.grid.distilled, *params.grid.students, *params.grid.agnostic}
    trained |= {*params.ablation.methods}
    trained |= {TEACHER} if grid.backbones else set()
    trained |= {BASELINE} if grid.baselines else set()
    within: list[tuple[str, Collection[str], str, Collection[str]]] = [
        ("compressions", params.compressions, "crf", params.crf),
        ("grid.compressions", params.grid.compressions, "compressions", params.compressions),
        ("grid.distilled_backbones", params.grid.distilled_backbones, "grid.backbones", params.grid.backbones),
        ("grid.baselines", params.grid.baselines, "baselines", params.baselines),
        ("grid.distilled", params.grid.distilled, "distill", dict(params.distill)),
        ("grid.agnostic", params.grid.agnostic, "agnostic", dict(params.agnostic)),
        ("ablation.manipulations", params.ablation.manipulations, "manipulations", params.manipulations),
        ("ablation.compressions", params.ablation.compressions, "compressions", params.compressions),
        ("ablation.backbones", params.ablation.backbones, "grid.backbones", params.grid.backbones),
        ("stress.methods", params.stress.methods, "this run (grid, ablation)", trained),
        ("cross.methods", params.cross.methods, "this run (grid, ablation)", trained),
    ]
    for key, names, other, allowed in within:
        if extra := sorted(set(names) - set(allowed)):
            mend = f"; take it out of {key} too" if key.endswith(".methods") else ""
            raise ValueError(f"{key} holds {', '.join(extra)}, which {other} does not have{mend}")


def check_pooled(params: Fields) -> None:
    for task in params.pooled.tasks:
        if task not in params.pooled.sets:
            raise ValueError(f"pooled.tasks holds {task}, which pooled.sets does not have")
        if task in params.sets:
            raise ValueError(f"pooled.tasks: {task} is the name of a set; give the pooled task another")
        if extra := sorted(set(params.pooled.sets[task]) - set(params.manipulations)):
            raise ValueError(f"pooled.sets.{task} holds {', '.join(extra)}, which manipulations does not have")


def check_export(params: Fields) -> None:
    """That every detector to be shipped is one that is trained and tested."""
    export, grid = params.export, params.grid
    if not export.methods:
        return
    pooled = export.task in params.pooled.tasks
    if not pooled and export.task not in params.manipulations:
        raise ValueError(f"export.task {export.task} is neither in pooled.tasks nor in manipulations")
    trained = {BASELINE: grid.baselines, **dict.fromkeys(grid.students, grid.backbones)}
    trained |= {} if pooled else dict.fromkeys(grid.distilled, grid.distilled_backbones)
    for method in export.methods:
        if export.backbone not in {*trained.get(method, ())} & {*grid.backbones}:
            raise ValueError(f"export.methods: no {method} on {export.backbone} is trained on {export.task}")
    if export.seed not in grid.seeds:
        raise ValueError(f"export.seed {export.seed} is not in grid.seeds")


def check_recipes(params: Fields) -> None:
    """That `train` with each method's changes is a valid recipe, and that none freezes random weights."""
    every: list[Recipe] = [params.teacher, params.add, *params.baselines.values(), *dict(params.distill).values()]
    every += dict(params.agnostic).values()
    for recipe in every:
        params.recipe(recipe)
    if params.grid.backbones and params.train.freeze_stages and not params.model.pretrained:
        raise ValueError("model.pretrained is false: train.freeze_stages would keep random weights: set it to 0")
    for name in params.grid.baselines:
        if params.recipe(params.baselines[name]).freeze_stages and not params.starts(name).pretrained:
            raise ValueError(
                f"baselines.{name}: pretrained is false, and freeze_stages would keep random weights: "
                f"set baselines.{name}.train.freeze_stages to 0"
            )


CHECKS: tuple[Callable[[Fields], None], ...] = (
    check_sets,
    check_folds,
    check_sizes,
    check_lists,
    check_pooled,
    check_export,
    check_recipes,
)
