"""The language of globs, against what bash and regular expressions make of the same texts."""

import itertools
import re
import subprocess

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from beam_job.listing.patterns import Patterns, parse_name, parse_object, parse_path

NAMES = ["/".join(parts) for depth in (1, 2, 3) for parts in itertools.product(["a", "b", "ab", "a.jpg"], repeat=depth)]


def matched(glob, names):
    patterns = Patterns(parse_object(glob))
    found = []
    for name in names:
        *folders, file = name.split("/")
        states = patterns.start
        for folder in folders:
            states = patterns.folder(states, folder)
        if patterns.file(states, file):
            found.append(name)
    return found


@pytest.mark.parametrize(
    ("glob", "found"),
    [
        ("**/*.jpg", ["x.jpg", "p/x.jpg", "p/q/x.jpg"]),
        ("**.jpg", ["x.jpg", "p/x.jpg", "p/q/x.jpg"]),
        ("p/**.jpg", ["p/x.jpg", "p/q/x.jpg"]),
        ("p/**/x.jpg", ["p/x.jpg", "p/q/x.jpg"]),
        ("p/**", ["p/x.jpg", "p/q/x.jpg", "p/y.JPG"]),
        ("**/q/**/*.jpg", ["p/q/x.jpg"]),
        ("p**x.jpg", ["p/x.jpg", "p/q/x.jpg"]),
        ("*/*.{jpg,JPG}", ["p/x.jpg", "p/y.JPG"]),
        ("p/[!x].JPG", ["p/y.JPG"]),
        ("p/[^x].JPG", ["p/y.JPG"]),
        ("p/[x-z].*", ["p/x.jpg", "p/y.JPG"]),
        ("[p", ["[p"]),
        ("a\\b", ["a\\b"]),
        ("a?b", ["a\\b"]),
    ],
)
def test_what_globs_name(glob, found):
    names = ["x.jpg", "p/x.jpg", "p/q/x.jpg", "p/y.JPG", "[p", "a\\b"]
    assert sorted(matched(glob, names)) == sorted(found)


TOKENS = {"a": "a", "b": "b", ".jpg": r"\.jpg", "/": "/", "*": "[^/]*", "**": ".*", "?": "[^/]", "[ab]": "[ab]"}


@settings(max_examples=300)
@given(st.lists(st.sampled_from(sorted(TOKENS)), min_size=1, max_size=7))
def test_two_stars_cross_folders_wherever_they_stand(tokens):
    glob = "".join(tokens)
    assume(not any({one, two} <= {"*", "**"} for one, two in itertools.pairwise(tokens)))
    assume("**" not in glob.split("/")[:-1])  # as a whole name it also stands for no folder
    wanted = re.compile("".join(TOKENS[token] for token in tokens))
    assert matched(glob, NAMES) == [name for name in NAMES if wanted.fullmatch(name)]


@settings(max_examples=100)
@given(st.text("ab{},", max_size=12))
def test_braces_stand_for_what_bash_makes_of_them(text):
    text = f"x{text}x"
    asked = subprocess.run(["bash", "-fc", f"printf '%s\\n' {text}"], capture_output=True, text=True, check=True)
    assert [segment.text for segment in parse_name(text)] == asked.stdout.splitlines()


@pytest.mark.parametrize("glob", ["{a,b}" * 30, "{" * 50 + ",}" * 50 + "{a,b}" * 12, "a**b" * 12])
def test_a_glob_does_not_stand_for_too_many_patterns(glob):
    for parse in (parse_object, parse_path, parse_name):
        if parse is not parse_name or "{" in glob:
            with pytest.raises(ValueError, match="expands to more than 1,000 patterns"):
                parse(glob)


def test_each_path_has_one_of_the_prefixes():
    def prefixes(glob):
        return [f"{prefix}!" if is_whole else prefix for prefix, is_whole in Patterns(parse_object(glob)).prefixes()]

    assert prefixes("2019/*.jpg") == ["2019/"]
    assert prefixes("{2019,2019/raw,2020}/a[bc]*.jpg") == ["2019/a", "2019/raw/a", "2020/a"]
    assert prefixes("{2019/**,2019/raw/*,z,z}") == ["2019/", "z!"]
    assert prefixes("{a,**/b}") == [""]
    assert prefixes("{a,ab,a/x,a/*,b*,b,b/c}") == ["a!", "a/", "ab!", "b"]
