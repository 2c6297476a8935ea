"""A tree in FaceForensics++'s own layout and names, of six of the sample's people and fakes that the forge makes."""

import json
import sys
from pathlib import Path

import yaml

from pipeline.videos.manifests import read_manifest, write_manifest, write_rejected
from pipeline.videos.writing import transcode
from pipeline.work.files import link
from tests.aids.clone import ROOT, merge, run

# As the official files list them: target and donor of one fake, donor and target of the other.
SPLITS = {"train": [["071", "054"]], "val": [["720", "672"]], "test": [["953", "974"]]}
# How each manipulation's stand-in is made: what kind, and the resolution of the forged face in px.
STAND_INS = {
    "Deepfakes": ("faceswap", 32),
    "Face2Face": ("reenactment", 48),
    "FaceSwap": ("faceswap", 64),
    "FaceShifter": ("faceswap", 96),
    "NeuralTextures": ("reenactment", 72),
}
QUALITIES = {"c23": 23, "c40": 40}


def plant(root: Path, work: Path, frames: int) -> Path:
    """Write the tree to `root`: originals of so many frames, both fakes of each pair, in raw, c23 and c40.

    work: a folder for what is needed on the way. The people come from the sample's files (fetched where the cache
    lacks them).
    """
    work.mkdir()
    small = {"sample_source": {"clip_frames": frames, "clips_per_person": 1}, "workers": 1}
    stage(work, small, "download", "--set", "original", "--out", "sample")
    name_officially(work / "sample", work / "original")
    official = small | {"source": "faceforensics", "folds": [0]}  # people lie in the buckets of the official split
    stage(work, official, "landmarks", "--videos", "original", "--out", "landmarks.parquet")
    folders = {"original_sequences/youtube": work / "original"}
    for method, (kind, width) in STAND_INS.items():
        folders[f"manipulated_sequences/{method}"] = work / method
        forge = {"forge": {"per_target": 1, "face_width": {kind: width}}}
        stage(work, official | forge, "forge", "--manipulation", kind, "--videos", "original",
              "--landmarks", "landmarks.parquet", "--out", method)  # fmt: skip
    for place, folder in folders.items():
        for video in folder.glob("*.mp4"):
            name = video.name.replace("__", "_")
            link(video, root / place / "raw/videos" / name)
            for quality, crf in QUALITIES.items():
                transcode(video, root / place / quality / "videos" / name, crf)
    (root / "splits").mkdir()
    for split, pairs in SPLITS.items():
        (root / f"splits/{split}.json").write_text(json.dumps(pairs, indent=2))
    return root


def stage(work: Path, changes: dict, name: str, *arguments: str) -> None:
    """Run a stage in `work`, with the sample's params but for some changes."""
    params = yaml.safe_load((ROOT / "params.yaml").read_text())
    (work / "params.yaml").write_text(yaml.safe_dump(merge(params, changes)))
    run(work, "env", f"PYTHONPATH={ROOT}", sys.executable, "-m", f"stages.{name}", *arguments)


def name_officially(sample: Path, out: Path) -> None:
    """Give the sample's first people the names in the splits; a pair is a bucket of its own: each other's donors."""
    names = [(name, split) for split, pairs in SPLITS.items() for pair in pairs for name in pair]
    rows = []
    for (name, split), row in zip(names, read_manifest(sample).to_dict("records"), strict=False):
        link(sample / f"{row['video']}.mp4", out / f"{name}.mp4")
        rows.append({str(k): v for k, v in row.items()} | {"video": name, "person": name, "bucket": split})
    write_manifest(out, rows)
    write_rejected(out, [])
