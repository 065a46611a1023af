"""``python -m beam_job``, and the command ``caption-images``."""

import gc
import sys

from beam_job.terminal import signals, streams

_STOPPED = "stopped: the captions so far are kept, and the same command resumes."


def run() -> None:
    """Runs the job and ends the process with its exit status."""
    streams.prepare()
    signals.listen(_STOPPED)  # before anything that takes time
    try:
        # TensorFlow would import it, and with it all of Keras, which takes up to a second. No captioner needs it.
        sys.modules.setdefault("keras.src.optimizers", None)  # type: ignore[arg-type]
        gc.disable()  # collecting while modules are imported would slow the start
        from beam_job.cli import main

        gc.freeze()
        gc.unfreeze()  # all are old now, and not looked through soon
        gc.enable()
        status = main()
    finally:
        signals.wait_if_stopping()
    streams.finish()
    gc.freeze()  # else collecting among TensorFlow's graphs takes a second at exit
    sys.exit(status)


if __name__ == "__main__":
    run()
