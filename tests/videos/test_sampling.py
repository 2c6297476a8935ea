import pandas as pd

from pipeline.videos.manifests import REJECTED
from pipeline.videos.sampling import choose, sample

NOTHING = pd.DataFrame(columns=REJECTED, dtype=str)


def manifest(*videos: tuple[str, str, int]) -> pd.DataFrame:
    rows = [
        {"video": v, "person": "p", "bucket": "b0", "label": int(bool(t)), "target": t, "frames": n, "parameters": "{}"}
        for v, t, n in videos
    ]
    return pd.DataFrame(rows)


def frames_of(table: pd.DataFrame, video: str) -> list[int]:
    return table.loc[table["video"] == video, "frame"].tolist()


def test_a_fake_shares_the_frames_of_its_target() -> None:
    reals = sample("original", manifest(("a", "", 50), ("b", "", 50)), NOTHING, 12, 0)
    fakes = sample("faceswap", manifest(("a_b", "a", 50), ("x", "b", 50)), NOTHING, 12, 0)
    assert frames_of(fakes, "a_b") == frames_of(reals, "a") != frames_of(reals, "b") == frames_of(fakes, "x")
    assert list(fakes.columns) == ["set", "video", "person", "bucket", "label", "target", "frame"]


def test_frames_are_a_seeded_draw_without_repeats() -> None:
    drawn = choose("a", 50, 12, seed=0)
    assert drawn == sorted(set(drawn)) == choose("a", 50, 12, seed=0) != choose("a", 50, 12, seed=1)
    assert len(drawn) == 12 and drawn[0] >= 0 and drawn[-1] < 50
    assert choose("a", 5, 12, seed=0) == [0, 1, 2, 3, 4]


def test_every_frame_is_as_likely_as_any_other() -> None:
    counts = pd.Series([f for n in range(2000) for f in choose(f"v{n}", 10, 3, seed=0)]).value_counts()
    assert len(counts) == 10 and counts.min() > 500 and counts.max() < 700  # 600 expected, deviation 20


def test_rejected_frames_and_videos_are_never_sampled() -> None:
    bad = [("a", "1"), ("b", "")]
    rejected = pd.DataFrame([dict.fromkeys(REJECTED, "") | {"video": v, "frame": f} for v, f in bad])
    table = sample("original", manifest(("a", "", 4), ("b", "", 4)), rejected, 12, 0)
    assert frames_of(table, "a") == [0, 2, 3] and frames_of(table, "b") == []
