"""From scores to verdicts: calibrated probabilities and two thresholds, fitted on people whom they do not judge.

What a fold's test people are judged by comes from its validation people; where it has none, from the other folds' test
people, each scored by a model that did not see them. No score of a judged person enters what judges that person.
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

    slope, offset: the probability is 1 / (1 + exp(-(slope * logit(score) + offset))) (Platt 1999; `_mapping`), where
    a real and a fake are equally likely beforehand. real_below, fake_above: of the probability; between them is no
    verdict.
    reals, fakes, people: how many of each it was fitted on. holds: whether there are enough for the accepted rates.
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

    The thresholds are the quantiles that split conformal prediction takes (Vovk et al. 2005): of a further real, as
    like these as they are to each other, at most the accepted share lies above. Raises: ValueError with one class.
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
    """Slope and offset of the calibrated logit: Platt's logistic regression, held near the score itself.

    A person's videos are alike, so all together weigh as much as there are people; reals and fakes weigh alike, for the
    share of fakes in this set is not the world's. Between few people the offset is chance: fitted on one third of the
    sample it is of another sign than on the next, and scores that lie apart ask for a slope without end. So each has
    a normal prior (slope 1, offset 0), which hundreds of people outweigh.
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
    # A detector whose scores say the opposite is not turned round: it then says nothing.
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
    """Expected calibration error of a column of probabilities (label, ...), reals and fakes weighing alike.

    As they do where a calibrated probability is right: a test set of two fakes a real would call it wrong.
    """
    labels = videos["label"].to_numpy(float)
    shares = np.where(labels == 1, 1 / max(labels.sum(), 1), 1 / max((1 - labels).sum(), 1))
    return float(calibration_error(labels, videos[column].to_numpy(float), shares[None])[0])


def held_out(frames: pd.DataFrame, fold: int | None = None) -> pd.DataFrame:
    """The scored frames that a fold's test people may be judged by; None: those for people of no fold."""
    validation = frames[frames["role"] == VALIDATION]
    if fold is None:
        return validation if len(validation) else frames[frames["role"] == TEST]
    own = validation[validation["fold"] == fold]
    return own if len(own) else frames[(frames["role"] == TEST) & (frames["fold"] != fold)]


def _bound(values: Floats, share: float) -> tuple[float, bool]:
    """The value that at most `share` of further ones exceed, and whether there are enough to say so."""
    count = len(values)
    place = math.ceil((count + 1) * (1 - share))
    return float(np.sort(values)[min(place, count) - 1]), place <= count


def _logit(scores: Floats | float) -> Floats:
    clipped = np.clip(np.asarray(scores, float), CLOSEST, 1 - CLOSEST)
    return np.asarray(np.log(clipped / (1 - clipped)))
