"""A tree in FaceForensics++'s own layout and names, of six of the sample's people and fakes that the forge makes."""

import json
from pathlib import Path

from pipeline import params, sources
from pipeline.files import link
from pipeline.forging.fakes import forge_set
from pipeline.forging.landmarks import track_set
from pipeline.manifests import read_manifest, write_manifest, write_rejected
from pipeline.video import transcode
from pipeline.weights import fetch

ROOT = Path(__file__).parents[1]
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
    originals, landmarks = work / "original", work / "landmarks.parquet"
    _people(originals, work / "sample", frames)
    rows, unread = track_set(originals, 640, fetch("landmarks"), workers=1)
    assert not unread
    rows.to_parquet(landmarks, index=False)
    folders = {"original_sequences/youtube": originals}
    for method, (kind, width) in STAND_INS.items():
        folder = folders[f"manipulated_sequences/{method}"] = work / method
        forge_set(kind, originals, landmarks, folder, per_target=1, width=width, seed=0, workers=1)
    for place, folder in folders.items():
        for video in folder.glob("*.mp4"):
            name = video.name.replace("__", "_")
            link(video, root / place / "raw/videos" / name)
            for quality, crf in QUALITIES.items():
                (root / place / quality / "videos").mkdir(parents=True, exist_ok=True)
                transcode(video, root / place / quality / "videos" / name, crf)
    (root / "splits").mkdir()
    for split, pairs in SPLITS.items():
        (root / f"splits/{split}.json").write_text(json.dumps(pairs, indent=2))
    return root


def _people(out: Path, work: Path, frames: int) -> None:
    """A clip each of the sample's first people, under the official names; a bucket a split, so that a pair's donors
    are each other."""
    sample = params.load(ROOT / "params.yaml")
    options = sample.sample_source.model_copy(update={"clip_frames": frames, "clips_per_person": 1})
    settings = sample.model_copy(update={"source": "sample", "sample_source": options, "workers": 1})
    sources.download(settings, "original", work)
    names = [(name, split) for split, pairs in SPLITS.items() for pair in pairs for name in pair]
    people = read_manifest(work).to_dict("records")
    rows = []
    for (name, split), row in zip(names, people, strict=False):
        link(work / f"{row['video']}.mp4", out / f"{name}.mp4")
        rows.append({str(k): v for k, v in row.items()} | {"video": name, "person": name, "bucket": split})
    write_manifest(out, rows)
    write_rejected(out, [])
