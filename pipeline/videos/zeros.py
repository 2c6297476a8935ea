"""Whether a part of a video was overwritten by zeros.

Disks and downloads that lost a part of a file leave zeros there, and most decoders make some picture of them without a
word: of 25 sectors of zeros in H.264, half.
"""

from typing import IO

# Codecs that never write so many zeros in a row.
WITHOUT_ZEROS = {
    "h264", "hevc", "vp8", "vp9", "av1", "mpeg4", "msmpeg4v2", "msmpeg4v3", "wmv1", "wmv2", "wmv3", "h263", "flv1",
    "theora", "mpeg1video", "mpeg2video",
}  # fmt: skip
RUN = bytes(64)
STUFFING = (b"\x01", b"\xff\xd8")  # the ends of a start code (00 00 01) and a JPEG's start, which zeros may precede


def has_zeros(packets: IO[bytes]) -> bool:
    """Read to the end; whether there are as many zeros in a row as in RUN, other than stuffing."""
    found, kept = False, b""
    while block := packets.read(1 << 20):
        data = kept + block
        kept = data[1 - len(RUN) :]
        at = data.find(RUN)
        while at >= 0:
            rest = data[at:].lstrip(b"\0")
            if len(rest) < 2:
                kept = RUN + rest  # what follows is in the next block
                break
            found = found or not rest.startswith(STUFFING)
            at = data.find(RUN, len(data) - len(rest))
    return found or kept.startswith(RUN)
