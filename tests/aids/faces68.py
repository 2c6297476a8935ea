"""A drawn face of 68 landmarks (iBUG 300-W order), for tests without a real one."""

import cv2
import numpy as np
from numpy.typing import NDArray


def face68(centre: tuple[float, float], width: float, opening: float = 0.0, yaw: float = 0.0) -> NDArray[np.float64]:
    """(68, 2): a frontal face, its mouth open by `opening` face widths, inner features shifted by `yaw` face widths."""
    angles = np.linspace(np.pi, 0, 17)
    jaw = np.stack([0.5 * np.cos(angles), 0.62 * np.sin(angles)], axis=1)
    t = np.linspace(0, 1, 5)
    brow = np.stack([-0.4 + 0.3 * t, -0.2 - 0.06 * np.sin(np.pi * t)], axis=1)
    bridge = np.stack([np.zeros(4), np.linspace(-0.05, 0.2, 4)], axis=1)
    base = np.stack([np.linspace(-0.1, 0.1, 5), 0.25 + 0.02 * np.sin(np.pi * t)], axis=1)
    eye = np.array([[-0.31, -0.05], [-0.26, -0.08], [-0.2, -0.08], [-0.14, -0.05], [-0.2, -0.02], [-0.26, -0.02]])
    flip = np.array([-1, 1])
    other_eye = (eye * flip)[[3, 2, 1, 0, 5, 4]]
    half = opening / 2
    upper = np.stack([np.linspace(-0.2, 0.2, 7), 0.4 - (0.05 + half) * np.sin(np.pi * np.linspace(0, 1, 7))], axis=1)
    lower = np.stack([np.linspace(0.14, -0.14, 5), np.full(5, 0.45 + half)], axis=1)
    inner_upper = np.stack([np.linspace(-0.15, 0.15, 5), 0.4 - half * np.array([0, 1, 1, 1, 0])], axis=1)
    inner_lower = np.stack([np.array([0.08, 0, -0.08]), np.full(3, 0.4 + half)], axis=1)
    mouth = [upper, lower, inner_upper, inner_lower]
    inside = np.concatenate([brow, (brow * flip)[::-1], bridge, base, eye, other_eye, *mouth])
    return np.concatenate([jaw, inside + np.array([yaw, 0])]) * width + centre


def draw(points: NDArray[np.float64], size: tuple[int, int], skin: tuple[int, int, int]) -> NDArray[np.uint8]:
    """An RGB frame of size (width, height) showing the face."""
    width, height = size
    y, x = np.mgrid[:height, :width]
    frame = np.stack([60 + x * 80 / width, 90 + y * 60 / height, 120 - x * 40 / width], axis=2).astype(np.uint8)
    outline = np.concatenate([points[:17], points[[26, 24, 19, 17]] - (0, 0.15 * np.ptp(points[:, 0]))])
    cv2.fillPoly(frame, [outline.round().astype(np.int32)], skin, cv2.LINE_AA)
    dark = tuple(int(0.35 * c) for c in skin)
    thick = max(round(np.ptp(points[:, 0]) / 40), 1)
    for part in (range(17, 22), range(22, 27)):
        cv2.polylines(frame, [points[list(part)].round().astype(np.int32)], False, dark, 2 * thick, cv2.LINE_AA)
    for part in (range(36, 42), range(42, 48)):
        cv2.fillPoly(frame, [points[list(part)].round().astype(np.int32)], dark, cv2.LINE_AA)
    cv2.polylines(frame, [points[31:36].round().astype(np.int32)], False, dark, thick, cv2.LINE_AA)
    cv2.fillPoly(frame, [points[48:60].round().astype(np.int32)], (150, 60, 60), cv2.LINE_AA)
    cv2.fillPoly(frame, [points[60:68].round().astype(np.int32)], (30, 10, 10), cv2.LINE_AA)
    return frame
