"""The published recipe's own model, InceptionResNetV2 at 299 x 299, through export and the whole job."""

import json

from beam_job.cli import main
from beam_job.model.directory import open_model
from tests.photos import SAMPLES
from tests.tiny_model import tiny_vocabulary
from train.exporting.export import export
from train.models.decoder import build_decoder
from train.models.encoders import build_encoder
from train.recipe import REFERENCE


def test_the_reference_encoder_goes_through_export_load_and_captioning(tmp_path):
    encoder = build_encoder("InceptionResNetV2", weights=None)
    vocabulary = tiny_vocabulary()
    decoder = build_decoder(REFERENCE, channels=1536, vocabulary_size=len(vocabulary))
    export(tmp_path / "model", encoder, decoder, vocabulary, REFERENCE, training={}, licence="random weights")
    manifest = open_model(tmp_path / "model").manifest
    assert (manifest.image.height, manifest.image.width, manifest.max_caption_length) == (299, 299, 64)

    argv = ["--model", str(tmp_path / "model"), "--batch_size", "2", "--max_length", "8", "--runner", "DirectRunner"]
    assert main(["--images", str(SAMPLES[0]), str(SAMPLES[1]), "--output", str(tmp_path / "out"), *argv]) == 0
    (run,) = (tmp_path / "out").iterdir()
    records = [json.loads(line) for path in run.glob("captions-*.jsonl") for line in path.read_text().splitlines()]
    assert {record["uri"] for record in records} == {str(SAMPLES[0]), str(SAMPLES[1])}
    assert all(record["captions"][0]["tokens"] for record in records)
