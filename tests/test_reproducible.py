"""The same photograph gets the same record: whatever its batch, the order of the input and the number of processes."""

import json
import random

import pytest

from beam_job.cli import main
from beam_job.images.pixels import decode
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import open_model
from beam_job.records import CaptionRecord
from tests.photos import photos

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
NOT_THE_MODELS = ("bytes", "sha256", "dhash", "version", "run", "decoding")


@pytest.fixture(scope="module")
def paths(tmp_path_factory):
    return [str(path) for path in photos(tmp_path_factory.mktemp("photos"), 30)]


def records_in_batches_of(size, decoding, paths):
    """What the model itself gives, without the pipeline."""
    model = open_model()
    captioner = Captioner(model, decoding, size)
    images = []
    for path in paths:
        with open(path, "rb") as file:
            images.append(decode(file.read(), model.manifest.image.height, model.manifest.image.width))
    found = {}
    for start in range(0, len(paths), size):
        batch = slice(start, start + size)
        captions = captioner.caption([image.array for image in images[batch]], paths[batch])
        for path, image, each in zip(paths[batch], images[batch], captions, strict=True):
            record = CaptionRecord(path, image.width, image.height, model.fingerprint, "", each, labels=each.labels)
            found[path] = without_content(json.loads(record.to_json()))
    return found


def without_content(record):
    """The record without what it says of the file and of the run, which the model alone does not know."""
    return {name: value for name, value in record.items() if name not in NOT_THE_MODELS}


@pytest.mark.parametrize("way", WAYS)
def test_30_photos_get_the_same_records_however_they_are_captioned(way, paths, tmp_path):
    expected = records_in_batches_of(32, DECODINGS[way], paths)
    shuffled = random.Random(0).sample(paths, len(paths))
    for size in (1, 7):
        assert records_in_batches_of(size, DECODINGS[way], shuffled) == expected

    (tmp_path / "uris.txt").write_text("\n".join(shuffled))
    argv = ["--uris", str(tmp_path / "uris.txt"), "--output", str(tmp_path / "out"), "--batch_size", "7", *WAYS[way]]
    engine = ["--runner", "DirectRunner", "--direct_running_mode", "multi_processing", "--direct_num_workers", "2"]
    assert main([*argv, *engine]) == 0
    (run,) = (tmp_path / "out").iterdir()
    found = [json.loads(line) for path in run.glob("captions-*.jsonl") for line in path.read_text().splitlines()]
    assert {record["run"] for record in found} == {run.name.removeprefix("run=")}
    assert {record["uri"]: without_content(record) for record in found} == expected
