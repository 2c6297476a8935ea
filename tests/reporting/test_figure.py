"""What all figures share."""

import pytest

from pipeline.reporting.figures.figure import legend_below, styled


@pytest.mark.parametrize(("width", "columns"), [(12.0, 2), (4.0, 1)])
def test_a_legend_is_never_wider_than_its_drawing(width: float, columns: int) -> None:
    """As of one kind of degradation alone: a single narrow panel, and two lines with long names."""
    drawing, axes = styled(1, 1, width, 3.0)
    for name in ("mobilenet_v2, trained on c40", "add, trained on c40"):
        axes[0, 0].plot([0, 1], [0, 1], label=name)
    legend_below(drawing, axes, 2)
    (legend,) = drawing.legends
    drawing.draw_without_rendering()
    box = legend.get_window_extent()
    assert 0 <= box.x0 < box.x1 <= drawing.bbox.width
    assert legend._ncols == columns
