"""The errors that the pipeline raises on purpose."""


class UserError(Exception):
    """Something a user can mend: one line that names the file or param, what is wrong and what to do."""


class NothingUsable(UserError):
    """None of a stage's videos can be used. What is kept of them goes too: it may be mended outside their files."""


class VideoError(Exception):
    """Why one video cannot be used. It is listed with this cause in rejected.*, and the run goes on."""


class Killed(VideoError):
    """A program that worked on the video was killed from outside: the video may be good, and is tried once more."""
