"""The captioner over an exported model: the loop in the graph against the model called step by step."""

import collections
import itertools
from dataclasses import replace
from unittest import mock

import numpy as np
import pytest
import tensorflow as tf

from beam_job.devices import BATCH_SIZE
from beam_job.model.answer.evidence import WordEvidence, word_evidence
from beam_job.model.answer.quality import Context
from beam_job.model.answer.unnamed import Unnamed
from beam_job.model.captioner import Captioner
from beam_job.model.decoding import Decoding
from beam_job.model.directory import open_model
from beam_job.model.draws import uniforms
from beam_job.model.graph import bind, read_functions
from beam_job.records import Captions, NoCaption
from tests.shared_graphs import shared_graphs
from tests.tiny_model import LABELS, write_tiny_model

# Nothing but what the model says: without the default's mask on repeating a pair of words.
GREEDY = Decoding("greedy", no_repeat_ngram=0)
STRATEGIES = [
    GREEDY,
    Decoding(num_captions=3, attention=True),
    Decoding("beam", beam_width=5, length_penalty=0.7, no_repeat_ngram=0, min_length=3),
    Decoding("sample", num_captions=4, seed=7),
    Decoding("sample", top_k=3, top_p=0.9, temperature=1.3, no_repeat_ngram=0, attention=True),
]


@pytest.fixture(scope="module", autouse=True)
def each_graph_is_traced_once():
    with shared_graphs():
        yield


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / "tiny"
    write_tiny_model(path, sharpness=1.5)
    return open_model(path)


@pytest.fixture(scope="module")
def knowing(tmp_path_factory):
    """The same model with a classifier and a quality."""
    path = tmp_path_factory.mktemp("models") / "knowing"
    write_tiny_model(path, sharpness=1.5, labels=LABELS, quality=True)
    return open_model(path)


@pytest.fixture(scope="module")
def labelled(knowing):
    """The same model with a classifier."""
    return replace(knowing, quality=None)


@pytest.fixture(scope="module")
def pixels():
    return list(np.random.default_rng(0).integers(0, 256, (30, 16, 16, 3), dtype=np.uint8))


def caption_all(captioner, pixels, size, order=None):
    order = list(range(len(pixels))) if order is None else order
    found = {}
    for start in range(0, len(order), size):
        batch = order[start : start + size]
        found.update(
            zip(batch, captioner.caption([pixels[i] for i in batch], [f"image {i}" for i in batch]), strict=True)
        )
    return [found[i] for i in range(len(pixels))]


def test_the_score_is_the_expected_quality_of_a_model_that_has_one(model, knowing, pixels):
    decoding = replace(STRATEGIES[1], label_bonus=0.0)
    captioners = [Captioner(each, decoding, 32) for each in (model, knowing)]
    bare, found = (caption_all(each, pixels, 32) for each in captioners)
    vocabulary, evidence = knowing.vocabulary, word_evidence(knowing.labels, knowing.vocabulary)
    for captions, others, classes in zip(found, bare, captioners[1].encode(pixels).classes, strict=False):
        for caption, other in zip(captions, others, strict=True):
            assert caption.tokens == other.tokens
            assert caption.mean_log_prob == other.score
            assert other.mean_log_prob is None
            ids = [*vocabulary.encode(caption.tokens), *[vocabulary.end_id] * caption.ended]
            context = Context(np.mean([other.score for other in others]), evidence.share(caption.tokens, classes))
            expected = knowing.quality.of(np.array(ids), np.array(caption.log_probs, np.float32), context)
            assert caption.score == pytest.approx(expected, abs=1e-5)
    assert len({caption.score for captions in found for caption in captions}) > 20


@pytest.mark.parametrize(
    ("which", "decoding", "bonus"),
    [*itertools.product(["knowing"], STRATEGIES, [0.0, 3.0]), ("model", STRATEGIES[1], 0.0)],
    ids=lambda it: f"{it.strategy}-{it.num_captions}" if isinstance(it, Decoding) else None,
)
def test_an_image_gets_the_same_captions_to_the_last_bit_whatever_its_batch(which, decoding, bonus, pixels, request):
    """And the same labels and quality, where the model has them, also where a bonus changes its captions."""
    model, decoding = request.getfixturevalue(which), replace(decoding, label_bonus=bonus)
    expected = caption_all(Captioner(model, decoding, 32), pixels, 32)
    shuffled = np.random.default_rng(1).permutation(len(pixels)).tolist()
    for size in (1, 7, 30):
        found = caption_all(Captioner(model, decoding, size), pixels, size, shuffled)
        assert found == expected
        assert [each.labels for each in found] == [each.labels for each in expected]
    many = [number % len(pixels) for number in range(BATCH_SIZE)]
    whole = Captioner(model, decoding, BATCH_SIZE)
    found = whole.caption([pixels[i] for i in many], [f"image {i}" for i in many])
    assert found == [expected[i] for i in many]


@pytest.mark.parametrize("full_precision", [True, False])
def test_labels_are_the_likely_classes_and_change_no_caption_without_a_bonus(model, labelled, pixels, full_precision):
    """The classifier's product has float32's digits also where others have those of bfloat16."""
    plain = replace(GREEDY, label_bonus=0.0)
    encode = tf.function(bind(read_functions(labelled.directory, 2)["encode"]))
    classes = tf.nn.softmax(encode(images=tf.constant(np.stack(pixels)))["labels"]).numpy()
    found = Captioner(labelled, plain, 30, full_precision=full_precision).caption(pixels, [""] * 30)
    counts = set()
    for each, probabilities in zip(found, classes, strict=True):
        expected = sorted(zip(probabilities, LABELS.names, strict=True), reverse=True)[: len(each.labels)]
        assert [label.name for label in each.labels] == [name for _, name in expected]
        np.testing.assert_allclose([label.probability for label in each.labels], [p for p, _ in expected], atol=1e-5)
        assert len(each.labels) == np.count_nonzero(probabilities >= 0.3)
        counts.add(len(each.labels))
    assert counts >= {1, 2}
    bare = Captioner(model, plain, 30, full_precision=full_precision).caption(pixels, [""] * 30)
    assert bare == found
    assert {each.labels for each in bare} == {None}


@pytest.mark.parametrize("decoding", STRATEGIES, ids=lambda decoding: f"{decoding.strategy}-{decoding.num_captions}")
def test_a_bonus_makes_captions_name_what_the_classifier_is_sure_of(labelled, pixels, decoding):
    """Only where an image's best caption does not name it anyway."""
    uris = [str(row) for row in range(30)]
    captioner = Captioner(labelled, replace(decoding, label_bonus=50.0), 30)
    plain = Captioner(labelled, replace(decoding, label_bonus=0.0), 30).caption(pixels, uris)
    favoured = captioner.caption(pixels, uris)
    evidence = WordEvidence(LABELS, labelled.vocabulary)
    classes = captioner.encode(pixels).classes
    outcomes = collections.Counter()
    for before, after, row in zip(plain, favoured, classes, strict=False):
        ids, shares = (found[0] for found in evidence.of(row[None]))
        words = {labelled.vocabulary.tokens[number] for number in ids[shares > 0]}
        if not words or evidence.is_in(before[0].tokens, row):
            assert after == before
            outcomes["named" if words else "unsure"] += 1
        else:
            assert all(caption.tokens[0] in words for caption in after)  # so great a bonus puts it first
            assert after.labels == before.labels
            outcomes["changed"] += 1
    assert outcomes["changed"] >= 2
    assert outcomes["unsure"] >= 3


@pytest.mark.parametrize("second", ["nothing", "another"])
def test_a_caption_stays_if_no_bonus_makes_it_name_the_class(labelled, pixels, second):
    """A second decoding may find no caption at all, or one that does not name it, either."""
    captioner = Captioner(labelled, GREEDY, 30)
    plain = Captioner(labelled, replace(GREEDY, label_bonus=0.0), 30).caption(pixels, [""] * 30)
    decode, decoded_again = captioner._decoder.captions, []

    def stand_in(features, state, classes, uris, *words, places):
        if not words:
            return decode(features, state, classes, uris, places=places)
        decoded_again.extend(places)
        told = replace(plain[0][0], tokens=["on", "on"], text="On on.")
        return [NoCaption("") if second == "nothing" else Captions([told]) for _ in places]

    with mock.patch.object(captioner._decoder, "captions", stand_in):
        assert captioner.caption(pixels, [""] * 30) == plain
    assert 0 < len(decoded_again) < 30


def test_one_search_decodes_the_images_again_that_need_it_and_no_others(labelled, pixels):
    plain = Captioner(labelled, replace(GREEDY, label_bonus=0.0), 30).caption(pixels, [""] * 30)
    captioner, decoded = Captioner(labelled, GREEDY, 30), []
    beam = captioner._graphs.beam

    def watched(features, state, in_use, *words):
        decoded.append((len(words), np.flatnonzero(in_use).tolist()))
        return beam(features, state, in_use, *words)

    with mock.patch.object(captioner._graphs, "beam", watched):
        captioner.caption(pixels, [""] * 30)
    classes = captioner.encode(pixels).classes
    evidence = word_evidence(labelled.labels, labelled.vocabulary)
    unnamed = Unnamed(plain, classes, evidence, labelled.vocabulary, 1.0).places
    assert 0 < len(unnamed) < 30
    assert decoded == [(0, list(range(30))), (2, unnamed)]


def test_random_numbers_are_only_made_for_images_that_are_decoded(labelled, pixels):
    captioner = Captioner(labelled, STRATEGIES[3], 30)
    with mock.patch("beam_job.model.decoder.uniforms", wraps=uniforms) as made:
        captioner.caption(pixels, [f"image {row}" for row in range(30)])
    first_draws = [call.args[1] for call in made.call_args_list if call.args[2].start == 0]
    assert first_draws[:30] == [f"image {row}" for row in range(30)]
    assert 0 < len(first_draws[30:]) < 30  # the second decoding


def test_a_bonus_without_labels_has_no_effect(model, pixels):
    plain, favoured = (
        Captioner(model, replace(GREEDY, label_bonus=bonus), 30).caption(pixels, [""] * 30) for bonus in (0.0, 50.0)
    )
    assert plain == favoured


@pytest.mark.parametrize("decoding", STRATEGIES, ids=lambda decoding: f"{decoding.strategy}-{decoding.num_captions}")
def test_ragged_batches_cause_no_new_traces(labelled, pixels, decoding):
    uris = [str(row) for row in range(30)]
    with shared_graphs():  # of these two alone
        plain, favoured = (Captioner(labelled, replace(decoding, label_bonus=bonus), 30) for bonus in (0.0, 3.0))
    plain.warm_up()
    traces = plain.traces
    assert traces == 1 + len(plain._decoder.graphs())
    for size in (30, 8, 3, 1, 17, 30):
        plain.caption(pixels[:size], uris[:size])
    favoured.warm_up()
    assert favoured.traces == traces
    favoured.caption(pixels, uris)
    assert traces < favoured.traces <= traces + 2  # samples that repeat are filled up by a beam
    for size in (3, 1, 17, 30):
        favoured.caption(pixels[:size], uris[:size])
    assert favoured.traces <= traces + 2


def test_greedy_equals_the_exported_functions_called_word_by_word(model, pixels):
    functions = {name: tf.function(bind(each)) for name, each in read_functions(model.directory, 2).items()}
    vocabulary = model.vocabulary
    encoded = functions["encode"](images=tf.constant(np.stack(pixels[:4])))
    captioner = Captioner(model, replace(GREEDY, attention=True), 4, full_precision=True)
    captions = captioner.caption(pixels[:4], ["", "", "", ""])
    for row, (caption,) in enumerate(captions):
        state, features = encoded["state"][row : row + 1], encoded["features"][row : row + 1]
        token, words, log_probs, attention = vocabulary.start_id, [], [], []
        while len(log_probs) < model.manifest.max_caption_length and token != vocabulary.end_id:
            made = functions["decode_step"](tokens=tf.constant([token]), state=state, features=features)
            each = tf.nn.log_softmax(made["logits"])[0].numpy()
            state, allowed = made["state"], each.copy()
            allowed[[vocabulary.pad_id, vocabulary.unknown_id, vocabulary.start_id]] = -np.inf
            if not words:
                allowed[vocabulary.end_id] = -np.inf
            token = int(allowed.argmax())
            words.append(token)
            log_probs.append(each[token])
            attention.append(made["attention"][0])
        ended = words[-1] == vocabulary.end_id
        assert caption.tokens == vocabulary.decode(words[: len(words) - ended])
        assert caption.ended == ended
        assert caption.score == pytest.approx(np.mean(log_probs), abs=1e-5)
        assert caption.min_log_prob == pytest.approx(min(log_probs), abs=1e-5)
        np.testing.assert_allclose(caption.log_probs, log_probs, atol=1e-5)
        np.testing.assert_allclose(caption.attention, attention, atol=1e-5)


def test_weights_stored_in_half_precision_caption_like_the_same_weights_stored_in_full(tmp_path, pixels):
    half = open_model_of(tmp_path / "half", tf.float16)
    full = open_model_of(tmp_path / "full", tf.float32)
    found = [caption_all(Captioner(model, GREEDY, 8, full_precision=True), pixels[:8], 8) for model in (half, full)]
    assert [[c.text for c in captions] for captions in found[0]] == [
        [c.text for c in captions] for captions in found[1]
    ]
    for a, b in zip(*found, strict=True):
        assert a[0].score == pytest.approx(b[0].score, abs=0.02)


def open_model_of(path, dtype):
    write_tiny_model(path, dtype=dtype, seed=5)
    return open_model(path)


def test_a_score_does_not_depend_on_how_many_captions_of_the_beam_are_wanted(knowing, pixels):
    decodings = (replace(STRATEGIES[1], num_captions=count, label_bonus=50.0) for count in (1, 3))
    one, many = (Captioner(knowing, decoding, 30).caption(pixels, [""] * 30) for decoding in decodings)
    assert [captions[0] for captions in one] == [captions[0] for captions in many]


def test_special_tokens_never_come_out(tmp_path, pixels):
    write_tiny_model(tmp_path / "flat", sharpness=0.01)  # every token is about as likely
    model = open_model(tmp_path / "flat")
    for decoding in STRATEGIES[2:4]:  # one graph of each kind
        for captions in Captioner(model, decoding, 30).caption(pixels, [str(i) for i in range(30)]):
            for caption in captions:
                assert not {"<pad>", "[UNK]", "<start>", "<end>"} & set(caption.tokens)


def test_captions_of_an_image_are_distinct_and_best_first(labelled, pixels):
    for decoding in (replace(STRATEGIES[1], label_bonus=0.0), replace(STRATEGIES[3], label_bonus=0.0)):
        for captions in Captioner(labelled, decoding, 30).caption(pixels, [str(i) for i in range(30)]):
            assert len({tuple(caption.tokens) for caption in captions}) == len(captions) == decoding.num_captions
            if decoding.strategy == "sample":
                scores = [caption.score for caption in captions]
                assert scores == sorted(scores, reverse=True)


def test_sampling_depends_on_seed_and_uri_alone(labelled, pixels):
    def draw(seed, uri):
        decoding = Decoding("sample", seed=seed, num_captions=4, label_bonus=0.0)
        return [caption.text for caption in Captioner(labelled, decoding, 1).caption(pixels[:1], [uri])[0]]

    assert draw(1, "a") == draw(1, "a")
    assert draw(1, "a") != draw(2, "a")
    assert draw(1, "a") != draw(1, "b")


def test_asking_for_more_samples_keeps_the_first_ones(labelled, pixels):
    decodings = (Decoding("sample", num_captions=count, label_bonus=0.0) for count in (1, 4))
    one, many = (Captioner(labelled, decoding, 1).caption(pixels[:1], ["a"])[0] for decoding in decodings)
    assert one[0].text in [caption.text for caption in many]


def test_a_model_that_is_sure_of_itself_still_gives_distinct_captions(model, pixels):
    decodings = (
        Decoding("sample", num_captions=4, temperature=0.001),
        Decoding("beam", beam_width=4, num_captions=4),
        Decoding("greedy"),
    )
    sampled, likeliest, greedy = (
        {caption.text for caption in Captioner(model, decoding, 1).caption(pixels[:1], ["a"])[0]}
        for decoding in decodings
    )
    assert len(sampled) == 4
    assert greedy <= sampled <= likeliest | greedy


def test_length_options(model, pixels):
    for captions in Captioner(model, replace(GREEDY, min_length=5, max_length=6), 30).caption(pixels, [""] * 30):
        assert len(captions[0].tokens) in (5, 6)
        assert captions[0].ended == (len(captions[0].tokens) == 5)


@pytest.mark.parametrize("ngram", [1, 2, 3])
def test_no_run_of_words_stands_twice(labelled, pixels, ngram):
    decoding = replace(STRATEGIES[1], no_repeat_ngram=ngram, label_bonus=0.0)
    for captions in Captioner(labelled, decoding, 30).caption(pixels, [""] * 30):
        for caption in captions:
            runs = [tuple(caption.tokens[i : i + ngram]) for i in range(len(caption.tokens) - ngram + 1)]
            assert len(set(runs)) == len(runs)


def test_a_length_beyond_the_models_own_is_refused(model):
    with pytest.raises(ValueError, match=r"^--max_length 13: the model supports at most 12"):
        Captioner(model, Decoding(max_length=13), 4)
    with pytest.raises(ValueError, match=r"^--min_length 12"):
        Captioner(model, Decoding(min_length=12), 4)
