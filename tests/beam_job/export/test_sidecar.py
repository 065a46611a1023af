"""Sidecars keep what is in them, byte for byte, and give back what was written."""

import random
import re
import shutil
import subprocess
from dataclasses import replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from beam_job.export.xmp.description import NAMES, Description
from beam_job.export.xmp.packet import PacketError, parse
from beam_job.export.xmp.sidecar import KEPT, UNCHANGED, WRITTEN, put, take_back
from tests.beam_job.export.sidecars import DARKTABLE, HOSTILE, WITH_DESCRIPTION, WITHOUT_DESCRIPTION

DOG = Description("A dog <runs> & “jumps”.", "beam-captioner, model 0123")
CAT = Description("A cat.", "beam-captioner, model 4567", ("pets", "home"))


def texts(data, name="description"):
    return [text for found in parse(data).properties(NAMES[name]) for _, text in found.values if text.strip()]


@pytest.mark.parametrize("before", WITHOUT_DESCRIPTION.values(), ids=WITHOUT_DESCRIPTION)
def test_a_description_is_added_replaced_and_taken_back_byte_for_byte(before):
    what, first = put(before, DOG)
    assert what == WRITTEN
    assert texts(first) == texts(first, "alt_text") == [DOG.caption]
    assert texts(first, "writer") == [DOG.writer]
    assert put(first, DOG) == (UNCHANGED, first)
    what, second = put(first, CAT)
    assert (what, texts(second)) == (WRITTEN, [CAT.caption])
    assert texts(second, "keywords") == (texts(before, "keywords") or list(CAT.keywords))
    assert put(second, DOG) == (WRITTEN, first)
    assert take_back(first) == take_back(second) == take_back(before) == before


def test_a_sidecar_that_was_made_here_goes_again():
    what, made = put(None, DOG)
    assert what == WRITTEN
    assert put(made, DOG) == (UNCHANGED, made)
    assert put(made, CAT)[1] == put(None, CAT)[1]
    assert take_back(made) is None


@pytest.mark.parametrize("before", WITH_DESCRIPTION.values(), ids=WITH_DESCRIPTION)
def test_somebody_elses_description_stays_unless_it_is_told_to_go(before):
    assert put(before, DOG) == (KEPT, before)
    what, after = put(before, DOG, overwrite=True)
    assert (what, texts(after)) == (WRITTEN, [DOG.caption])
    assert put(after, DOG) == put(after, DOG, overwrite=True) == (UNCHANGED, after)
    assert put(after, CAT) == put(before, CAT, overwrite=True), "what gave way once gives way to a newer text"
    assert take_back(after) == before


@pytest.mark.parametrize("before", [None, *WITHOUT_DESCRIPTION.values()], ids=["none", *WITHOUT_DESCRIPTION])
def test_an_edit_of_what_was_written_is_theirs(before):
    encoding = parse(before).encode if before else bytes
    ours = parse(put(before, DOG)[1]).data
    edited = encoding(ours.replace(b'<rdf:li xml:lang="x-default">A dog', b'<rdf:li xml:lang="x-default">Rex', 1))
    assert put(edited, DOG) == put(edited, CAT) == (KEPT, edited)
    left = take_back(edited)
    assert texts(left)[0].startswith("Rex")
    assert not texts(left, "alt_text") + texts(left, "writer")
    what, after = put(edited, CAT, overwrite=True)
    assert (what, texts(after)) == (WRITTEN, ["A cat."])
    assert take_back(after) == left


def test_a_description_that_was_deleted_stays_deleted():
    ours = put(DARKTABLE.encode(), DOG)[1]
    deleted = re.sub(rb"<dc:description>.*</dc:description>", b"", ours, flags=re.DOTALL)
    assert put(deleted, CAT) == (KEPT, deleted)
    assert texts(put(deleted, CAT, overwrite=True)[1]) == ["A cat."]


@pytest.mark.parametrize(
    "before", [None, *(data for data in WITHOUT_DESCRIPTION.values() if not texts(data, "keywords"))]
)
@pytest.mark.parametrize("left", [b"", b"<dc:subject><rdf:Bag/></dc:subject>"], ids=["none", "an empty list"])
def test_keywords_that_were_deleted_stay_deleted(before, left):
    ours = put(before, CAT)[1]
    packet = parse(ours)
    (found,) = packet.properties(NAMES["keywords"])
    deleted = packet.edited([(found.start, found.end, left)])
    newer = replace(CAT, caption="Two cats.", keywords=("pets", "Egyptian cat"))
    without = deleted
    for wanted in (CAT, CAT, newer, replace(newer, keywords=()), newer):
        without = put(without, wanted, overwrite=wanted is newer)[1]
        assert texts(without) == [wanted.caption]
        assert not texts(without, "keywords")
        assert put(without, wanted) == (UNCHANGED, without)
    assert take_back(without) == take_back(deleted)


def test_properties_that_others_have_set_stay():
    alt = '<Iptc4xmpCore:AltTextAccessibility xmlns:Iptc4xmpCore="http://iptc.org/std/Iptc4xmpCore/1.0/xmlns/">Mine'
    before = DARKTABLE.replace("   <dc:subject>", f"{alt}</Iptc4xmpCore:AltTextAccessibility><dc:subject>").encode()
    _, after = put(before, CAT)
    assert texts(after, "alt_text") == ["Mine"]
    assert texts(after, "keywords") == ["holiday"]
    assert put(after, CAT) == (UNCHANGED, after)
    assert take_back(after) == before


def test_what_others_add_to_a_sidecar_made_here_stays():
    made = put(None, DOG)[1]
    rating = b' xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmp:Rating="5"'
    rated = made.replace(b"<rdf:Description", b"<rdf:Description" + rating)
    assert put(rated, DOG) == (UNCHANGED, rated)
    left = take_back(rated)
    assert [found.values for found in parse(left).properties()] == [(("", "5"),)]


@pytest.mark.parametrize(("data", "code"), HOSTILE.values(), ids=HOSTILE)
def test_what_is_no_sidecar_is_refused(data, code):
    for action in (lambda: put(data, DOG), lambda: put(data, DOG, overwrite=True), lambda: take_back(data)):
        with pytest.raises(PacketError) as caught:
            action()
        assert caught.value.code == code
        assert len(str(caught.value)) < 300


@given(st.text(st.characters(codec="utf-8")), st.lists(st.text(min_size=1), max_size=3), st.booleans())
@example("\r\n\t ]]> --> ?> \" ' \x00\x0b\ufffe \U0001f415", ["<", "&amp;"], True)
def test_any_text_comes_back(caption, keywords, overwrite):
    description = Description(caption, "w", tuple(keywords))
    for before in (None, WITHOUT_DESCRIPTION["latin-1"], *WITH_DESCRIPTION.values()):
        what, after = put(before, description, overwrite=True)
        assert what == WRITTEN
        assert take_back(after) == before
        values = [found.values for found in parse(after).properties(NAMES["description"])]
        assert values == [description.values()["description"]]
        assert put(after, description, overwrite=overwrite) == (UNCHANGED, after)


SOURCES = [*WITHOUT_DESCRIPTION.values(), *WITH_DESCRIPTION.values(), put(None, DOG)[1]]
SOURCES += [put(data, CAT, overwrite=True)[1] for data in list(SOURCES)]
PIECES = [b"<", b">", b"/>", b"</rdf:RDF>", b"<rdf:Description/>", b"&", b'"', b"'", b"\0", b"<!--", b"]]>"]
PIECES += [b"xmlns:dc='urn:x'", b"<!DOCTYPE x>", b"captioner:wrote", b"was_description", b"<![CDATA["]
PIECES += [b"<dc:description>x</dc:description>", b"<rdf:RDF>", b"<x:x/>", b"ZGM6"]


@given(st.sampled_from(SOURCES), st.integers(0, 2**32), st.integers(1, 4), st.booleans())
def test_damaged_sidecars_are_refused_or_come_back(data, seed, number, overwrite):
    rng = random.Random(seed)
    for _ in range(number):
        start = rng.randrange(len(data) + 1)
        end = min(start + rng.choice([0, 0, 1, 2, 30, 300]), len(data))
        data = data[:start] + rng.choice([b"", bytes([rng.randrange(256)]), *PIECES]) + data[end:]
    try:
        what, after = put(data, DOG, overwrite=overwrite)
        without = take_back(data)
    except PacketError:
        return
    if what == WRITTEN:
        assert take_back(after) == without, "what was there before is there again"
        assert put(after, DOG) == (UNCHANGED, after)
    else:
        assert after == data


@pytest.mark.skipif(not shutil.which("exiftool") or not shutil.which("exiv2"), reason="needs ExifTool and exiv2")
@pytest.mark.parametrize("rewrite", ["exiftool", "exiv2"])
def test_another_program_may_write_the_sidecar_anew(tmp_path, rewrite):
    path = tmp_path / "a.xmp"
    path.write_bytes(put(DARKTABLE.encode(), DOG)[1])
    if rewrite == "exiftool":
        subprocess.run(["exiftool", "-q", "-overwrite_original", "-XMP-xmp:Label=red", path], check=True)
    else:
        subprocess.run(["exiv2", "-M", "set Xmp.xmp.Label red", path], check=True)
    anew = path.read_bytes()
    assert b"captioner" in anew
    assert put(anew, DOG) == (UNCHANGED, anew)
    assert texts(put(anew, CAT)[1]) == ["A cat."]
    left = take_back(anew)
    assert not texts(left)
    assert "urn:beam-captioner" not in {found.name.split("#")[0] for found in parse(left).properties()}
    assert ("http://ns.adobe.com/xap/1.0/ Label", "red") in {
        (found.name, found.values[0][1]) for found in parse(left).properties() if found.values
    }
