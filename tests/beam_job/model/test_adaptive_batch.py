"""Running out of memory: the batch shrinks for a while, and only an image that fails alone fails."""

import json
import threading
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import numpy as np
import pytest
import tensorflow as tf

from beam_job.model.adaptive_batch import AdaptiveCaptioner, is_out_of_memory
from beam_job.model.decoding import Decoding
from beam_job.model.directory import open_model
from beam_job.model.handler import CaptionHandler
from beam_job.model.manifest import ModelError
from beam_job.records import Caption, Captions, Content, DecodedImage, Failure
from tests.shared_graphs import shared_graphs
from tests.tiny_model import LABELS, write_tiny_model

PIXELS = np.zeros([16, 16, 3], np.uint8)


class Device:
    """Has room for so many images; makes captioners, and writes down what they were asked for."""

    def __init__(self, room, error=None, poison=(), lost=False, poison_error=None):
        self.room = room
        self.lost = lost
        self.error = error or tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        self.poison = poison
        self.poison_error = poison_error
        self.made, self.asked = [], []

    def make(self, batch_size):
        self.made.append(batch_size)
        return StandIn(self, batch_size)


class StandIn:
    fingerprint, device = "f", "CPU"

    def __init__(self, owner, batch_size):
        self.owner = owner
        self.batch_size = batch_size

    def warm_up(self):
        if self.owner.lost:
            raise self.owner.error

    def caption(self, pixels, uris):
        assert len(pixels) <= self.batch_size
        self.owner.asked.append(len(uris))
        if self.batch_size > self.owner.room:
            raise self.owner.error
        if set(uris) & set(self.owner.poison):
            raise self.owner.poison_error
        return [Captions([Caption(uri, [], -1.0, -1.0, True)]) for uri in uris]


def images(*names):
    return [DecodedImage(name, 1, 1, PIXELS, content=Content(1, f"digest of {name}", "0")) for name in names]


def test_the_size_that_works_is_found_and_kept():
    device = Device(room=10)
    captioner = AdaptiveCaptioner(device.make, 32)
    assert device.made == []  # nothing is loaded before there is something to caption
    names = [str(number) for number in range(32)]
    assert [found[0].text for found in captioner.caption([PIXELS] * 32, names)] == names
    assert device.made == [32, 16, 8]
    assert captioner.batch_size == 8
    captioner.caption([PIXELS] * 32, names)
    assert device.made == [32, 16, 8]
    assert device.asked == [32, 16, *[8] * 8]
    assert (captioner.fingerprint, captioner.device) == ("f", "CPU")


def caption_batches(captioner, count):
    """Captions so many batches of whatever size the captioner has."""
    for _ in range(count):
        captioner.caption([PIXELS] * captioner.batch_size, ["a"] * captioner.batch_size)


def test_the_larger_size_is_tried_again_after_a_while():
    device = Device(room=10)
    captioner = AdaptiveCaptioner(device.make, 24)
    caption_batches(captioner, 1)
    assert device.made == [24, 12, 6]
    device.room = 24  # whoever had the memory has gone
    while captioner.batch_size < 24:
        before = len(device.asked)
        caption_batches(captioner, 1)
        assert len(device.asked) < 1000
    assert device.made == [24, 12, 6, 12, 24]
    assert before > 2 * 64  # batches, as each size that works is given a while
    caption_batches(captioner, 2000)
    assert device.made == [24, 12, 6, 12, 24]


@pytest.mark.parametrize("in_making", [False, True])
def test_a_size_that_stays_too_large_is_tried_ever_less_often(in_making):
    device = Device(room=8)

    def make(batch_size):
        if in_making and batch_size > device.room:
            device.made.append(batch_size)
            raise MemoryError
        return device.make(batch_size)

    captioner = AdaptiveCaptioner(make, 16)
    caption_batches(captioner, 5000)
    assert captioner.batch_size == 8
    tries = device.made.count(16)
    assert 5 <= tries <= 7  # each after twice as many batches: 128, 256, ...
    caption_batches(captioner, 5000)
    assert device.made.count(16) == tries + 1


def test_bundles_that_share_a_process_take_turns_at_the_device():
    both_here, both_inside = threading.Barrier(2), threading.Barrier(2, timeout=0.5)
    met = []

    class Crowded(StandIn):
        def caption(self, pixels, uris):
            with suppress(threading.BrokenBarrierError):
                both_inside.wait()
                met.append(True)
            return super().caption(pixels, uris)

    device = Device(room=4)
    captioner = AdaptiveCaptioner(lambda batch_size: Crowded(device, batch_size), 4)
    captioner.load()

    def bundle(uris):
        both_here.wait()
        return captioner.caption([PIXELS] * 4, list(uris))

    with ThreadPoolExecutor(2) as bundles:
        assert [len(found) for found in bundles.map(bundle, ["abcd", "efgh"])] == [4, 4]
    assert not met


def test_a_model_that_does_not_even_load_at_that_size():
    device = Device(room=99)

    def make(batch_size):
        if batch_size > 4:
            raise MemoryError
        return device.make(batch_size)

    captioner = AdaptiveCaptioner(make, 16)
    assert len(captioner.caption([PIXELS] * 7, list("abcdefg"))) == 7
    assert captioner.batch_size == 4


def test_no_room_for_a_single_image():
    handler = CaptionHandler(None, "f", Decoding(), 4)
    found = handler.run_inference(images("a", "b", "c"), AdaptiveCaptioner(Device(room=0).make, 4))
    assert [(failure.uri, failure.stage, failure.error) for failure in found] == [
        (uri, "infer", "out_of_memory") for uri in "abc"
    ]


def test_a_model_that_cannot_be_loaded_is_no_fault_of_the_images():
    def make(batch_size):
        raise ModelError("the directory was replaced meanwhile")

    handler = CaptionHandler(None, "f", Decoding(), 4)
    with pytest.raises(ModelError, match="replaced meanwhile"):
        handler.run_inference(images("a", "b"), AdaptiveCaptioner(make, 4))


def test_a_device_that_is_lost_is_no_fault_of_the_images():
    device = Device(room=0, error=tf.errors.InternalError(None, None, "device lost"), lost=True)
    with pytest.raises(tf.errors.InternalError, match="device lost"):
        CaptionHandler(None, "f", Decoding(), 4).run_inference(images("a", "b"), AdaptiveCaptioner(device.make, 4))


def test_records_have_the_labels_of_a_model_that_has_some(tmp_path):
    write_tiny_model(tmp_path / "plain", sharpness=1.5)
    write_tiny_model(tmp_path / "labelled", sharpness=1.5, labels=LABELS)
    batch = [
        DecodedImage(str(row), 1, 1, np.random.default_rng(row).integers(0, 256, [16, 16, 3], np.uint8))
        for row in range(16)
    ]
    lines = {}
    for name in ("plain", "labelled"):
        decoding = Decoding(label_bonus=0)
        handler = CaptionHandler(str(tmp_path / name), open_model(tmp_path / name).fingerprint, decoding, 16)
        lines[name] = [record.to_json("r") for record in handler.run_inference(batch, handler.load_model())]
    labels = []
    for plain, labelled in zip(*lines.values(), strict=True):
        record = json.loads(labelled)
        found = record.pop("labels")
        labels += found
        assert all(label.keys() == {"label", "probability"} and label["probability"] >= 0.3 for label in found)
        without = {**record, "model": json.loads(plain)["model"]}
        assert json.dumps(without, ensure_ascii=False) == plain  # in the same order
    assert len({label["label"] for label in labels}) > 1


def test_images_without_captions_are_failures(tmp_path):
    write_tiny_model(tmp_path / "model", words=("a", "b", "c"))
    fingerprint = open_model(tmp_path / "model").fingerprint
    decoding = Decoding(no_repeat_ngram=1, min_length=5)  # only three words to choose from
    handler = CaptionHandler(str(tmp_path / "model"), fingerprint, decoding, 4)
    found = handler.run_inference(images("a", "b"), handler.load_model())
    assert [(failure.uri, failure.error) for failure in found] == [("a", "no_caption"), ("b", "no_caption")]
    assert "--min_length" in found[0].message


@pytest.mark.parametrize("decoding", [Decoding(), Decoding("sample", num_captions=2)], ids=lambda it: it.strategy)
def test_an_image_without_a_caption_costs_itself_alone(tmp_path, monkeypatch, decoding):
    """Its neighbours have the captions that they would have without it, and the model is called once."""
    from beam_job.model.captioner import Captioner

    write_tiny_model(tmp_path / "model")
    handler = CaptionHandler(str(tmp_path / "model"), open_model(tmp_path / "model").fingerprint, decoding, 128)
    noise = np.random.default_rng(0).integers(0, 256, [128, 16, 16, 3], np.uint8)
    batch = [DecodedImage(f"gs://b/{n}.jpg?secret", 1, 1, pixels) for n, pixels in enumerate(noise)]
    loaded = handler.load_model()
    expected = [record.to_json() for record in handler.run_inference(batch, loaded)]

    calls = []
    encode = Captioner.encode

    def poisoned(self, pixels):
        calls.append(len(pixels))
        encoded = encode(self, pixels)
        broken = tf.fill(encoded.features.shape[1:], np.nan)
        return encoded._replace(features=tf.tensor_scatter_nd_update(encoded.features, [[5]], [broken]))

    monkeypatch.setattr(Captioner, "encode", poisoned)
    found = handler.run_inference(batch, loaded)
    assert calls == [128]
    failure = found.pop(5)
    expected.pop(5)
    assert (failure.uri, failure.stage, failure.error) == ("gs://b/5.jpg?secret", "infer", "no_caption")
    assert "the model's scores are not numbers" in failure.message
    assert [record.to_json() for record in found] == expected


@pytest.mark.parametrize(
    ("poison", "code", "message", "logged"),
    [
        (
            tf.errors.InvalidArgumentError(None, None, "bad"),
            "inference_failed",
            "InvalidArgumentError: bad",
            "No caption",
        ),
        (KeyError("a fault"), "unexpected", "KeyError: 'a fault'", "raise self.owner.poison_error"),
    ],
)
def test_one_poisonous_image_takes_no_neighbour_with_it(caplog, poison, code, message, logged):
    handler = CaptionHandler(None, "f", Decoding(), 8)
    device = Device(room=8, poison=["d"], poison_error=poison)
    found = handler.run_inference(images(*"abcdefgh"), AdaptiveCaptioner(device.make, 8))
    assert [record.uri for record in found] == list("abcdefgh")
    (failure,) = (record for record in found if isinstance(record, Failure))
    assert (failure.uri, failure.stage, failure.error) == ("d", "infer", code)
    assert (failure.message, failure.sha256) == (message, "digest of d")
    assert len(caplog.records) == 1
    assert logged in caplog.text
    assert device.made == [8]  # memory was not the matter


@pytest.mark.parametrize(
    ("error", "expected"),
    [
        (tf.errors.ResourceExhaustedError(None, None, "OOM"), True),
        (tf.errors.InternalError(None, None, "CUDA_ERROR_OUT_OF_MEMORY: out of memory"), True),
        (tf.errors.InternalError(None, None, "no kernel image"), False),
        (MemoryError(), True),
        (ValueError("out of memory"), False),
    ],
)
def test_what_counts_as_out_of_memory(error, expected):
    assert is_out_of_memory(error) is expected


def test_captions_of_a_real_model_do_not_change_with_its_batch(tmp_path, monkeypatch):
    from beam_job.model.captioner import Captioner

    write_tiny_model(tmp_path / "model")
    model = open_model(tmp_path / "model")
    handler = CaptionHandler(str(tmp_path / "model"), model.fingerprint, Decoding(), 8)
    noise = np.random.default_rng(0).integers(0, 256, [8, 16, 16, 3], np.uint8)
    batch = [DecodedImage(str(number), 1, 1, pixels) for number, pixels in enumerate(noise)]
    run = Captioner.caption

    def crowded(self, pixels, uris):
        if len(uris) > 3:
            raise tf.errors.ResourceExhaustedError(None, None, "OOM when allocating tensor")
        return run(self, pixels, uris)

    with shared_graphs():
        expected = [record.to_json() for record in handler.run_inference(batch, handler.load_model())]
        monkeypatch.setattr(Captioner, "caption", crowded)
        loaded = handler.load_model()
        assert [record.to_json() for record in handler.run_inference(batch, loaded)] == expected
    assert loaded.batch_size == 2
