"""What a file is that ffmpeg refuses as no video: it also reads texts, playlists and pictures, and would show them.

The demuxer tells, which ffmpeg chooses by what a file holds, not by its name alone. `ffmpeg -demuxers` lists them.
"""

import re
from pathlib import Path

from pipeline.videos.ffmpeg_process import JPEGS, ask, source
from pipeline.work.errors import VideoError

REFUSED = "Format not on whitelist"  # what ffmpeg says of a file of another format, before it reads any of it
PICTURE = "a picture"
KINDS = {
    PICTURE: r"image2.*|.*_pipe|gif|apng|webp_anim|jpegxl_anim|ico|alias_pix|brender_pix|fits|txd|msp|frm|iff|anm",
    "a text": r"tty|bin|xbin|adf|idf|ffmetadata|tmv",
    "a playlist": r"hls|concat|dash|imf|sdp|rtsp|rtp|sap|webm_dash_manifest|avisynth",
    "subtitles": (
        r"srt|ass|webvtt|microdvd|mpl2|mpsub|sami|subviewer1?|vplayer|jacosub|aqtitle|realtext|pjs|stl|scc|mcc|lrc|"
        r"tedcaptions|vobsub|sup|dvbsub|dvbtxt|rcwt|cdg"
    ),
    "pixels without a header": r"rawvideo|bitpacked|v210x?|data",
}
# ffmpeg finds photos in any file, such as a PDF or a camera's raw photo, and takes them for the frames of a video.
AS_JPEGS = re.compile(r"^(\[[^]]*\] )*Input #0, mjpeg, from", re.MULTILINE)
FOUND = re.compile(r"Format (\S+) (?:probed|detected only)")


def require_video(path: Path, log: str) -> None:
    """Raise VideoError where the log of `-loglevel level+info` tells that a file's format is none of a video."""
    if REFUSED in log:
        raise VideoError(_refusal(path))
    if AS_JPEGS.search(log) and path.suffix.lower() not in JPEGS:
        with path.open("rb") as file:
            if file.read(2) != b"\xff\xd8":
                raise VideoError("no video: photos inside another kind of file, such as a PDF")


def _refusal(path: Path) -> str:
    """Why a file that ffmpeg refused by its format is no video: what it is instead."""
    _, log = ask(source(path).output("pipe:", format="null"), "debug")
    names = FOUND.findall(log) or ["image2"]  # found by the file's name alone
    kind = next((what for what, pattern in KINDS.items() if re.fullmatch(pattern, names[-1])), None)
    if kind == "a playlist":
        kind += " (the videos that it names count each for itself: folder.people can say that they show one person)"
    return f"no video: {kind or f'the format {names[-1]} is none of a video'}"
