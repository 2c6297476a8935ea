"""A run's outcome as evaluate and crop leave it, made up: tiny shards with drawn faces, cells with plausible scores."""

import copy
import io
import json
import struct
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import yaml
from PIL import Image

from pipeline.crops.shards import ShardWriter
from pipeline.evaluation import metrics
from pipeline.evaluation.summary import KINDS, intervals
from pipeline.params.cells import ADD, TEACHER, Cell, expected, pooled, tested_on
from pipeline.params.schema import Params, load
from tests.aids.parsed import PARSED

ROOT = Path(__file__).parents[2]
DUMPER = getattr(yaml, "CSafeDumper", yaml.SafeDumper)
PEOPLE = [f"person_{letter}" for letter in "abcdefghi"]
STRENGTH = {"raw": 4.0, "c23": 1.9, "c40": 0.8}  # how far a teacher's logits of fakes lie above those of reals
GAIN = {TEACHER: 0.0, "mobilenet_v2": 0.4, "warm_start": 0.6, ADD: 1.6}


def write_params(folder: Path, **changes: Any) -> Path:
    """The sample's params with dotted changes, e.g. {"grid.seeds": [0, 1]}."""
    params = copy.deepcopy(_sample())
    for key, value in changes.items():
        *parents, last = key.split(".")
        section = params
        for parent in parents:
            section = section[parent]
        section[last] = value
    path = folder / "params.yaml"
    text = yaml.dump(params, Dumper=DUMPER, sort_keys=False)
    path.write_text(text)
    PARSED.written(text, params)
    load(path)
    return path


@cache
def _sample() -> dict[str, Any]:
    """The sample's params; read once, for it takes PyYAML longer than what most tests do with them."""
    return dict(yaml.safe_load((ROOT / "params.yaml").read_text()))


def frames(manipulation: str, clips: int = 2, count: int = 4) -> pd.DataFrame:
    """The test frames of a task: every person's clips, real and fake."""
    rows = []
    for index, person in enumerate(PEOPLE):
        for clip in range(clips):
            target = f"{person}-{clip}"
            for label, (group, video) in enumerate([("original", target), (manipulation, f"{target}-fake")]):
                common = {"set": group, "video": video, "person": person, "bucket": f"b{index % 3}", "label": label}
                rows += [
                    common | {"target": target if label else "", "frame": 5 * n, "fold": index % 3}
                    for n in range(count)
                ]
    return pd.DataFrame(rows)


def write_cells(folder: Path, params: Params, skip: Iterable[str] = ()) -> None:
    """A json and a parquet for each cell that the params name, but those in `skip`."""
    folder.mkdir(parents=True, exist_ok=True)
    for cell in expected(params):
        if cell.name not in skip:
            write_cell(folder, cell, params)


def write_pooled(folder: Path, params: Params) -> None:
    """The same for the cells of pooled tasks, with what evaluate leaves of each manipulation."""
    for cell in pooled(params):
        members = params.pool(cell.manipulation)
        few = params.evaluation.model_copy(update={"bootstrap": 100})
        write_cell(folder, cell, params, members)
        file = folder / f"{cell.name}.json"
        summary, table = json.loads(file.read_text()), pd.read_parquet(file.with_suffix(".parquet"))
        for quality, found in summary["results"].items():
            at = table[table["quality"] == quality]
            parts = {name: at[at["set"].isin(["original", name])] for name in members}
            found["manipulations"] = {
                name: {
                    level: metrics.measure(rows) | {kind: intervals(rows, unit, few) for kind, unit in KINDS.items()}
                    for level, rows in (("frame", part), ("video", metrics.by_video(part)))
                }
                for name, part in parts.items()
            }
        file.write_text(json.dumps(summary))


def write_cell(folder: Path, cell: Cell, params: Params, members: Sequence[str] = ()) -> None:
    summary, scored = _cell(cell, tuple(params.compressions), tuple(params.folds), tuple(members))
    (folder / f"{cell.name}.json").write_text(summary)
    (folder / f"{cell.name}.parquet").write_bytes(scored)


@cache
def _cell(
    cell: Cell, compressions: tuple[str, ...], folds: tuple[int, ...], members: tuple[str, ...]
) -> tuple[str, bytes]:
    """Its json and its parquet, made once: many runs hold the same cells."""
    random = np.random.default_rng(abs(hash_of(cell.name)))
    qualities = tested_on(cell.compression, compressions)
    several = pd.concat([frames(name) for name in members or (cell.manipulation,)], ignore_index=True)
    base = several.drop_duplicates(["set", "video", "frame"], ignore_index=True)
    ease = dict(zip(PEOPLE, np.random.default_rng(7).normal(0, 0.5, len(PEOPLE)), strict=True))
    tables, results = [], {}
    for quality in qualities:
        shift = STRENGTH[quality] + GAIN.get(cell.method, 0.8)
        logit = (
            random.normal(0, 1, len(base)) + shift * (base["label"] - 0.5) + base["label"] * base["person"].map(ease)
        )
        table = base.assign(role="test", quality=quality, score=1 / (1 + np.exp(-logit)))
        tables.append(table)
        persons = {
            str(name): {"frames": len(block), "videos": block.groupby(["set", "video"]).ngroups}
            | {key: metrics.measure(block)[key] for key in ("acc", "auc")}
            for name, block in table.groupby("person")
        }
        results[quality] = {
            "frame": metrics.measure(table) | {"knn_r1": float(random.uniform(0.6, 0.9))},
            "video": metrics.measure(metrics.by_video(table)),
            "interval": {"frame": {}, "video": {}},
            "interval_persons": {"frame": {"auc": [value + metrics.measure(table)["auc"] for value in (-0.05, 0.05)]}},
            "per_fold": {str(fold): metrics.measure(block) for fold, block in table.groupby("fold")},
            "persons": persons,
        }
    summary = {"method": cell.method, "backbone": cell.backbone, "manipulation": cell.manipulation}
    summary |= {"compression": cell.compression, "seed": cell.seed, "folds": list(folds), "results": results}
    summary["training"] = [training(cell, fold) for fold in folds]
    summary["counts"] = {"frames": len(base), "videos": base.groupby(["set", "video"]).ngroups, "persons": len(PEOPLE)}
    return json.dumps(summary), pd.concat(tables).to_parquet(index=False)


def scores(folder: Path, name: str, quality: str = "c40") -> pd.DataFrame:
    """The frames of a cell in folder/cells, at one quality."""
    table = pd.read_parquet(folder / "cells" / f"{name}.parquet")
    return table[table["quality"] == quality]


def training(cell: Cell, fold: int) -> dict[str, Any]:
    history = []
    for number in range(1, 13):
        falling = 0.7 * float(np.exp(-number / (5 + fold)))
        row = {
            "step": 10 * number,
            "epoch": number / 2,
            "lr": 1e-4,
            "train_loss": falling,
            "train_cross_entropy": falling,
        }
        if cell.method == ADD:
            row |= {"train_loss": 3 * falling + 0.5, "train_frequency": falling, "train_multiview": falling / 2}
            row |= {"train_contrastive": 0.5 + falling / 10}
            row |= {
                "frequency_w_max": 1.2 - falling / 10,
                "multiview_hinge_active": 0.9,
                "multiview_swd": falling / 1e3,
            }
            row |= {"multiview_swd_positive": falling / 5e2, "multiview_swd_negative": 2e-3}
            row |= {f"{name}_stage{stage}": row[name] * stage / 3 for name in list(row)[-3:] for stage in (2, 3, 4)}
        history.append(row)
    measures = {k: v for k, v in history[-1].items() if k not in ("step", "epoch", "lr")}
    return {"fold": fold, "epochs_run": 6, "steps": 120, "selected_step": 120, "selection": "last",
            "parameters": 2_226_434, "measures": measures, "history": history}  # fmt: skip


def write_shards(folder: Path, sets: Iterable[str], compressions: Iterable[str], size: int = 48) -> None:
    """One tar a bucket and set, crops drawn with a face-like pattern, compressed ones blurred."""
    qualities = ("raw", *compressions)
    for group in sets:
        table = frames(group if group != "original" else "none")
        table = table[table["set"] == group].reset_index(drop=True)
        table = table.assign(left=3, top=4, size=size, donor="").sort_values(["bucket", "video", "frame"])
        with ShardWriter(folder / group, shard_frames=10) as writer:
            for row in table.to_dict("records"):
                about = row["person"], row["frame"], row["label"]
                files = {f"{quality}.png": _face(*about, quality, size) for quality in qualities}
                row.pop("fold")
                bucket, key = row.pop("bucket"), f"{row['video']}-{row['frame']:06d}"
                writer.write(bucket, key, files | {"json": json.dumps(row).encode()}, row)
        lost = [("x", None, "download", "no_face in video"), *(("y-0", n, "crop", "no face found") for n in (5, 10))]
        rejected = pd.DataFrame(lost, columns=["video", "frame", "stage", "cause"]).assign(set=group)
        rejected["frame"] = rejected["frame"].astype("Int64")
        rejected.to_parquet(folder / group / "rejected.parquet", index=False)


def write_manifests(raw: Path, compressed: Path, params: Params, published: Iterable[str] = ()) -> None:
    """What download, forge and compress leave of the videos, the files without pictures; published: the sets that are
    as a data set brings them."""
    for name in params.sets:
        about = {"file": "x.mp4"} | ({"codec": "mpeg4", "pix_fmt": "yuv444p"} if name in published else {})
        common = {"parameters": json.dumps(about), "source": "package_one 1.0: Some & Sons", "licence": "CC BY 4.0"}
        common |= {"frames": 50, "fps": 25.0, "width": 96, "height": 80}
        end = "" if name == "original" else "-fake"
        rows = pd.DataFrame([{"video": f"{p}-{c}{end}", "person": p, **common} for p in PEOPLE for c in range(2)])
        (raw / name).mkdir(parents=True)
        rows.to_csv(raw / name / "manifest.csv", index=False)
        for quality in params.compressions:
            (compressed / name / quality).mkdir(parents=True)
            about_files = rows[["video", "frames", "fps", "width", "height"]]
            here = about_files.assign(origin="encoded", codec="h264", pix_fmt="yuv420p", crf=1)
            if name in published and quality == "c23":  # but for one, which was not there
                here.loc[1:, ["origin", "pix_fmt"]] = ["published", "yuv422p"]
            here.to_csv(compressed / name / quality / "encoding.csv", index=False)
        for folder in (raw / name, *(compressed / name / quality for quality in params.compressions)):
            for video in rows["video"]:
                (folder / f"{video}.mp4").write_bytes(mp4(1000 + hash_of(video) % 500))


def mp4(pictures: int, rest: int = 40) -> bytes:
    """A file of as many bytes in its box mdat, and of as many others."""
    boxes = ((b"moov", rest), (b"mdat", pictures))
    return b"".join(struct.pack(">I4s", size, name) + bytes(size - 8) for name, size in boxes)


def hash_of(text: str) -> int:
    return int.from_bytes(text.encode()[-7:], "big") + sum(text.encode())


@cache
def _face(person: str, frame: int, label: int, quality: str, size: int) -> bytes:
    """A PNG; drawn once for a person's clips, for all manipulations, and for every run that is made up."""
    random = np.random.default_rng(hash_of(person) + frame)
    y, x = np.mgrid[:size, :size] / size - 0.5
    oval = (x / 0.32) ** 2 + (y / 0.44) ** 2 < 1
    eyes = ((np.abs(x) - 0.14) / 0.06) ** 2 + ((y + 0.1) / 0.04) ** 2 < 1
    mouth = (x / 0.15) ** 2 + ((y - 0.22) / (0.03 + 0.04 * label)) ** 2 < 1
    tone = np.array([200, 160, 140]) - hash_of(person) % 60
    image = np.where(oval[..., None], tone, [90, 110, 130]) + random.normal(0, 12, (size, size, 1))
    image = np.where((eyes | mouth)[..., None], 50, image)
    drawn = Image.fromarray(image.clip(0, 255).astype(np.uint8))
    coarse = {"raw": size, "c23": size * 2 // 3, "c40": size // 3}[quality]
    buffer = io.BytesIO()
    drawn.resize((coarse, coarse)).resize((size, size)).save(buffer, "png")
    return buffer.getvalue()
