"""Which faces in the sampled frames are one person: tracks by place and size, as frames may lie seconds apart."""

from collections.abc import Sequence
from math import dist

import numpy as np
from scipy.optimize import linear_sum_assignment

from pipeline.faces.geometry import Face

REACH = 1.0  # face widths that a face may move between two sampled frames
RATIO = 1.6  # factor by which it may grow or shrink; the detector's boxes come in steps of a fifth
GONE = 8  # sampled frames without it after which a track ends


class Tracks:
    """Give each face of each sampled frame the number of its track; numbers begin at 0, by first appearance."""

    def __init__(self) -> None:
        self._last: dict[int, tuple[int, Face]] = {}  # track -> sampled frame, and the face there
        self._count = 0
        self._frame = -1

    def add(self, faces: Sequence[Face]) -> list[int]:
        """The tracks of the next sampled frame's faces; no two of them are of one track."""
        self._frame += 1
        open_ = [(track, face) for track, (seen, face) in self._last.items() if self._frame - seen <= GONE]
        numbers = [-1] * len(faces)
        if open_ and faces:
            costs = np.array([[_cost(face, last) for _, last in open_] for face in faces])
            for row, column in zip(*linear_sum_assignment(costs), strict=True):
                if costs[row, column] <= REACH:
                    numbers[row] = open_[column][0]
        for place, face in enumerate(faces):
            if numbers[place] < 0:
                numbers[place] = self._count
                self._count += 1
            self._last[numbers[place]] = self._frame, face
        return numbers


def _cost(face: Face, last: Face) -> float:
    """Face widths between the centres, beyond reach where the sizes differ too much."""
    ratio = max(face.width, last.width) / max(min(face.width, last.width), 1e-6)
    away = dist(face.centre, last.centre) / max(face.width, last.width)
    return min(away, 10.0) if ratio <= RATIO else 10.0
