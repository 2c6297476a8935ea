"""Several shipped detectors side by side: those to choose from, and each as the network that never saw a person."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from pipeline.detectors import card as cards
from pipeline.params.cells import RAW
from pipeline.serving.loading import Family, load_family
from pipeline.serving.shipped import Detector
from pipeline.work.errors import UserError

ORDER = {"teacher": 0, "baseline": 1, "add": 9}  # of methods in a comparison; others stand between
WORDS = {"teacher": "Trained on raw video", "baseline": "Plain baseline", "add": "ADD"}


@dataclass
class Detectors:
    """families: by name, ADD first. tests: bucket of people -> the fold whose network never saw them."""

    families: Mapping[str, Family]
    tests: Mapping[str, int]
    _alone: dict[tuple[str, int], Family] = field(default_factory=dict)

    def family(self, name: str, fold: int | None = None) -> Family:
        """A family; with a fold, of that fold's networks alone. Raises: KeyError for a name that is none."""
        if fold is None:
            return self.families[name]
        if (name, fold) not in self._alone:
            whole = self.families[name]
            members = [(folder, one.model_copy(update={"folds": (fold,)})) for folder, one in whole.members]
            self._alone[name, fold] = Family(members, threads=whole.threads)
        return self._alone[name, fold]

    def compared(self) -> list[tuple[str, Detector]]:
        """(family, detector), each once (families share a teacher), by training quality, then method, ADD last."""
        known: dict[tuple[str, str], tuple[str, Detector]] = {}
        for name, family in self.families.items():
            for _, one in family.members:
                known.setdefault((kind(one), one.quality), (name, one))
        return sorted(known.values(), key=lambda pair: (pair[1].crf, ORDER.get(kind(pair[1]), 5), kind(pair[1])))


def kind(detector: Detector) -> str:
    """The method; a baseline states its backbone as one."""
    return "baseline" if detector.method == detector.backbone else detector.method


def label(detector: Detector) -> str:
    """What a detector is called in a comparison."""
    name = WORDS.get(kind(detector), kind(detector))
    return name if detector.quality == RAW else f"{name}, trained on {detector.quality}"


def describe(family: Family) -> str:
    """What a family is called in a choice: its method at the qualities that it was trained on."""
    method = kind(family.members[-1][1])
    return f"{WORDS.get(method, method)}: {', '.join(family.qualities)}"


def load_detectors(folders: Sequence[Path], threads: int | None = None) -> Detectors:
    """A family of each folder. Raises: UserError where one cannot be used, or two have one name."""
    families: dict[str, Family] = {}
    for folder in folders:
        family = load_family([folder], threads=threads)
        name = family.members[0][1].name
        if name in families:
            raise UserError(f"--model {folder}: a second detector of the name {name}; leave out one")
        families[name] = family
    ordered = sorted(families, key=lambda name: (families[name].members[-1][1].method != "add", name))
    return Detectors({name: families[name] for name in ordered}, _tests(families[ordered[0]]))


def _tests(family: Family) -> dict[str, int]:
    folder, detector = family.members[0]
    cards_ = {fold: cards.load(folder / f"fold{fold}")[1] for fold in detector.folds}
    return {bucket: fold for fold, card in cards_.items() for bucket in card.buckets["test"]}
