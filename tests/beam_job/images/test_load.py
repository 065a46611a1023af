"""Fetching and decoding ahead of the model: what comes out for any file, in which order, and what is counted."""

import hashlib
import random
import sys
import threading
import time
from pathlib import Path

import apache_beam as beam
import pytest
from apache_beam.metrics.metric import MetricsFilter
from apache_beam.testing.util import assert_that, equal_to

from beam_job.images import decoder, download
from beam_job.images.decoder import DecodersError
from beam_job.images.decoders import Decoders
from beam_job.images.fetch import CredentialsError, Fetcher, FetchLimits
from beam_job.images.load import FAILURES, FetchAndDecode, Loading
from beam_job.messages import unforeseen
from beam_job.metrics import METRICS
from beam_job.records import DecodedImage, Failure
from tests import decoder_stand_in
from tests.decoder_stand_in import FINE
from tests.images import bomb, heic, kinds
from tests.mutations import mutated
from tests.photos import photos

LONG = 300.0  # seconds that no test comes near


def load(uris, loading=Loading(), ahead=0, size=16):
    """Runs the DoFn as Beam does; returns what comes out, in order."""
    fn = FetchAndDecode(size, size, loading, ahead)
    fn.setup()
    fn.start_bundle()
    found = [out for uri in uris for out in fn.process(uri, 0, None)]
    found += fn.finish_bundle()
    return [(out.value if isinstance(out, beam.pvalue.TaggedOutput) else out).value for out in found]


def test_each_uri_comes_out_once_and_carries_its_fields(tmp_path):
    made = [str(path) for path in photos(tmp_path, 20)]
    found = load([*((uri, {"id": uri}) for uri in made), f"{tmp_path}/none.jpg"], Loading(threads=3), ahead=4)
    assert sorted(outcome.uri for outcome in found) == sorted([*made, f"{tmp_path}/none.jpg"])
    for outcome in found:
        if isinstance(outcome, DecodedImage):
            assert outcome.pixels.shape == (16, 16, 3)
            assert outcome.carried == {"id": outcome.uri}
        else:
            assert (outcome.stage, outcome.error, outcome.carried) == ("fetch", "not_found", None)


def test_a_slow_image_holds_up_no_other(monkeypatch, tmp_path):
    made = [str(path) for path in photos(tmp_path, 12)]
    fetch, others_came_out = FetchAndDecode._load, threading.Event()

    def slowly(self, wanted, place):
        if wanted.uri == made[0]:
            others_came_out.wait(LONG)
        return fetch(self, wanted, place)

    monkeypatch.setattr(FetchAndDecode, "_load", slowly)
    fn = FetchAndDecode(16, 16, Loading(threads=4), ahead=8)
    fn.setup()
    fn.start_bundle()
    assert not [out for uri in made for out in fn.process(uri, 0, None)]
    found = fn.finish_bundle()
    assert {next(found).value.uri for _ in made[1:]} == set(made[1:])
    others_came_out.set()
    assert [out.value.uri for out in found] == made[:1]


def test_while_the_model_works_the_next_images_are_always_in_hand(monkeypatch, tmp_path):
    made = [str(path) for path in photos(tmp_path, 60)]
    fetch, done = FetchAndDecode._load, []

    def counted(self, wanted, place):
        loaded = fetch(self, wanted, place)
        done.append(wanted.uri)
        return loaded

    monkeypatch.setattr(FetchAndDecode, "_load", counted)
    fn = FetchAndDecode(16, 16, Loading(threads=4), ahead=8)
    fn.setup()
    fn.start_bundle()
    left = 0
    for uri in made:
        for _ in fn.process(uri, 0, None):
            left += 1
            if left % 8 == 0:  # a batch is full: the model is slow, and twelve more images get ready beside it
                deadline = time.monotonic() + LONG
                while len(done) < left + 12 and time.monotonic() < deadline:
                    time.sleep(0.01)
                assert len(done) == left + 12
    assert left == 48
    assert len(list(fn.finish_bundle())) == 12


def test_limits_reach_the_decoder(tmp_path):
    (tmp_path / "bomb.png").write_bytes(bomb())
    (tmp_path / "cut.jpg").write_bytes(photos(tmp_path, 1)[0].read_bytes()[:20_000])
    uris = [f"{tmp_path}/bomb.png", f"{tmp_path}/cut.jpg"]

    def codes(loading):
        return {getattr(outcome, "error", "fine") for outcome in load(uris, loading)}

    assert codes(Loading()) == {"too_many_pixels", "truncated"}
    assert codes(Loading(accept_truncated=True)) == {"too_many_pixels", "fine"}
    assert codes(Loading(max_pixels=100)) == {"too_many_pixels"}
    assert codes(Loading(fetch=FetchLimits(max_bytes=100))) == {"too_large"}


@pytest.fixture
def stand_in(monkeypatch):
    """Decoders that do with a file what it says; their processes end with the test's."""
    made = Decoders(2, (sys.executable, decoder_stand_in.__file__))
    monkeypatch.setattr("beam_job.images.load.shared_decoders", lambda: made)
    monkeypatch.setattr(unforeseen, "_logged", set())


def test_what_a_file_does_to_its_decoder_costs_that_file_alone(caplog, stand_in, tmp_path):
    says = {"crash": b"crash", "greedy": b"take 300000000", "fault": b"fault"}
    says |= {"another": b"fault", **{f"good-{number}": FINE for number in range(20)}}
    for name, data in says.items():
        (tmp_path / name).write_bytes(data)
    loading = Loading(threads=4, decode_memory=200_000_000)
    uris = [(str(tmp_path / name), {"id": name}) for name in says]
    found = {outcome.uri.rpartition("/")[2]: outcome for outcome in load(uris, loading)}
    assert set(found) == set(says)
    failures = {name: outcome.error for name, outcome in found.items() if isinstance(outcome, Failure)}
    assert failures == {
        "crash": "crashed",
        "greedy": "out_of_memory",
        "fault": "unexpected",
        "another": "unexpected",
    }
    for name in failures:
        assert found[name].stage == "decode"
        assert found[name].sha256 == hashlib.sha256(says[name]).hexdigest()
    assert {name: outcome.carried["id"] for name, outcome in found.items()} == {name: name for name in says}
    assert found["good-0"].content.sha256 == hashlib.sha256(FINE).hexdigest()
    assert found["fault"].message == "KeyError: 'nobody foresaw this'"
    (logged,) = caplog.records  # once for both
    assert 'raise KeyError("nobody foresaw this")' in logged.getMessage()


def test_the_deadline_reaches_the_decoder(stand_in, tmp_path):
    (tmp_path / "slow").write_bytes(f"wait {tmp_path}/told".encode())
    (failure,) = load([f"{tmp_path}/slow"], Loading(decode_deadline=0.02))
    assert (failure.stage, failure.error) == ("decode", "deadline_exceeded")
    assert "the limit of 2 s in all" in failure.message


def test_what_nobody_foresaw_in_fetching_costs_one_image(caplog, monkeypatch, stand_in, tmp_path):
    fetch = Fetcher.fetch

    def faulty(self, uri, stats=None):
        if "bad" in uri:
            raise RuntimeError("over\x00 " + "and over " * 1000)
        return fetch(self, uri, stats)

    monkeypatch.setattr(Fetcher, "fetch", faulty)
    (tmp_path / "good").write_bytes(FINE)
    bad, good = sorted(load([f"{tmp_path}/bad?secret", f"{tmp_path}/good"]), key=lambda outcome: outcome.uri)
    assert (good.uri, good.width) == (f"{tmp_path}/good", 2)
    assert (bad.stage, bad.error, bad.sha256) == ("fetch", "unexpected", None)
    assert bad.message.startswith("RuntimeError: over\\x00 and over")
    assert len(bad.message) < 400
    assert "in faulty" in caplog.text
    assert "secret" not in caplog.text
    assert len(caplog.text) < 8_000


def test_what_is_about_the_job_ends_it(monkeypatch, tmp_path):
    (tmp_path / "good").write_bytes(FINE)
    broken = Decoders(2, ("/no/such/program",))
    monkeypatch.setattr("beam_job.images.load.shared_decoders", lambda: broken)
    with pytest.raises(DecodersError, match=r"No process for decoding images can be started: .*/no/such/program"):
        load([f"{tmp_path}/good"])

    def refused(*_):
        raise CredentialsError("they do not work")

    monkeypatch.setattr(Fetcher, "fetch", refused)
    with pytest.raises(CredentialsError):
        load([f"{tmp_path}/good"])


class Ticking(threading.local):
    """Stands in for the module ``time``: each look is a quarter of a second after the thread's last one."""

    looks = 0

    def perf_counter(self):
        self.looks += 1
        return self.looks / 4


def test_what_is_counted(tmp_path, monkeypatch):
    monkeypatch.setattr("beam_job.images.load.time", Ticking())
    made = [str(path) for path in photos(tmp_path, 5)]
    (tmp_path / "empty.jpg").write_bytes(b"")
    uris = [*made, f"{tmp_path}/empty.jpg", f"{tmp_path}/none.jpg"]
    with beam.Pipeline(runner="FnApiRunner") as pipeline:
        loaded = pipeline | beam.Create(uris) | beam.ParDo(FetchAndDecode(16, 16)).with_outputs(FAILURES, main="images")
        codes = loaded[FAILURES] | "Codes" >> beam.Map(lambda failure: failure.error)
        assert_that(codes, equal_to(["empty", "not_found"]))
    metrics = pipeline.result.metrics().query(MetricsFilter().with_namespace(METRICS))
    counters = {counter.key.metric.name: counter.committed for counter in metrics["counters"]}
    assert counters["fetched"] == 6
    assert counters["failed_fetch_not_found"] == counters["failed_decode_empty"] == 1
    found = {each.key.metric.name: each.committed for each in metrics["distributions"]}
    assert [found[name].count for name in ("image_bytes", "fetch_ms", "decode_ms")] == [6, 7, 6]
    assert found["image_bytes"].sum == sum(len(Path(path).read_bytes()) for path in uris[:-1])
    assert {(found[name].min, found[name].max) for name in ("fetch_ms", "decode_ms")} == {(250, 250)}


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("count", [300, pytest.param(5_000, marks=pytest.mark.slow)])
def test_mutated_files_give_an_image_or_a_documented_failure_each(tmp_path, count):
    dice = random.Random(count)
    files = [kind.data for kind in (*kinds().values(), heic())] + [path.read_bytes() for path in photos(tmp_path, 8)]
    uris = []
    for number in range(count):
        path = tmp_path / f"{number}.jpg"
        path.write_bytes(mutated(dice, files))
        uris.append(str(path))
    found = load(uris, Loading(threads=2, max_pixels=20_000_000, decode_deadline=LONG))
    assert sorted(outcome.uri for outcome in found) == sorted(uris)
    failures = [outcome for outcome in found if isinstance(outcome, Failure)]
    assert {failure.error for failure in failures} <= {*decoder.ERRORS, *download.ERRORS} - {"deadline_exceeded"}
    assert all(failure.stage == "decode" and failure.message for failure in failures)
    assert all(image.pixels.shape == (16, 16, 3) for image in found if isinstance(image, DecodedImage))
    assert 0.1 < len(failures) / count < 0.95
