"""Kills at a known moment: a run ends at one of its writes or deletions, and nothing of it is written afterwards."""

import uuid
from unittest import mock

from beam_job.runs import shards

BEFORE, MIDDLE, AFTER = MOMENTS = ("before", "in the middle of", "after")


class KilledError(Exception):
    """What is raised in place of a kill, at its moment and at each later write."""


def fail():
    """Breaks a run off within this process."""
    raise KilledError


class Kill:
    """Kills whatever writes while this context is open, at the step with that number, counted from 1.

    A step writes a file, or deletes those that a bundle left. On a disk, what is killed in the middle of a write leaves
    half of the file under another name.

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
            mock.patch.object(shards, "_write_beside", self._killing(shards._write_beside, _half_a_file)),
            mock.patch.object(shards, "_create", self._killing(shards._create, lambda path, data: None)),
            mock.patch.object(shards, "_deleted", self._killing(shards._deleted, _half_of_them)),
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
    with open(f"{path}.{uuid.uuid4().hex}.tmp", "xb") as file:
        file.write(data[: len(data) // 2])


_deleted = shards._deleted


def _half_of_them(paths):
    _deleted(paths[: len(paths) // 2])
