"""From scores to verdicts: calibrated probabilities and two thresholds.

They are fitted on a fold's validation people. Where a fold has none they are fitted on the other folds' test people,
each scored by a model that did not see them. So nobody is judged by a fit that used their own scores.
"""

import math
from typing import Literal

import numpy as np
import pandas as pd
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict

from pipeline.evaluation.metrics import by_video, calibration_error

Verdict = Literal["real", "fake", "undecided"]
Floats = NDArray[np.float64]
TEST, VALIDATION = "test", "val"  # the roles of scored people
CLOSEST = 1e-6  # of a score to 0 and 1, before its logit
# How many people's worth of evidence hold the slope at 1 and the offset at 0. Measured: docs/detector.md.
SLOPE_HELD, OFFSET_HELD = 1.0, 10.0


class Calibration(BaseModel):
    """A calibrated probability of fake from a mean score, and which verdict it gives.

    slope, offset: the probability is 1 / (1 + exp(-(slope * logit(score) + offset))) (Platt 1999; `_mapping`), at a
    prior of one half. real_below, fake_above: thresholds of the probability; between them the verdict is undecided.
    reals, fakes, people: how many of each it was fitted on. holds: whether these are enough to promise the accepted
    rates.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    slope: float
    offset: float
    real_below: float
    fake_above: float
    false_alarms: float  # accepted share of reals that are called fake
    misses: float  # accepted share of fakes that are called real
    reals: int
    fakes: int
    people: int
    holds: bool

    def probability(self, scores: Floats | float) -> Floats:
        """Calibrated probabilities of fake, of mean scores (N,)."""
        return np.asarray(1 / (1 + np.exp(-(self.slope * _logit(scores) + self.offset))))

    def verdict(self, probability: float) -> Verdict:
        if probability > self.fake_above:
            return "fake"
        return "real" if probability < self.real_below else "undecided"


def fit(rows: pd.DataFrame, false_alarms: float, misses: float) -> Calibration:
    """Calibrate on rows (person, label, score), one for each thing that is judged: videos, or single frames.

    The thresholds are those of split conformal prediction (Vovk et al. 2005): a further real that is exchangeable with
    the reals here lies above `fake_above` with at most the accepted probability; likewise a fake below `real_below`.
    Raises: ValueError with one class.
    """
    labels, scores = rows["label"].to_numpy(int), rows["score"].to_numpy(float)
    if len(set(labels.tolist())) < 2:
        raise ValueError("needs reals and fakes")
    people = int(rows["person"].nunique())
    slope, offset = _mapping(_logit(scores), labels, people)
    probabilities = 1 / (1 + np.exp(-(slope * _logit(scores) + offset)))
    reals, fakes = probabilities[labels == 0], probabilities[labels == 1]
    high, enough = _bound(reals, false_alarms)
    low, also = _bound(-fakes, misses)
    return Calibration(
        slope=slope,
        offset=offset,
        real_below=min(-low, high),
        fake_above=max(-low, high),
        false_alarms=false_alarms,
        misses=misses,
        reals=len(reals),
        fakes=len(fakes),
        people=people,
        holds=enough and also,
    )


def _mapping(logits: Floats, labels: NDArray[np.int_], people: int) -> tuple[float, float]:
    """Slope and offset of the calibrated logit: Platt's logistic regression with a prior that keeps it near the score.

    All rows together weigh as much as there are people, since one person's videos are alike. Reals and fakes have equal
    weight, since the share of fakes in this set is not the world's. With few people the offset is chance: its sign
    changes from one third of the sample to the next. And where the classes do not overlap, the slope has no finite
    optimum. So slope and offset have normal priors around 1 and 0, which hundreds of people outweigh.
    """
    from scipy.optimize import minimize  # a calibration is used without it

    shares = np.where(labels == 1, 0.5 / labels.sum(), 0.5 / (1 - labels).sum()) * people

    def loss(mapping: Floats) -> tuple[float, Floats]:
        slope, offset = mapping
        margins = slope * logits + offset
        wrong = shares * (1 / (1 + np.exp(-margins)) - labels)
        value = shares @ (np.logaddexp(0, margins) - labels * margins)
        value += SLOPE_HELD / 2 * (slope - 1) ** 2 + OFFSET_HELD / 2 * offset**2
        return float(value), np.array([wrong @ logits + SLOPE_HELD * (slope - 1), wrong.sum() + OFFSET_HELD * offset])

    slope, offset = minimize(loss, np.array([1.0, 0.0]), jac=True, method="BFGS").x
    # A detector whose scores are the wrong way round is not reversed: its slope is 0, and it says nothing.
    return max(float(slope), 0.0), float(offset)


def judged(frames: pd.DataFrame, false_alarms: float, misses: float) -> pd.DataFrame:
    """Verdicts on the test videos of scored frames (role, fold, set, video, person, frame, label, score).

    Returns rows (fold, set, video, person, label, score, probability, verdict), of the folds that could be judged: none
    where a fold has neither validation people nor another fold beside it.
    """
    found = []
    for fold in sorted(set(frames["fold"])):
        known = held_out(frames, fold)
        if known["label"].nunique() < 2:
            continue
        calibration = fit(by_video(known), false_alarms, misses)
        videos = by_video(frames[(frames["fold"] == fold) & (frames["role"] == TEST)]).assign(fold=fold)
        probabilities = calibration.probability(videos["score"].to_numpy())
        found.append(videos.assign(probability=probabilities, verdict=[calibration.verdict(p) for p in probabilities]))
    columns = ["fold", "set", "video", "person", "label", "score", "probability", "verdict"]
    return pd.concat(found, ignore_index=True)[columns] if found else pd.DataFrame(columns=columns)


def error(videos: pd.DataFrame, column: str) -> float:
    """Expected calibration error of a column of probabilities, with equal weight on reals and fakes.

    The probabilities are calibrated for a prior of one half; unweighted, a test set of two fakes a real would call them
    wrong.
    """
    labels = videos["label"].to_numpy(float)
    return float(calibration_error(labels, videos[column].to_numpy(float), balanced(labels)[None])[0])


def balanced(labels: Floats) -> Floats:
    """Weights (N,) by which all reals together count as much as all fakes."""
    return np.where(labels == 1, 1 / max(labels.sum(), 1), 1 / max((1 - labels).sum(), 1))


def held_out(frames: pd.DataFrame, fold: int | None = None) -> pd.DataFrame:
    """The scored frames on which a calibration may be fitted that judges a fold's test people; None: anybody new."""
    validation = frames[frames["role"] == VALIDATION]
    if fold is None:
        return validation if len(validation) else frames[frames["role"] == TEST]
    own = validation[validation["fold"] == fold]
    return own if len(own) else frames[(frames["role"] == TEST) & (frames["fold"] != fold)]


def _bound(values: Floats, share: float) -> tuple[float, bool]:
    """The value that a further one exceeds with at most this probability, and whether there are enough to say so."""
    count = len(values)
    place = math.ceil((count + 1) * (1 - share))
    return float(np.sort(values)[min(place, count) - 1]), place <= count


def _logit(scores: Floats | float) -> Floats:
    clipped = np.clip(np.asarray(scores, float), CLOSEST, 1 - CLOSEST)
    return np.asarray(np.log(clipped / (1 - clipped)))
