"""Kills at a known moment: a run ends at one of its writes or deletions, and nothing of it is written afterwards."""

import uuid
from unittest import mock

from beam_job.files.whole import WriteError, has_folders
from beam_job.runs import manifest, merge, shards

BEFORE, MIDDLE, AFTER = MOMENTS = ("before", "in the middle of", "after")


class KilledError(WriteError):
    """What is raised in place of a kill, at its moment and at each later write."""


def fail():
    """Breaks a run off within this process."""
    raise KilledError


class Kill:
    """Kills whatever writes while this context is open, at the step with that number, counted from 1.

    A step writes a file, or deletes those that the manifest does not name. On a disk, what is killed in the middle of a
    write leaves half of the file under another name.

    Args:
      step: at which one.
      moment: one of ``MOMENTS``.
      end: ends the run; must not return.
    """

    def __init__(self, step, moment, end=fail):
        self._step = step
        self._moment = moment
        self._end = end
        self._steps = 0

    def __enter__(self):
        self._patches = [
            mock.patch.object(manifest, "write_whole", self._killing(manifest.write_whole, _half_a_file)),
            mock.patch.object(shards, "write_whole", self._killing(shards.write_whole, _half_a_file)),
            mock.patch.object(merge, "write_whole", self._killing(merge.write_whole, _half_a_file)),
            mock.patch.object(shards, "delete_files", self._killing(shards.delete_files, _half_of_them)),
        ]
        for patch in self._patches:
            patch.start()
        return self

    def __exit__(self, *_):
        for patch in self._patches:
            patch.stop()

    def _killing(self, step, half):
        def instead(*arguments):
            self._steps += 1
            if self._steps < self._step:
                return step(*arguments)
            if self._steps == self._step and self._moment != BEFORE:
                (half if self._moment == MIDDLE else step)(*arguments)
            return self._end()

        return instead


def _half_a_file(path, data):
    if has_folders(path):  # an object appears when it is complete
        with open(f"{path}.{uuid.uuid4().hex}.tmp", "xb") as file:
            file.write(data[: len(data) // 2])


_delete_files = shards.delete_files


def _half_of_them(paths):
    _delete_files(paths[: len(paths) // 2])
