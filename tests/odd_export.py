"""An export in a process of its own that stays where it is at a known moment.

    python -m tests.odd_export MARKER MOMENT <options of the export>

The moments: ``import`` of Beam, ``sidecars`` (two are written, a third is whole beside its place), ``rows`` (some of a
table are written), ``publishing`` (half a table is beside its place), or ``never``. It makes the file MARKER then.
"""

import sys
from contextlib import contextmanager
from pathlib import Path

from beam_job.terminal import signals
from tests.odd_job import OddCaptioner, StayWithBeam, stay


def after(times, function):
    """The function, which never returns after so many calls."""
    done = []

    def call(*arguments):
        if len(done) >= times:
            stay()
        done.append(function(*arguments))
        return done[-1]

    return call


@contextmanager
def half_written(target):
    with unfinished(target) as file:
        file.write(b"half")
        file.flush()
        stay()
        yield file


if __name__ == "__main__":
    OddCaptioner.marker, moment = Path(sys.argv[1]), sys.argv[2]
    signals.SECONDS = 60.0  # on a busy machine, too
    if moment == "import":
        sys.meta_path.insert(0, StayWithBeam)
    elif moment == "sidecars":
        from beam_job.export.xmp import places

        places._move_to_free_name = after(2, places._move_to_free_name)
    elif moment == "rows":
        from beam_job.export.tables import write

        write.line, write.row = after(5, write.line), after(5, write.row)
    elif moment == "publishing":
        from beam_job.export.tables import published

        unfinished, published.unfinished = published.unfinished, half_written
    sys.argv[1:3] = []
    from beam_job.export.__main__ import run

    run()
