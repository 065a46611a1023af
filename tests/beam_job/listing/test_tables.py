"""Tables: every row is read or named as a bad one, whatever quotation marks stand in it."""

import csv
import io

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.listing import tables
from beam_job.listing.list_file import Line
from beam_job.listing.tables import BadRecord, Record, records

CHECKED = settings(max_examples=500)


def lines(text):
    position = 0
    for line in text.encode("utf-8", "surrogateescape").splitlines(keepends=True):
        yield Line(position, line)
        position += len(line)


def read(text, columns=("uri",), delimiter=","):
    return list(records(lines(text), delimiter, columns))


def test_the_line_with_a_stray_quote_is_bad_and_the_others_are_read():
    captions = ["a wall", '"so called wall', "a wall", 'a screen of 12"', "a wall"]
    found = read("uri,caption\n" + "".join(f"{number}.jpg,{caption}\n" for number, caption in enumerate(captions)))
    assert [record.line for record in found] == [2, 3, 4, 5, 6]
    assert found[1] == BadRecord(
        3,
        "the quotation mark that opens cell 2 is not closed properly: one of its lines looks like a row of its own.",
    )
    assert [record.cells for record in found if isinstance(record, Record)] == [[f"{n}.jpg"] for n in (0, 2, 3, 4)]


@pytest.mark.parametrize(
    ("rows", "bad", "message"),
    [
        ('a.jpg,x\nb.jpg,"red\n', 3, "opens cell 2 is not closed properly: the file ends"),
        ('a.jpg,x\n"b.jpg,red', 3, "opens cell 1"),
        ('a.jpg,"red" wall\nb.jpg,x\n', 2, "follows the one that closes it"),
        ('a.jpg,"red\nb" wall\n', 2, "follows the one that closes it"),
        ('a.jpg,"red\nwall",more\n', 2, "its row would not have as many cells as the header"),
        ("a.jpg,red, green\n", 2, "it has more cells than the header, which has 2"),
        ('a.jpg,"red\n' + "wall\n" * 1001 + '"\n', 2, "still open in line 1003"),
        ('a.jpg,"red\n' + "wall" * 300_000 + '"\n', 2, "still open in line 3"),
    ],
)
def test_bad_rows_say_what_is_wrong(rows, bad, message):
    found = {record.line: record for record in read(f"uri,caption\n{rows}")}
    assert isinstance(found[bad], BadRecord)
    assert message in found[bad].message
    assert len(found[bad].message) < 300


@pytest.mark.parametrize(
    ("text", "uris"),
    [
        ('caption,uri\n"so called,a.jpg\na 12",b.jpg\n', [None, "b.jpg"]),
        ('caption,uri\n"so, called,a.jpg\na 12",b.jpg\n', [None, "b.jpg"]),
        ('caption,uri\n"red\nwall",a.jpg\n', ["a.jpg"]),
        ('uri,caption\ns://h/1,"red\ns://h/2,wall"\n', [None, "s://h/2"]),
        ('uri,caption\ns://h/1,"red\nsee s://i/2, wall"\n', ["s://h/1"]),
        ('uri,caption\n/d/1,"red\n/d/2,wall"\n', [None, "/d/2"]),
        ('uri,caption\n17,"red\n18,wall"\n', [None, "18"]),
        ('uri,caption\na.xy,"red\nb.XY,wall"\n', [None, "b.XY"]),
        ('uri,caption\n3f9a,"red\n77cb,wall"\n', [None, "77cb"]),
        ('caption,uri\nx,01ab\n"red,3f9a\nwall",77cb\n', ["01ab", None, "77cb"]),
        ('uri,caption\n3f9a,"red\nwall, 2019\n2020"\n', ["3f9a"]),
        ('uri,caption\na.x,"red\nb.JPEG, a wall, x"\n', [None, None]),
        ('a,uri\n1,x.jpg\n2,"y.jpg\n3,z.jpg\n', ["x.jpg", None, "z.jpg"]),
        ('uri\n"a.jpg\nb.jpg\nc.jpg"\n', [None, "b.jpg", 'c.jpg"']),
        ('uri,caption\na.jpg,"two\nlines, and a comma"  \nb.jpg,"1""\n2"', ["a.jpg", "b.jpg"]),
    ],
)
def test_rows_that_a_cell_of_several_lines_would_swallow(text, uris):
    found = read(text)
    assert [record.cells[0] if isinstance(record, Record) else None for record in found] == uris


@pytest.mark.parametrize(
    ("header", "message"),
    [
        ("url,caption", "there is no column 'uri'; the columns are ['url', 'caption']"),
        ("uri,uri", "there are several columns 'uri'"),
        ('uri,"caption', "opens cell 2 is not closed"),
        ("," * 100_000, "there is no column 'uri'"),
        ("x" * 1_100_000, "longer than 1,048,576 bytes"),
    ],
)
def test_a_wrong_header_is_said_once(header, message):
    (bad,) = records(
        (line if len(line.data) <= 1 << 20 else Line(line.position, None) for line in lines(f"{header}\n1\n\n2\n3\n")),
        ",",
        ["uri"],
    )
    assert message in bad.message
    assert len(bad.message) < 300
    assert [text.strip() for _, text in bad.below] == ["1", "", "2", "3"]


def test_blank_lines_are_no_rows():
    assert read("\r\n  \nuri\n\n \na\n\n") == [Record(6, ["a"])]
    assert read("") == []


def test_a_table_of_stray_quotes_is_not_read_again_and_again(monkeypatch):
    """Each of its lines leaves a cell open, whether one was open before it or not."""
    taken = []
    real = tables._Lines.__next__
    monkeypatch.setattr(tables._Lines, "__next__", lambda self: taken.append(None) or real(self))
    found = read("uri" + "," * 5000 + "\n" + '5",,"\n' * 10_000)
    assert [record.line for record in found] == list(range(2, 10_002))
    assert len(taken) < 13 * 10_000


NAIVE = st.lists(st.text('", ab', max_size=8), min_size=1, max_size=8)


@CHECKED
@given(NAIVE, st.booleans(), st.sampled_from(["\n", "\r\n", "\r"]))
def test_tables_whose_writer_knew_nothing_of_quotes(captions, uri_first, end):
    """Each row is read with its own URI, or named."""
    rows = [(f"{number}.jpg", caption) for number, caption in enumerate(captions)]
    text = end.join(",".join(row if uri_first else row[::-1]) for row in [("uri", "caption"), *rows])
    found = read(text)
    assert [record.line for record in found] == list(range(2, len(rows) + 2))
    for record in found:
        if isinstance(record, Record):
            assert record.cells[0].strip('"') == f"{record.line - 2}.jpg"


@CHECKED
@given(
    st.lists(st.tuples(st.text('"\n\r, ab', max_size=9), st.text('"\n\r,\tä', max_size=5)), max_size=8),
    st.permutations(["uri", "caption", "title"]),
    st.sampled_from([",", "\t"]),
    # Of line ends, Python's writer quotes only those that it writes itself.
    st.sampled_from([("\n", csv.QUOTE_ALL), ("\r\n", csv.QUOTE_MINIMAL), ("\r", csv.QUOTE_NONNUMERIC)]),
)
def test_tables_whose_writer_knew(cells, order, delimiter, style):
    """Whatever cells hold, all rows are read as they were written."""
    end, quoting = style
    rows = [{"uri": f"{number}.jpg", "caption": a, "title": b} for number, (a, b) in enumerate(cells)]
    written = io.StringIO(newline="")
    writer = csv.DictWriter(written, order, delimiter=delimiter, lineterminator=end, quoting=quoting)
    writer.writeheader()
    writer.writerows(rows)
    columns = ["uri", "caption", "title"]
    found = read(written.getvalue(), columns, delimiter)
    assert [record.cells for record in found] == [[row[column] for column in columns] for row in rows]


@CHECKED
@given(st.lists(st.sampled_from(['"', '"', ",", "\n", "\r\n", "\r", "a.jpg", "b", "\udcff"]), max_size=40))
def test_no_line_is_lost(parts):
    """Each line that is not blank is a row, a bad one, or within a cell that Python's own strict reader finds, too."""
    text = "".join(["uri,caption\n", *parts])
    physical = text.encode("utf-8", "surrogateescape").splitlines(keepends=True)
    numbers = [number for number, line in enumerate(physical, 1) if line.strip(b" \r\n") and number > 1]
    found = read(text, ["uri", "caption"])
    starts = [record.line for record in found]
    assert starts == sorted(set(starts))
    assert set(starts) <= set(numbers)
    for record, following in zip(found, [*starts, len(physical) + 1][1:], strict=True):
        within = [number for number in numbers if record.line < number < following]
        if within:
            assert isinstance(record, Record)
            last = next(n for n in range(record.line + 1, following + 1) if n >= within[-1])
            joined = b"".join(physical[record.line - 1 : last]).decode("utf-8", "surrogateescape")
            assert list(csv.reader(io.StringIO(joined, newline=""), strict=True)) == [record.cells]
            assert not any(line.startswith(b"a.jpg") for line in physical[record.line : last])
    if numbers:
        assert starts[0] == numbers[0]
