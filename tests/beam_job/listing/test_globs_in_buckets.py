"""Globs over buckets name what they name on disks, page by page; buckets that cannot be listed."""

import json
import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar
from urllib.parse import parse_qs, urlsplit

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from beam_job.listing.bucket import ListingError
from beam_job.listing.check_globs import check_images
from beam_job.listing.globs import LeftOut, matches
from beam_job.listing.left_out import LeaveOut
from beam_job.listing.lists import check_list
from beam_job.listing.rows import Fields
from tests.storage import Storage

NAMES = ["a", "b", "ab", ".h", ".h.jpg", "x.jpg", "y.png", "c[d"]
SEGMENTS = ["*", "**", "?", "a*", "*.jpg", "[ab]", "[!a]*", ".*", ".h", "a", "x.jpg", "c[d", "*b", "[a-b]?"]


class Bucket(BaseHTTPRequestHandler):
    """Lists the objects of ``names``, two at a time."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    names = ()
    sizes: ClassVar = {}
    pages = 0

    def do_GET(self):
        type(self).pages += 1
        query = parse_qs(urlsplit(self.path).query)
        named = sorted(name for name in self.names if name.startswith(query.get("prefix", [""])[0]))
        begin = int(query.get("pageToken", ["0"])[0])
        page = {"items": [{"name": name, "size": str(self.sizes.get(name, 1))} for name in named[begin : begin + 2]]}
        if begin + 2 < len(named):
            page["nextPageToken"] = str(begin + 2)
        body = json.dumps(page).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *_):
        pass


@pytest.fixture(scope="module")
def bucket():
    handler = type("Handler", (Bucket,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("STORAGE_EMULATOR_HOST", f"http://127.0.0.1:{server.server_address[1]}")
        yield handler
    server.shutdown()
    server.server_close()


ALSO = ["@eaDir", "Thumbs.db", "run=1", "[ab]", "é.jpg"]
WILD = ["a**", "**.jpg", "**b", "{a,b}", "*.{jpg,png}", "@*", "run=*", "{,.}*"]


@settings(max_examples=150)
@given(st.sets(st.lists(st.sampled_from(NAMES + ALSO), min_size=1, max_size=4).map(tuple), max_size=12), st.data())
def test_a_bucket_gives_what_a_disk_gives(tmp_path_factory, bucket, paths, data):
    glob = "/".join(data.draw(st.lists(st.sampled_from(SEGMENTS + WILD + ALSO), min_size=1, max_size=4)))
    paths_too = [["ROOT/a/*"], ["ROOT/[ab]", "ROOT/b/[ab]"], ["ROOT/{a,b}/**.jpg"]]
    exclude = data.draw(st.sampled_from([[], ["a"], ["*b", "x.*"], ["**/a/x.jpg", "Thumbs.db/"], *paths_too]))
    output = data.draw(st.sampled_from([None, "a", "a/b", ""]))
    folder = tmp_path_factory.mktemp("tree")
    files = [path for path in paths if not any(other != path and other[: len(path)] == path for other in paths)]
    for path in files:
        Path(folder, *path[:-1]).mkdir(parents=True, exist_ok=True)
        Path(folder, *path).touch()
    bucket.names = ["/".join(path) for path in files]

    def listed(root):
        patterns = [pattern.replace("ROOT", root) for pattern in exclude]
        leave_out = LeaveOut(patterns, data.draw(hidden), None if output is None else f"{root}/{output}")
        return sorted(
            (type(match).__name__, (match if isinstance(match, str) else match.path).removeprefix(root))
            for match in matches(f"{root}/{glob}", leave_out)
        )

    hidden = st.just(data.draw(st.booleans()))
    assert listed("gs://photos") == listed(str(folder))


def test_a_bucket_is_listed_page_by_page(bucket):
    bucket.names = [f"a/{number:02}.jpg" for number in range(19)] + ["b/1.jpg"]
    bucket.pages = 0
    assert list(matches("gs://photos/a/*.jpg")) == [f"gs://photos/{name}" for name in bucket.names[:19]]
    assert bucket.pages == 10
    bucket.pages = 0
    assert check_images(["gs://photos/a/*"]) == []
    assert bucket.pages == 1  # the first image says enough
    bucket.pages = 0
    assert len(list(matches("gs://photos/{a/0*,b/*}"))) == 11
    assert bucket.pages == 7  # one of them to see whether a folder is called "{a"


@pytest.mark.parametrize(
    ("glob", "missing"),
    [
        ("a/b/*.png", ""),
        ("a/bc/*.png", "a/bc"),
        ("c/d/*.jpg", "c"),
        ("c.jpg", "c.jpg"),
        ("a/b/x.jpg/*", ""),
        ("*.jpg", ""),
    ],
)
def test_the_folder_that_a_bucket_lacks_is_named(bucket, glob, missing):
    bucket.names = ["a/b/x.jpg", "b.jpg.png"]
    told = f"; gs://photos/{missing} does not exist." if missing else "."
    with pytest.raises(ValueError, match=rf"{re.escape(glob)}: no image matches{re.escape(told)}$"):
        check_images([f"gs://photos/{glob}"])


def test_a_name_without_wildcards_needs_no_list_of_a_bucket(bucket):
    bucket.names = ["p.jpg", "p/", *(f"p/{number:02}.jpg" for number in range(19)), "p2.jpg"]

    def pages(look, *globs):
        bucket.pages = 0
        look(*globs)
        return bucket.pages

    def refused(glob):
        with pytest.raises(ValueError, match=r"is a folder; write 'gs://photos/.*\*\.jpg'"):
            check_images([glob])

    for glob, most in {"gs://photos": 1, "gs://photos/": 0, "gs://photos/p": 2, "gs://photos/p/": 1}.items():
        assert pages(refused, glob) == most, glob
    assert pages(refused, "gs://photos/*/") == 0
    assert list(matches("gs://photos/p.jpg")) == ["gs://photos/p.jpg"]
    assert list(matches("gs://photos/p/0{3,2}.jpg")) == ["gs://photos/p/02.jpg", "gs://photos/p/03.jpg"]
    assert list(matches("gs://photos/{p,p.jpg,p/*8.jpg,p/18.jpg}")) == [
        f"gs://photos/{name}" for name in ("p.jpg", "p/08.jpg", "p/18.jpg")
    ]
    with pytest.raises(ValueError, match="there is no such file"):
        check_list("gs://photos", Fields(), {})
    assert pages(list, matches("gs://photos/p")) == 1


def test_excluded_paths_in_a_bucket_may_hold_the_characters_of_globs(bucket):
    bucket.names = ["Album [2019]/private/a.jpg", "Album [2019]/b.jpg", "Album 2/private/c.jpg", "a[1].jpg", "a1.jpg"]
    exclude = ["gs://photos/Album [2019]/private", "gs://photos/a[1].jpg"]
    images = [found for found in matches("gs://photos/**.jpg", LeaveOut(exclude)) if isinstance(found, str)]
    assert images == [f"gs://photos/{name}" for name in ("Album 2/private/c.jpg", "Album [2019]/b.jpg", "a1.jpg")]


def test_placeholders_of_folders_in_a_bucket(bucket, monkeypatch):
    empty = ["p/", "p/a/", "p/a/b/", "p/a_$folder$", "p/empty.jpg"]
    bucket.names = [*empty, "p/x.jpg", "p/a/full/", "p/full_$folder$", "p/a/y.jpg", "/rooted.jpg", "p//double.jpg"]
    monkeypatch.setattr(bucket, "sizes", dict.fromkeys(empty, 0))
    left_out = [match.path for match in matches("gs://photos/p/**") if isinstance(match, LeftOut)]
    assert left_out == [f"gs://photos/{name}" for name in empty[:-1]]
    images = [match for match in matches("gs://photos/p/**") if isinstance(match, str)]
    assert images == sorted(f"gs://photos/{name}" for name in bucket.names[4:] if name.startswith("p/"))
    assert list(matches("gs://photos/p/*.jpg")) == ["gs://photos/p/empty.jpg", "gs://photos/p/x.jpg"]
    assert list(matches("gs://photos//*.jpg")) == ["gs://photos//rooted.jpg"]


def test_buckets_that_cannot_be_listed():
    with Storage() as storage:
        storage.bucket("photos")
        storage.put("photos", "p/a.jpg", b"x")
        for status, message in {
            404: "There is no bucket photos.",
            403: "No permission to list the bucket photos. This account lacks permission to read it (HTTP 403).",
            400: "The bucket photos: The server refuses the request (HTTP 400).",
        }.items():
            storage.faults["photos/"] = [*[None] * storage.requests["photos/"], status, status]
            with pytest.raises(
                ValueError, match=rf"^--images gs://photos/\*\.jpg: cannot be listed: {re.escape(message)}$"
            ):
                check_images(["gs://photos/*.jpg", "gs://photos/p/*"])
            with pytest.raises(ListingError):
                list(matches("gs://photos/*.jpg"))
        with pytest.raises(ValueError, match="There is no bucket no-such-bucket"):  # what the emulator itself says
            check_images(["gs://no-such-bucket/*.jpg"])
        for glob in ("gs://photos/p", "gs://photos/p/"):
            with pytest.raises(
                ValueError, match=r"is a folder; write 'gs://photos/p/\*.jpg', or 'gs://photos/p/\*\*.jpg'"
            ):
                check_images([glob])
        with pytest.raises(ValueError, match=r"write 'gs://photos/\*.jpg'"):
            check_images(["gs://photos"])
