"""Made-up videos: a textured square that moves over a gradient, small enough to encode in a moment."""

import hashlib
import subprocess
from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from pathlib import Path
from typing import Any

import imageio_ffmpeg
import numpy as np
from numpy.typing import NDArray

from pipeline.videos.cutting import Excerpt, cut
from pipeline.videos.examining import examine
from pipeline.videos.manifests import write_manifest, write_rejected
from pipeline.videos.probing import VideoInfo
from pipeline.videos.writing import write_video
from tests.aids.faces68 import draw, face68

WIDTH, HEIGHT = 96, 80
MADE: dict[tuple[str, bytes], tuple[bytes, VideoInfo | None]] = {}  # a clip's file, and what was found in it


def ffmpeg(*arguments: object) -> None:
    """Run the bare program, for what our own code does not make; the last argument is its output.

    One thread: what encoders write depends on their number, which would be that of the machine's cores.
    """
    *options, output = map(str, arguments)
    command = [imageio_ffmpeg.get_ffmpeg_exe(), "-v", "error", "-y", "-nostdin", *options, "-threads", "1", output]
    subprocess.run(command, check=True)


def write_clip(
    path: Path, frames: Iterable[NDArray[np.uint8]], fps: Fraction | float, size: tuple[int, int], **options: Any
) -> VideoInfo:
    """`write_video`, run once a session for the same frames: what it wrote is written again. Most tests need clips."""
    images = list(frames)
    pixels = hashlib.sha256(b"".join(np.ascontiguousarray(image).data for image in images)).digest()
    about = repr((float(fps), size, sorted(options.items()), [image.shape for image in images]))
    return _once((about, pixels), path, lambda: write_video(path, images, fps, size, **options))


def _once(key: tuple[str, bytes], path: Path, make: Callable[[], VideoInfo | None]) -> Any:
    if key not in MADE:
        made = make()
        MADE[key] = path.read_bytes(), made
    else:
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(MADE[key][0])
    return MADE[key][1]


def cut_one(source: Path, target: Path, **options: Any) -> VideoInfo:
    """What the download stage does with a video of one's own: examine it and cut a clip."""
    return cut(source, examine(source), {target: Excerpt(**options)})[0]


def pictures(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    random = np.random.default_rng(seed)
    texture = random.integers(0, 256, (6, 6, 3), dtype=np.uint8).repeat(6, 0).repeat(6, 1)
    ground = np.linspace(40, 200, WIDTH)[None, :, None] + np.linspace(0, 40, HEIGHT)[:, None, None] * [1, 0.5, 0.2]
    frames = []
    for number in range(count):
        image = ground.astype(np.uint8).copy()
        image[20:56, 10 + 2 * number : 46 + 2 * number] = texture
        frames.append(image)
    return frames


def faces(count: int, seed: int = 0) -> list[NDArray[np.uint8]]:
    """A drawn face that moves to the right."""
    return [draw(face68((70 + 2 * number, 66), 66), (168, 132), (200, 160 - seed, 140)) for number in range(count)]


def raw_set(
    folder: Path,
    videos: Mapping[str, Mapping[str, object]],
    frames: int = 12,
    shown: Callable[[int, int], list[NDArray[np.uint8]]] = pictures,
) -> Path:
    """Write the videos of a set with their manifest; each value overrides columns of its row.

    shown: makes the frames of a video from how many there are and the video's number.
    """
    rows: list[dict[str, object]] = []
    for number, (video, changes) in enumerate(sorted(videos.items())):
        images = shown(frames, number)
        info = write_clip(folder / f"{video}.mp4", images, 25, (images[0].shape[1], images[0].shape[0]))
        size = {"frames": info.frames, "fps": float(info.fps), "width": info.width, "height": info.height}
        row = {"video": video, "person": video, "bucket": "b0", "label": 0, "target": "", "donor": ""}
        rows.append(row | size | {"parameters": "{}", "source": "made up", "licence": "none"} | dict(changes))
    write_manifest(folder, rows)
    write_rejected(folder, [])
    return folder


def numbered(path: Path, frames: int, *options: object, rate: object = 25, filters: str = "null") -> Path:
    """A video of 96x80 px whose frames tell their number, up to 255, by eight bars: a bit each, the lowest on the left.

    options: of its encoder and container; filters: after the bars are drawn.
    """
    bars = f"color=black:s=8x1:r={rate},format=gray,geq=lum='235*mod(floor(N/pow(2,X)),2)'"  # a pixel a bar: it is slow
    filters = f"scale={WIDTH}:{HEIGHT}:flags=neighbor,setsar=1,{filters},format=yuv420p"
    command = ["-f", "lavfi", "-i", bars, "-frames:v", frames, "-vf", filters, *options]
    _once((repr([*map(str, command), path.suffix]), b""), path, lambda: ffmpeg(*command, path))
    return path


def numbers(images: Iterable[NDArray[np.uint8]]) -> list[int]:
    """What frames (H, W, 3) of `numbered` tell, however large they are."""
    told = []
    for image in images:
        bits = np.array_split(image[image.shape[0] // 4 : -image.shape[0] // 4].mean((0, 2)), 8)
        told.append(sum(2**bit * bool(bar[2:-2].mean() > 128) for bit, bar in enumerate(bits)))
    return told
