"""ffmpeg as a process: how it is started, stopped, and what it complains about."""

import re
import signal
import subprocess
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import cache
from pathlib import Path
from typing import Any, Protocol

import ffmpeg
import imageio_ffmpeg

from pipeline.work import disk
from pipeline.work.errors import Killed, VideoError

# Of the formats that ffmpeg reads: containers and streams of videos, and of sound, of which it can then be told that no
# video is in it. All others are refused before they are read: texts, pictures, playlists (see formats).
CONTAINERS = (
    "mov,mp4,matroska,webm,avi,mpegts,mpegtsraw,mpeg,mpegvideo,m4v,flv,live_flv,kux,asf,asf_o,ogg,mxf,mxg,gxf,nut,nuv,"
    "nsv,rm,ivr,dv,swf,wtv,ty,pva,pmp,dhav,ifv,hxvs,iv8,luodat,lmlm4,lxf,cine,mlv,r3d,ser,smjpeg,yuv4mpegpipe,vivo,"
    "h261,h263,h264,hevc,vvc,evc,apv,av1,obu,ivf,vc1,vc1test,dirac,dnxhd,cavsvideo,avs2,avs3,mjpeg,mjpeg_2000,mpjpeg,"
    "ingenient,ipu,msnwctcp,nc,simbiosis_imx,pdv,"
    "3dostr,4xm,argo_brp,avs,bethsoftvid,bfi,bink,bmv,c93,cdxl,dcstr,dfa,dsicin,dxa,ea,ea_cdata,film_cpk,filmstrip,flic,"
    "gdv,hnm,idcin,ipmovie,jv,lvf,mgsts,mm,mods,moflex,mtv,mv,mvi,paf,psxstr,rl2,roq,rpl,sdr2,sga,siff,smk,smush,thp,"
    "tiertexseq,usm,vividas,vmd,wc3movie,wsvqa,xmv,yop,"
    "mp3,aac,ac3,eac3,dts,dtshd,truehd,mlp,flac,wav,w64,aiff,caf,au,amr,ape,wv,tta,tak,mpc,mpc8,loas,voc,oma,aa,dsf,gsm"
)
# What it says where a video's colours are described as some that it does not convert (logarithmic, YCgCo, ...).
COLOURS = re.compile(r"Impossible to convert between the formats|Unsupported input \(Operation not supported\)")
JPEGS = (".mjpeg", ".mjpg")  # how files of Motion JPEG without a container are called
# Bytes of a file's name that are no UTF-8 (Python writes them as U+DC80 to U+DCFF) break ffmpeg-python, which encodes
# what it is given. These signs, which no text uses, stand in for them until the arguments are made.
STAND_INS = {0xDC00 + byte: 0x10FC00 + byte for byte in range(0x80, 0x100)}
RAW = {stand_in: raw for raw, stand_in in STAND_INS.items()}


class Log(Protocol):
    """What takes in ffmpeg's own words, of `-loglevel level+info`."""

    def read(self, lines: Iterable[str]) -> None: ...


@cache
def executable() -> str:
    """The static ffmpeg with libx264 that imageio-ffmpeg brings."""
    return str(imageio_ffmpeg.get_ffmpeg_exe())


def command(output: Any) -> list[str]:
    """The arguments that run one of ffmpeg-python's outputs, without a shell."""
    arguments = ffmpeg.compile(output.global_args("-nostdin"), cmd=executable(), overwrite_output=True)
    return [str(part).translate(RAW) for part in arguments]


def finish(output: Any) -> None:
    """Run ffmpeg to its end. Raises: VideoError with its first complaint where it fails."""
    with running(output):
        pass


def ask(output: Any, level: str = "level+info") -> tuple[str, str]:
    """Run ffmpeg to its end, whether it fails or not: what it wrote to `pipe:`, and its log. Raises: Killed."""
    arguments = command(output.global_args("-loglevel", level))
    result = subprocess.run(arguments, stdin=subprocess.DEVNULL, capture_output=True)
    _require_own_end(result.returncode)
    return result.stdout.decode(errors="replace"), result.stderr.decode(errors="replace")


def url(path: Path) -> str:
    """A file as ffmpeg names it."""
    return f"file:{path}".translate(STAND_INS)  # or a colon in a name would start a protocol


def source(path: Path, **options: Any) -> Any:
    """A video as one of ffmpeg-python's inputs, read by one thread."""
    if path.suffix.lower() in JPEGS:
        options["format"] = "mjpeg"  # by its first bytes it could be a photo
    # A playlist among the videos must not make ffmpeg open addresses, or other files.
    allowed = {"protocol_whitelist": "file,pipe", "format_whitelist": CONTAINERS}
    return ffmpeg.input(url(path), **allowed, threads=1, **options)


@contextmanager
def running(
    output: Any,
    stdin: int = subprocess.DEVNULL,
    stdout: int | None = None,
    log: Log | None = None,
    may_fail: bool = False,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run ffmpeg; stop it where the caller leaves early. log: takes in its log at the end.

    may_fail: whether a failure is no error, as where only the log counts. Raises: VideoError with ffmpeg's first
    complaint where it fails, Killed where it is killed, UserError where the disk is full.
    """
    with tempfile.TemporaryFile() as errors:
        level = ["error"] if log is None else ["level+info", "-nostats"]
        arguments = command(output.global_args("-loglevel", *level))
        process = subprocess.Popen(arguments, stdin=stdin, stdout=stdout, stderr=errors)
        left_early = True
        try:
            yield process
            left_early = False
        except BrokenPipeError:  # ffmpeg ended first: its own message says why
            left_early = False
        finally:
            if left_early:
                process.kill()
            for stream in (process.stdin, process.stdout):
                if stream is not None:
                    with suppress(BrokenPipeError):
                        stream.close()
            status = process.wait()
        _require_own_end(status)
        errors.seek(0)
        if log is not None:
            log.read(line.decode(errors="replace").rstrip("\n") for line in errors)
            errors.seek(0)
        if status != 0 and not may_fail:
            said = errors.read().decode(errors="replace")
            if told := disk.full_in(said):
                raise told
            complaint = first_complaint(said if log is None else _errors(said))
            if COLOURS.search(complaint):
                raise VideoError(f"its colours cannot be converted, encode it anew as BT.709 (ffmpeg: {complaint})")
            raise VideoError(f"ffmpeg: {complaint or f'exit status {status}'}")


def _require_own_end(status: int) -> None:
    """Raise Killed for the exit status of an ffmpeg that was killed: what it has said is not the video's fault."""
    if status == -signal.SIGKILL:
        raise Killed("ffmpeg was killed (out of memory?)")


def _errors(log: str) -> str:
    return "\n".join(line for line in log.splitlines() if "[error]" in line or "[fatal]" in line)


def first_complaint(log: str) -> str:
    """The first line of ffmpeg's log without its tags, whose addresses differ from run to run."""
    return re.sub(r"\[[^]]*\]\s*", "", log.strip().partition("\n")[0]).strip()
