"""A face's box in a frame, and the square that is cut around it."""

from typing import NamedTuple, Self


class Face(NamedTuple):
    """The detector's box in pixels of the frame; it may reach beyond the frame's edges."""

    left: float
    top: float
    right: float
    bottom: float

    @property
    def width(self) -> float:
        return self.right - self.left

    @property
    def height(self) -> float:
        return self.bottom - self.top

    @property
    def area(self) -> float:
        return self.width * self.height

    @property
    def centre(self) -> tuple[float, float]:
        return (self.left + self.right) / 2, (self.top + self.bottom) / 2

    def unscaled(self, scale: float) -> Self:
        """The box in pixels of an image, from those of the image at `scale` times its size."""
        return type(self)(*(side / scale for side in self))

    def shifted(self, dx: float, dy: float) -> Self:
        return type(self)(self.left + dx, self.top + dy, self.right + dx, self.bottom + dy)

    def centred_on(self, other: "Face") -> Self:
        """The box, in its own size, where the other one is."""
        dx, dy = (there - here for there, here in zip(other.centre, self.centre, strict=True))
        return self.shifted(dx, dy)

    def intersection(self, other: "Face") -> float:
        """The area that lies in both boxes."""
        width = min(self.right, other.right) - max(self.left, other.left)
        height = min(self.bottom, other.bottom) - max(self.top, other.top)
        return max(width, 0) * max(height, 0)

    def overlap(self, other: "Face") -> float:
        """Intersection over union, 0 to 1."""
        common = self.intersection(other)
        return common / (self.area + other.area - common)


def square_box(face: Face, width: int, height: int, enlarge: float) -> tuple[int, int, int]:
    """The square around the face, `enlarge` times the longer side of its box, inside a frame of width x height px.

    Returns (left, top, size). A box that would leave the frame is shifted back into it; it is smaller only where the
    frame is.
    """
    size = min(round(enlarge * max(face.width, face.height)), width, height)
    x, y = face.centre
    left = min(max(round(x - size / 2), 0), width - size)
    top = min(max(round(y - size / 2), 0), height - size)
    return left, top, size
