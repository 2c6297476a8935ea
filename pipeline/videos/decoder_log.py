"""What ffmpeg says while it decodes a video, line by line: its frames, and its complaints about them."""

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from fractions import Fraction

from pipeline.videos.ffmpeg_process import first_complaint
from pipeline.videos.probing import TRANSFERS, pixel_aspect, turned

LINE = re.compile(r"(?P<who>(?:\[[^]]*\] )*?)\[(?P<level>info|warning|error|fatal)\] (?P<said>.*)")
DECODER = re.compile(r"Stream #\S+ -> #0:0 \((\w+) \((\w+)\)")
CLOCK = re.compile(r"config in time_base: (\d+)/(\d+), frame_rate: (\d+)/(\d+)")
FRAME = re.compile(r"n: *\d+ pts: *(\S+) .* fmt:(\S+) .*sar:(\d+/\d+) s:(\d+)x(\d+) i:(.)")
DURATION = re.compile(r" *Duration: (\d+):(\d+):([\d.]+)(?:, start: (-?[\d.]+))?")
TURN = re.compile(r".*displaymatrix: rotation of (-?[\d.]+) degrees")
# A line of showinfo. It is written in pieces, and what another thread says meanwhile gets in between, without its name
# and level: in 3 of 100 decodings of joined streams on a busy machine.
WHOLE = re.compile(
    r"n: .* type:.|color_range:\S+ color_space:\S+ color_primaries:\S+ color_trc:\S+|side data - .*|config .*|"
    r"U\w+ ?\w*=.*"
)
USER_DATA = "User Data="  # an empty line follows it
# Said of streams that were joined, or go on after a cut, where every frame is whole.
HARMLESS = re.compile(r"mmco: |number of reference frames|illegal short term buffer|co located|\bSEI\b|APP fields")
# Said by containers that lost the thread and went on further behind. Frames that are missing there spoil later ones.
SEARCHED = re.compile(
    r"EBML|Invalid track number|CRC mismatch|packet mismatch|asf skip|exceeds (contain|max)|Packet corrupt",
    re.IGNORECASE,
)


@dataclass(frozen=True)
class Picture:
    """What must be the same in all frames. sar: width by height of a pixel as stored; rotation: degrees."""

    width: int
    height: int
    pix_fmt: str
    sar: Fraction
    rotation: int = 0

    def upright(self) -> tuple[int, int]:
        """(width, height), px."""
        return (self.height, self.width) if turned(self.rotation) else (self.width, self.height)

    def pixel(self) -> Fraction:
        """Width by height of a pixel of the upright frame."""
        return 1 / self.sar if turned(self.rotation) else self.sar

    def __str__(self) -> str:
        width, height = self.upright()
        turn = f", turned by {self.rotation} degrees" if self.rotation else ""
        return f"{width}x{height} px in {self.pix_fmt}{turn}"


@dataclass
class DecoderLog:
    """A log of `-loglevel level+info` with the filter showinfo, taken in line by line.

    container, codec: ffmpeg's names; pictures: the first, and each that differs from the one before; filters: how
    often the chain of filters, which counts the frames, was set up; times: of the frames, in ticks of `tick` seconds,
    without those that have none; nominal: frames a second as the container has it; opening: what was said before
    decoding, and later by the container; complaints: of the picture's decoder; lost: packets of the picture that are
    known to be incomplete; searched: the container's complaint where it lost the thread; seconds: from its start on, as
    the container has them, 0 where it does not say; torn: whether other words may have got lost between showinfo's.
    """

    container: str = ""
    codec: str = ""
    frames: int = 0
    pictures: list[Picture] = field(default_factory=list)
    filters: int = 0
    times: list[int] = field(default_factory=list)
    tick: Fraction = Fraction(1, 25)
    nominal: Fraction = Fraction(25)
    interlaced: bool = False
    hdr: str = ""
    opening: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    lost: int = 0
    searched: str = ""
    seconds: float = 0.0
    torn: bool = False
    _decoder: str = ""
    _started: bool = False
    _picture: Picture | None = None
    _before: str = ""

    def read(self, lines: Iterable[str]) -> None:
        """Take in the whole log."""
        for line in lines:
            if found := LINE.match(line):
                self._take(line, found["who"], found["level"], found["said"])
            elif clock := CLOCK.search(line):  # behind a complaint of an odd turn, which ends without a line break
                self._set_clock(clock)
        self._keep_picture()

    def hear(self, other: "DecoderLog") -> None:
        """Take over what was said of the file and of its frames from the log of another decoding, without showinfo."""
        self.opening, self.complaints = other.opening, other.complaints
        self.lost, self.searched, self.torn = other.lost, other.searched, False

    @property
    def changes(self) -> str:
        """What is not the same in all frames, empty where all is."""
        if len(self.pictures) > 1:
            return f"from {self.pictures[0]} to {self.pictures[1]}"
        return "to another description of its colours" if self.filters > 1 else ""

    def complains(self, line: str) -> bool:
        """Whether the line tells that the decoder could not make a whole picture."""
        found = LINE.match(line)
        if found is None or not self._decoder:
            return False
        ours = f"[{self._decoder} @" in found["who"] or "[dec:" in found["who"]
        bad = found["level"] in ("error", "fatal") or "corrupt decoded frame" in found["said"]
        return ours and bad and not HARMLESS.search(found["said"])

    def _take(self, line: str, who: str, level: str, said: str) -> None:
        if "showinfo" in who:
            self._frame(said)
            said = said.strip()
            if not WHOLE.fullmatch(said) and (said or not self._before.startswith(USER_DATA)):
                self.torn = True
            self._before = said
            return
        if not self._started or "[in#" in who:
            self.opening.append(line)
        if said.startswith("Stream mapping"):
            self._started = True
        elif said.startswith("Input #0, "):
            self.container = said.split(", ")[1]
        elif length := DURATION.match(said):
            self.seconds = 3600 * int(length[1]) + 60 * int(length[2]) + float(length[3]) - float(length[4] or 0)
        elif mapped := DECODER.search(said):
            self.opening.append(line)  # which of the streams is meant
            self.codec = mapped[1]
            self._decoder = mapped[1] if mapped[2] == "native" else mapped[2]
        elif "corrupt input packet" in said:
            self.lost += 1
        elif "timestamp discontinuity" in said:
            self.lost -= 1  # two recordings that were joined: the last packet before the seam only looks as if cut
        elif level != "info" and "[in#" in who and SEARCHED.search(said):
            self.searched = first_complaint(said)
        elif self._started and self.complains(line):  # before, it was ffmpeg's first look into the file
            self.complaints.append(first_complaint(said))

    def _frame(self, said: str) -> None:
        if frame := FRAME.match(said):
            self._keep_picture()
            self.frames += 1
            if frame[1].lstrip("-").isdigit():
                self.times.append(int(frame[1]))
            self._picture = Picture(int(frame[4]), int(frame[5]), frame[2], pixel_aspect(frame[3].replace("/", ":")))
            self.interlaced |= frame[6] != "P"
        elif (turn := TURN.match(said)) and self._picture:
            picture = self._picture
            degrees = round(float(turn[1])) % 360
            self._picture = Picture(picture.width, picture.height, picture.pix_fmt, picture.sar, degrees)
        elif clock := CLOCK.match(said):
            self._set_clock(clock)
        elif not self.hdr and "color_trc:" in said:
            self.hdr = next((transfer for transfer in TRANSFERS if transfer in said), "")

    def _set_clock(self, clock: re.Match[str]) -> None:
        self.filters += 1
        self.tick = Fraction(int(clock[1]), int(clock[2]))
        if int(clock[3]) and int(clock[4]):
            self.nominal = Fraction(int(clock[3]), int(clock[4]))

    def _keep_picture(self) -> None:
        if self._picture and (not self.pictures or self.pictures[-1] != self._picture):
            self.pictures.append(self._picture)
