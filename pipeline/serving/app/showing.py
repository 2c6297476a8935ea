"""What the page shows, as HTML: a verdict, a comparison, or why there is none. Knows nothing of the server."""

from html import escape
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from pipeline.serving.app.clips import Clip
from pipeline.serving.app.comparing import Cell, Comparison, Tell, compare
from pipeline.serving.app.detectors import Detectors
from pipeline.serving.app.watching import watched
from pipeline.serving.inputs import open_medium
from pipeline.serving.loading import Family
from pipeline.serving.outputs import LIMITS
from pipeline.serving.page import page
from pipeline.work.errors import UserError, VideoError

# As high as what it holds, whatever becomes of the window. Nothing within may run.
FRAME = (
    '<iframe title="{title}" sandbox="allow-same-origin" style="width: 100%; border: 0; background: white" '
    'onload="const inner = this.contentDocument.documentElement; '
    "new ResizeObserver(() => this.style.height = inner.offsetHeight + 'px').observe(inner)\" "
    'srcdoc="{inner}"></iframe>'
)
WAITING = "<p>Drop a video or a photo, or choose a clip.</p>"
WAITING_COMPARED = "<p>Drop a video or choose a clip, then compare.</p>"


def limits(family: Family) -> str:
    """What to know before any verdict, as the head of the page."""
    known = family.members[0][1]
    forged, source = escape(", ".join(known.manipulations)), escape(known.source)
    return (
        "<h1>Is this face forged?</h1><p><strong>A score is evidence, not proof.</strong> The detectors were trained "
        f"on {forged}, of {known.people} people ({source}), and know nothing of other forgeries.</p>"
    )


def judged(path: Path, detectors: Detectors, name: str, tell: Tell, clip: Clip | None = None) -> str:
    """The verdict on a file by the family of that name, or one line that says why there is none."""
    try:
        family = detectors.family(name, clip.fold if clip else None)
        medium = watched(open_medium(path), lambda done, wanted: tell(done / wanted, "looking at frames"))
        judgement = family.judge(medium)
        shown = page(judgement, family.networks(judgement.detector.quality))
    except (UserError, VideoError) as error:
        return failed(path, "judged", str(error))
    return _about(clip) + _frame(f"verdict on {path.name}", shown)


def compared(path: Path, detectors: Detectors, tell: Tell, clip: Clip | None = None) -> str:
    """The file at three compressions, or one line that says why not."""
    try:
        found = compare(path, detectors, tell, clip.fold if clip else None)
    except (UserError, VideoError) as error:
        return failed(path, "compared", str(error))
    return _about(clip) + _frame(f"{path.name} at three compressions", comparison_page(found, path.name, clip))


def comparison_page(found: Comparison, name: str, clip: Clip | None = None) -> str:
    """A page without a script or an address outside it."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent), autoescape=True, undefined=StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("comparison.html.j2").render(
        c=found, name=name, limits=LIMITS, lossless=clip is not None, right=lambda cell: _right(cell, clip), size=_size
    )


def failed(path: Path, what: str, cause: str) -> str:
    return f'<p class="failed" role="alert"><strong>{escape(path.name)}</strong> cannot be {what}: {escape(cause)}</p>'


def _about(clip: Clip | None) -> str:
    if clip is None:
        return ""
    return (
        f'<p class="truth">This clip is <strong>{escape(clip.truth)}</strong>. It is judged by the one network that '
        "never saw this person; the thresholds were fitted with this person among others. "
        f"Source: {escape(clip.source)}.</p>"
    )


def _right(cell: Cell, clip: Clip | None) -> str:
    """Whether a verdict is the truth, where that is known and the verdict is one."""
    if clip is None or cell.judgement.verdict == "undecided":
        return ""
    return "right" if (cell.judgement.verdict == "fake") == clip.fake else "wrong"


def _size(bytes_: int) -> str:
    return f"{bytes_ / 1e6:.1f} MB" if bytes_ >= 1e6 else f"{max(round(bytes_ / 1e3), 1)} kB"


def _frame(title: str, inner: str) -> str:
    return FRAME.format(title=escape(title), inner=escape(inner))
