"""The same photograph gets the same record, whatever its batch and the order of the input.

Samples alone also go through two processes: they depend on most, on the image's name and the seed, too.
"""

import json
import random
from pathlib import Path

import pytest

from beam_job.cli import main
from beam_job.devices import BATCH_SIZE
from beam_job.images.pixels import decode
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import open_model
from beam_job.records import CaptionRecord
from tests.photos import photos
from tests.shared_graphs import shared_graphs

WAYS = {
    "greedy": ["--decoding", "greedy"],
    "beam": ["--num_captions", "3"],
    "sample": ["--decoding", "sample", "--num_captions", "2", "--top_k", "10", "--seed", "3"],
}
DECODINGS = {
    "greedy": Decoding("greedy"),
    "beam": Decoding(num_captions=3),
    "sample": Decoding("sample", num_captions=2, top_k=10, seed=3),
}
ENGINES = {
    "greedy": [],
    "beam": [],
    "sample": ["--direct_running_mode", "multi_processing", "--direct_num_workers", "2"],
}
NOT_THE_MODELS = ("bytes", "sha256", "dhash", "version", "run", "decoding")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return [str(path) for path in photos(tmp_path_factory.mktemp("photos"), 30)]


@pytest.fixture(scope="module")
def model():
    return open_model()


@pytest.fixture(scope="module")
def decoded(model, paths):
    image = model.manifest.image
    return {path: decode(Path(path).read_bytes(), image.height, image.width) for path in paths}


def records_in_batches_of(size, decoding, model, paths, decoded):
    """What the model itself gives, without the pipeline; the same each time where a path comes more than once."""
    captioner = Captioner(model, decoding, size)
    images = [decoded[path] for path in paths]
    found = {}
    for start in range(0, len(paths), size):
        batch = slice(start, start + size)
        captions = captioner.caption([image.array for image in images[batch]], paths[batch])
        for path, image, each in zip(paths[batch], images[batch], captions, strict=True):
            record = CaptionRecord(path, image.width, image.height, model.fingerprint, "", each, labels=each.labels)
            fields = without_content(json.loads(record.to_json()))
            assert found.setdefault(path, fields) == fields
    return found


def without_content(record):
    """The record without what it says of the file and of the run, which the model alone does not know."""
    return {name: value for name, value in record.items() if name not in NOT_THE_MODELS}


@pytest.mark.parametrize("way", WAYS)
def test_30_photos_get_the_same_records_however_they_are_captioned(way, model, paths, decoded, tmp_path):
    shuffled = random.Random(0).sample(paths, len(paths))
    with shared_graphs():
        expected = records_in_batches_of(32, DECODINGS[way], model, paths, decoded)
        assert records_in_batches_of(BATCH_SIZE, DECODINGS[way], model, shuffled * 5, decoded) == expected
        for size, some in ((1, shuffled[:10]), (7, shuffled)):
            found = records_in_batches_of(size, DECODINGS[way], model, some, decoded)
            assert found == {path: expected[path] for path in some}
        (tmp_path / "uris.txt").write_text("\n".join(shuffled))
        argv = ["--uris", str(tmp_path / "uris.txt"), "--output", str(tmp_path / "out"), "--batch_size", "7"]
        assert main([*argv, *WAYS[way], "--runner", "DirectRunner", *ENGINES[way]]) == 0
    (run,) = (tmp_path / "out").iterdir()
    found = [json.loads(line) for path in run.glob("captions-*.jsonl") for line in path.read_text().splitlines()]
    assert {record["run"] for record in found} == {run.name.removeprefix("run=")}
    assert {record["uri"]: without_content(record) for record in found} == expected
