"""Where w and the hinge stand on trained features: after `make repro`,

python -m benchmarks.trained_scales --manipulation reenactment

Features of the training people's crops through the raw teacher and, on the compressed crops, through the plain baseline
and the ADD student. Per stage: the largest w of Eq. 3 for several gamma_FR; the distances to the own teacher, to
positives and to negatives, and the share of active hinges at the paper's Delta, for each distance of Eq. 8.
"""

import argparse
from pathlib import Path

import pandas as pd
import torch

from pipeline.detectors.backbones.features import Features
from pipeline.detectors.card import load
from pipeline.loading.loader import TrainingLoader
from pipeline.losses.frequency import FrequencyAttention
from pipeline.losses.multiview import MultiViewAttention

GAMMAS = (1.0, 10.0, 30.0, 100.0)
DISTANCES = ("histogram", "released", "wasserstein")
STAGES = (2, 3, 4)


def rows(student: Features, teacher: Features, labels: torch.Tensor) -> list[dict[str, float | str]]:
    """One row for each measure and stage of a batch."""
    found: list[dict[str, float | str]] = []
    for gamma in GAMMAS:
        measures = FrequencyAttention(gamma)(student, teacher, labels).measures
        found += [
            {
                "what": f"w max, gamma_FR {gamma:g}",
                "stage": stage,
                "value": float(measures[f"frequency_w_max_stage{stage}"]),
            }
            for stage in STAGES
        ]
    for distance in DISTANCES:
        measures = MultiViewAttention(distance=distance, seed=0)(student, teacher, labels).measures
        found += [
            {"what": f"{distance}: {name}", "stage": stage, "value": float(measures[f"multiview_{key}_stage{stage}"])}
            for stage in STAGES
            for name, key in (("own", "swd"), ("positive", "swd_positive"), ("negative", "swd_negative"),
                              ("hinge active", "hinge_active"))
        ]  # fmt: skip
    return found


@torch.no_grad()
def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--manipulation", required=True)
    parser.add_argument("--backbone", default="mobilenet_v2")
    parser.add_argument("--compression", default="c40")
    parser.add_argument("--fold", type=int, default=0)
    parser.add_argument("--batches", type=int, default=5)
    args = parser.parse_args()
    task, fold = f"{args.manipulation}-{args.compression}-s0", f"fold{args.fold}"
    teacher, card = load(Path("models/teacher") / f"{args.backbone}-{args.manipulation}-raw-s0" / fold)
    students = {
        "baseline": load(Path("models/baseline") / f"{args.backbone}-{task}" / fold)[0],
        "add": load(Path("models/add") / f"{args.backbone}-{task}" / fold)[0],
    }
    loader = TrainingLoader(
        [Path("data/shards/original"), Path("data/shards") / args.manipulation],
        buckets=card.buckets["train"],
        qualities=["raw", args.compression],
        image_size=card.image_size,
        batch_size=32,
        flip=0.5,
        seed=0,
    )
    found = []
    for number, batch in zip(range(args.batches), loader.epoch(0), strict=False):
        target = teacher(batch.images["raw"])
        for name, student in students.items():
            seen = student(batch.images[args.compression])
            found += [{"student": name, "batch": number, **row} for row in rows(seen, target, batch.labels)]
    table = pd.DataFrame(found).pivot_table(index="what", columns=["student", "stage"], values="value", sort=False)
    print(table.map(lambda value: f"{value:.3g}").to_string())


if __name__ == "__main__":
    main()
