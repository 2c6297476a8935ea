"""The distillations, by the names of the methods that params.yaml, files and tables use."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from torch import nn

from pipeline.detectors.backbones.base import Backbone
from pipeline.losses.attention import AttentionTransfer
from pipeline.losses.crd import ContrastiveDistillation
from pipeline.losses.feature import FeatureMatching
from pipeline.losses.fitnet import FitNet
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.kd import KnowledgeDistillation
from pipeline.losses.multiview import MultiViewAttention
from pipeline.losses.non_local import NonLocal
from pipeline.losses.qad import QualityAgnostic
from pipeline.params.cells import ABLATIONS, ADD, ALL_QUALITIES, RAW
from pipeline.params.recipes import Add, Contrastive, Distill, Mixed, Qad, Softened, Staged
from pipeline.params.schema import Params
from pipeline.training.classification import Classification
from pipeline.work.errors import UserError

Distillers = dict[str, tuple[float, nn.Module]]  # name -> (its weight in the objective, the loss)


@dataclass(frozen=True)
class _Pair:
    """What a loss is built for: the channels of the four stages of student and teacher, and a seed."""

    student: Sequence[int]
    teacher: Sequence[int]
    seed: int


def _warm_start(section: Distill, pair: _Pair) -> Distillers:
    return {}


def _fitnet(section: Distill, pair: _Pair) -> Distillers:
    return {"fitnet": (section.weight, FitNet(pair.student[-1], pair.teacher[-1]))}


def _at(section: Staged, pair: _Pair) -> Distillers:
    return {"at": (section.weight, AttentionTransfer(section.layer_weights))}


def _nl(section: Staged, pair: _Pair) -> Distillers:
    if tuple(pair.student) != tuple(pair.teacher):
        raise UserError("distill.nl: student and teacher must have the same channels; give them the same backbone")
    return {"nl": (section.weight, NonLocal(pair.student, section.layer_weights, pair.seed))}


def _kd(section: Softened, pair: _Pair) -> Distillers:
    return {"kd": (section.weight, KnowledgeDistillation(section.temperature))}


def _feature(section: Staged, pair: _Pair) -> Distillers:
    return {"feature": (section.weight, FeatureMatching("feature", section.layer_weights))}


def _crd(section: Contrastive, pair: _Pair) -> Distillers:
    loss = ContrastiveDistillation(pair.student[-1], pair.teacher[-1], section.temperature, section.dimensions)
    return {"crd": (section.weight, loss)}


DISTILLED: dict[str, Callable[[Any, _Pair], Distillers]] = {
    "warm_start": _warm_start,
    "fitnet": _fitnet,
    "at": _at,
    "nl": _nl,
    "kd": _kd,
    "feature": _feature,
    "crd": _crd,
}


def _add(method: str, backbone: str, params: Params, seed: int) -> Distillers:
    """ADD, or the parts of it that an ablation of Table 2 keeps."""
    frequency, multiview = params.add.frequency, params.add.multiview
    keeps_frequency, keeps_multiview, contrastive = ABLATIONS.get(method, (True, True, multiview.contrastive))
    distillers: Distillers = {}
    if keeps_frequency:
        gamma = frequency.gamma_by_backbone.get(backbone, frequency.gamma)
        distillers["frequency"] = (params.alpha, FrequencyAttention(gamma, frequency.layer_weights))
    if keeps_multiview:
        settings = multiview.model_dump() | {"contrastive": contrastive}
        distillers["multiview"] = (params.beta, MultiViewAttention(**settings, seed=seed))
    return distillers


def build(
    method: str, backbone: str, params: Params, student: Sequence[int], teacher: Sequence[int], seed: int
) -> Distillers:
    """The weighted losses of a method for a student of `backbone`; none for the control `warm_start`.

    student, teacher: channels of their four stages. Raises UserError for an unknown method.
    """
    section_ = section(method, params)
    if isinstance(section_, Add):
        return _add(method, backbone, params, seed)
    return DISTILLED[method](section_, _Pair(student, teacher, seed))


def section(method: str, params: Params) -> Add | Distill:
    """The method's own params, whose `train` holds what differs from the common recipe."""
    if method == ADD or method in ABLATIONS:
        return params.add
    if method not in DISTILLED:
        known = ", ".join((ADD, *ABLATIONS, *DISTILLED))
        raise UserError(f"{method}: no such distillation; there are {known}")
    found: Distill = getattr(params.distill, method)
    return found


def settings(method: str, params: Params) -> dict[str, Any]:
    """All params that shape the method's losses, for the record of a training."""
    found = section(method, params)
    if isinstance(found, Add):
        return {"alpha": params.alpha, "beta": params.beta, "add": found.model_dump()}
    return {"distill": found.model_dump()}


def _mixed(section: Mixed, student: Backbone, qualities: Sequence[str]) -> nn.Module:
    return Classification(student, ALL_QUALITIES)


def _qad(section: Qad, student: Backbone, qualities: Sequence[str]) -> nn.Module:
    return QualityAgnostic(student, qualities, **section.model_dump(exclude={"train"}))


AGNOSTIC: dict[str, Callable[[Any, Backbone, Sequence[str]], nn.Module]] = {"mixed": _mixed, "qad": _qad}


def agnostic(method: str, student: Backbone, params: Params) -> tuple[nn.Module, Mixed | Qad]:
    """The training of one model for raw and every compression, and its own params. Raises UserError for others."""
    if method not in AGNOSTIC:
        raise UserError(f"{method}: no such quality-agnostic method; there are {', '.join(AGNOSTIC)}")
    if not params.compressions:
        raise UserError(f"{method}: needs raw and at least one other quality; `compressions` is empty")
    found: Mixed | Qad = getattr(params.agnostic, method)
    return AGNOSTIC[method](found, student, (RAW, *params.compressions)), found
