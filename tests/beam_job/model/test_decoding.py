"""The options of decoding: which are taken, and what is said of the others."""

import argparse
from dataclasses import asdict

import pytest

from beam_job.model.decoding import Decoding

ONLY_SAMPLE = "only --decoding sample uses this option; choose that method, or drop the option."


@pytest.mark.parametrize(
    ("options", "sentence"),
    [
        ({"strategy": "best"}, "--decoding best: choose one of greedy, beam, sample."),
        ({"num_captions": 0}, "--num_captions 0: ask for at least 1 caption."),
        ({"beam_width": 0}, "--beam_width 0: choose a width of at least 1."),
        ({"length_penalty": -0.1}, "--length_penalty -0.1: choose a number from 0 to 10."),
        ({"length_penalty": 10.1}, "--length_penalty 10.1: choose a number from 0 to 10."),
        ({"temperature": 0.0}, "--temperature 0.0: choose a number above 0, at most 100."),
        ({"temperature": 100.1}, "--temperature 100.1: choose a number above 0, at most 100."),
        ({"temperature": float("nan")}, "--temperature nan: choose a number above 0, at most 100."),
        ({"top_k": -1}, "--top_k -1: choose 1 or more tokens, or 0 for all."),
        ({"top_p": 0.0}, "--top_p 0.0: choose a probability above 0, at most 1."),
        ({"top_p": 1.1}, "--top_p 1.1: choose a probability above 0, at most 1."),
        ({"seed": -1}, "--seed -1: choose a whole number from 0 to 2**63 - 1."),
        ({"seed": 2**63}, f"--seed {2**63}: choose a whole number from 0 to 2**63 - 1."),
        ({"max_length": -1}, "--max_length -1: choose 1 or more tokens, or 0 for the model's own limit."),
        ({"min_length": 0}, "--min_length 0: choose at least 1 word."),
        (
            {"min_length": 9, "max_length": 9},
            "--min_length 9: --max_length 9 leaves no room for this many words and the end token.",
        ),
        ({"no_repeat_ngram": -1}, "--no_repeat_ngram -1: choose a number of words, or 0 to allow repetition."),
        ({"label_bonus": -0.5}, "--label_bonus -0.5: choose a number from 0 to 100."),
        ({"label_bonus": 100.5}, "--label_bonus 100.5: choose a number from 0 to 100."),
        (
            {"beam_width": 3, "num_captions": 4},
            "--num_captions 4: beam decoding gives at most 3; widen the beam or sample.",
        ),
        (
            {"strategy": "greedy", "num_captions": 2},
            "--num_captions 2: greedy decoding gives at most 1; choose --decoding beam or sample.",
        ),
        (
            {"strategy": "sample", "top_k": 1, "num_captions": 2},
            "--num_captions 2: with --top_k 1 every sample is the same caption.",
        ),
        ({"top_k": 5}, f"--top_k 5: {ONLY_SAMPLE}"),
        ({"top_k": 1, "num_captions": 2}, f"--top_k 1: {ONLY_SAMPLE}"),
        ({"top_p": 0.9}, f"--top_p 0.9: {ONLY_SAMPLE}"),
        ({"strategy": "greedy", "temperature": 0.5}, f"--temperature 0.5: {ONLY_SAMPLE}"),
        ({"strategy": "greedy", "seed": 7}, f"--seed 7: {ONLY_SAMPLE}"),
        ({"strategy": "greedy", "beam_width": 5}, f"--beam_width 5: {ONLY_SAMPLE.replace('sample', 'beam')}"),
        ({"strategy": "sample", "length_penalty": 0}, f"--length_penalty 0: {ONLY_SAMPLE.replace('sample', 'beam')}"),
    ],
)
def test_nonsense_is_refused_by_name(options, sentence):
    with pytest.raises(ValueError, match=r"^--") as caught:
        Decoding(**options)
    assert str(caught.value) == sentence


@pytest.mark.parametrize(
    "options",
    [
        {"length_penalty": 0},
        {"length_penalty": 10},
        {"strategy": "sample", "temperature": 100},
        {"strategy": "sample", "temperature": 0.001},
        {"strategy": "sample", "top_p": 1},
        {"strategy": "sample", "top_p": 0.001},
        {"strategy": "sample", "seed": 0},
        {"strategy": "sample", "seed": 2**63 - 1},
        {"beam_width": 1},
        {"beam_width": 3, "num_captions": 3},
        {"max_length": 3, "min_length": 2},
        {"max_length": 0, "min_length": 99},
        {"no_repeat_ngram": 0},
        {"no_repeat_ngram": 1},
        {"label_bonus": 100},
        {"strategy": "sample", "num_captions": 99},
        {"strategy": "sample", "top_k": 1},
        {"strategy": "sample", "top_k": 2, "num_captions": 2},
        {"strategy": "greedy"},
        {"strategy": "greedy", "temperature": 1, "top_k": 0, "top_p": 1, "seed": 0, "beam_width": 3},  # the defaults
    ],
    ids=str,
)
def test_what_is_just_within_the_limits_is_taken(options):
    assert asdict(Decoding(**options)).items() >= options.items()


def read(*argv):
    parser = argparse.ArgumentParser()
    Decoding.add_arguments(parser)
    return Decoding.from_arguments(parser.parse_args(argv))


def test_each_option_has_its_field():
    assert read() == Decoding()
    given = {
        "strategy": "sample",
        "num_captions": 4,
        "temperature": 1.5,
        "top_k": 7,
        "top_p": 0.25,
        "seed": 8,
        "max_length": 9,
        "min_length": 3,
        "no_repeat_ngram": 5,
        "label_bonus": 1.25,
        "attention": True,
    }
    wide = {"strategy": "beam", "beam_width": 6, "length_penalty": 0.5}
    assert given.keys() | wide.keys() == asdict(Decoding()).keys()
    for fields in (given, wide):
        options = {"decoding" if name == "strategy" else name: value for name, value in fields.items()}
        argv = [part for name, value in options.items() for part in (f"--{name}", str(value)) if value is not True]
        assert read(*argv, *["--attention"] * ("attention" in fields)) == Decoding(**fields)
    with pytest.raises(ValueError, match=r"^--top_p 2.0: "):
        read("--top_p", "2")


def test_help_names_every_option_and_its_default(capsys):
    with pytest.raises(SystemExit):
        read("--help")
    shown = " ".join(capsys.readouterr().out.split())
    for name, default in asdict(Decoding()).items():
        assert f"--{'decoding' if name == 'strategy' else name}" in shown
        assert name == "attention" or f"(default: {default})." in shown
    with pytest.raises(SystemExit):
        read("--decoding", "best")


def test_how_wide_and_how_long_the_search_is():
    assert [Decoding(beam_width=6, num_captions=4).width, Decoding("sample", num_captions=4).width] == [6, 4]
    assert Decoding("greedy").width == 1
    assert [Decoding(max_length=length).longest(12) for length in (0, 2, 11, 12)] == [12, 2, 11, 12]
    assert Decoding(min_length=11).longest(12) == 12
    with pytest.raises(ValueError, match=r"^--max_length 13: the model supports at most 12 tokens\.$"):
        Decoding(max_length=13).longest(12)
    with pytest.raises(ValueError, match=r"^--min_length 12: captions have at most 12 tokens, including the end"):
        Decoding(min_length=12).longest(12)
