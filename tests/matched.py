"""What a glob names, in a form that tests compare."""

import os

from beam_job.listing.globs import CannotList, LeftOut, matches
from beam_job.listing.left_out import LeaveOut


def found(glob, **leave_out):
    """Relative paths of images, in order; those that are left out have a minus before them, unreadable ones a bang."""
    marks = {LeftOut: "-", CannotList: "!"}
    listed = (
        marks.get(type(match), "") + os.path.relpath(match if isinstance(match, str) else match[0])
        for match in matches(glob, LeaveOut(**leave_out))
    )
    return sorted(listed)
