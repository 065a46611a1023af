"""The lines that a run leaves: what stands in them, and in which order later runs find it."""

import dataclasses
import json

from beam_job.records import Caption, CaptionRecord, Content, CopiedCaption, Failure, Label

SURE = Caption("A dog.", ("a", "dog"), -0.12345678, -0.98765432, True)
RECORD = CaptionRecord("é.jpg", 640, 480, "m", "GPU", [SURE], {"id": 7}, Content(5, "ab", "0f", "v1"), decoding="d")


def test_a_captions_line():
    line = RECORD.to_json("r")
    assert "é" in line
    assert list(json.loads(line).items()) == [
        ("uri", "é.jpg"),
        ("caption", "A dog."),
        ("score", -0.1235),
        ("version", "v1"),
        ("sha256", "ab"),
        ("bytes", 5),
        ("dhash", "0f"),
        ("width", 640),
        ("height", 480),
        ("model", "m"),
        ("decoding", "d"),
        ("run", "r"),
        ("id", 7),
        ("captions", [SURE.fields()]),
    ]
    bare = json.loads(CaptionRecord("a", 1, 2, "m", "CPU", [SURE]).to_json())
    assert {bare[name] for name in ("version", "sha256", "bytes", "dhash", "decoding", "run")} == {None}
    assert "id" not in bare


def test_labels_stand_before_the_captions():
    labels = [Label("Egyptian cat", 0.74321), Label("tabby", 0.3)]
    for wanted, given in (
        ([{"label": "Egyptian cat", "probability": 0.7432}, {"label": "tabby", "probability": 0.3}], labels),
        ([], []),
    ):
        record = json.loads(dataclasses.replace(RECORD, labels=given).to_json("r"))
        assert list(record.items())[-2:] == [("labels", wanted), ("captions", [SURE.fields()])]
        del record["labels"]
        assert record == json.loads(RECORD.to_json("r"))


def test_a_captions_fields():
    assert SURE.fields() == {
        "text": "A dog.",
        "tokens": ["a", "dog"],
        "num_tokens": 2,
        "score": -0.1235,
        "min_log_prob": -0.9877,
        "ended": True,
    }
    looked = Caption("A.", ("a",), -0.00001, 0.0, False, [-0.11111, -0.00001], [[0.33333, 0.66667]])
    found = looked.fields()
    assert (found["log_probs"], found["attention"]) == ([-0.1111, 0.0], [[0.3333, 0.6667]])
    assert "-0.0," not in json.dumps(found)


def test_what_the_manifest_counts_a_caption_under():
    assert RECORD.summary_keys == ("GPU",)
    assert CaptionRecord("a", 1, 2, "m", "CPU", [SURE], changed=True).summary_keys == ("CPU", "changed")
    copied = CopiedCaption({"uri": "é", "run": "old", "caption": "A cat."})
    with_more = CopiedCaption({"uri": "é", "captions": [], "id": 5})
    assert with_more.to_json("new") == '{"uri": "é", "id": 5, "run": "new", "captions": []}'
    assert copied.summary_keys == ("touched",)
    assert copied.to_json("new") == '{"uri": "é", "run": "new", "caption": "A cat."}'


def test_a_failures_line():
    failure = Failure("é.jpg", "decode", "corrupt", "Broken.", {"id": 7}, "ab")
    assert failure.to_json("r") == (
        '{"uri": "é.jpg", "stage": "decode", "error": "corrupt", "message": "Broken.", "known": false, '
        '"sha256": "ab", "run": "r", "id": 7}'
    )
    assert failure.summary_keys == ("decode/corrupt",)
    bare = Failure("a", "fetch", "not_found", "Gone.", earlier=("fetch", "not_found", None))
    assert json.loads(bare.to_json()) == {
        "uri": "a",
        "stage": "fetch",
        "error": "not_found",
        "message": "Gone.",
        "known": True,
        "run": None,
    }
