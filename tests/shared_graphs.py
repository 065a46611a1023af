"""Captioners that share their graphs: tracing one takes half a second, a batch of the tiny model milliseconds."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from unittest import mock

from beam_job.model.decoding import Decoding
from beam_job.model.directory import OpenModel
from beam_job.model.graph.traced import TracedGraphs


@contextmanager
def shared_graphs() -> Iterator[None]:
    """Captioners made meanwhile have the same graphs if they have the same model, decoding and device.

    Each batch size still has a trace of its own. The bonus and the seed change no graph: it gets them as numbers.
    """
    made: dict[tuple[Path, Decoding, str], TracedGraphs] = {}

    def graphs(model: OpenModel, decoding: Decoding, device: str) -> TracedGraphs:
        key = (model.directory, replace(decoding, label_bonus=0.0, seed=0), device)
        if key not in made:
            made[key] = TracedGraphs(model, decoding, device)
        return made[key]

    with mock.patch("beam_job.model.captioner.TracedGraphs", graphs):
        yield
