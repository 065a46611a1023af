"""A bucket with a simulated archive, gs://archive, in a process of its own; all other buckets are an emulator's.

    with bucket(seeds, faults, count=1_000_000) as served:     # STORAGE_EMULATOR_HOST is set
        served.counts()      # requests and bytes since the start

Objects of the archive are made when they are asked for, and listed in pages like those of Cloud Storage.
"""

import argparse
import base64
import json
import threading
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import overload
from urllib.parse import parse_qs, unquote, urlsplit
from urllib.request import Request, urlopen

import google_crc32c
from apache_beam.internal.gcp import auth

from benchmarks.archive.simulated.photos import MISSING, UNAVAILABLE, Faults, Seeds, name_of
from benchmarks.inputs.storage import serving

HOST = "127.0.0.1"
NAME = "archive"
OUTPUT = "output"
"""A bucket for what the job writes."""

_GENERATION = "1700000000000000"
_PAGE = 1000  # objects, where a listing does not say how many


@dataclass(frozen=True)
class Served:
    """The bucket that is served at ``address``."""

    address: str

    def counts(self) -> dict[str, int]:
        """Requests by kind, and the bytes of all answers."""
        with urlopen(f"{self.address}/counts") as answer:
            counts: dict[str, int] = json.load(answer)
        return counts

    def reads(self) -> dict[str, int]:
        """How often each object in ``OUTPUT`` was read, by its name."""
        with urlopen(f"{self.address}/reads") as answer:
            reads: dict[str, int] = json.load(answer)
        return reads

    def resize(self, count: int) -> None:
        """Makes the archive as large as that."""
        urlopen(Request(f"{self.address}/count", str(count).encode(), method="POST")).close()


@contextmanager
def bucket(seeds: Path, faults: Faults, count: int) -> Iterator[Served]:
    """Serves an archive of ``count`` photos, made of the files in ``seeds``."""
    with serving("benchmarks.archive.simulated.bucket", str(seeds), json.dumps(asdict(faults)), str(count)) as address:
        auth._Credentials._credentials_init = True  # noqa: SLF001 # Beam would look for credentials for 20 s
        yield Served(address)


class _Names(Sequence[str]):
    """The names of an archive in order, none of them in memory."""

    def __init__(self, count: int) -> None:
        self._count = count

    def __len__(self) -> int:
        return self._count

    @overload
    def __getitem__(self, number: int) -> str: ...
    @overload
    def __getitem__(self, number: slice) -> Sequence[str]: ...
    def __getitem__(self, number: int | slice) -> str | Sequence[str]:
        if isinstance(number, slice):
            return [name_of(each) for each in range(*number.indices(self._count))]
        return name_of(number)


class _Archive:
    """What is in the bucket, and what was asked of it."""

    def __init__(self, seeds: Seeds, faults: Faults, count: int) -> None:
        self.count = count
        self.counts: Counter[str] = Counter()
        self.reads: Counter[str] = Counter()
        self.lock = threading.Lock()
        self._seeds = seeds
        self._faults = faults
        self._bytes: dict[Path, tuple[bytes, str]] = {}
        for path in (*seeds.whole, *seeds.broken):
            data = path.read_bytes()
            digest = base64.b64encode(google_crc32c.Checksum(data).digest()).decode()
            self._bytes[path] = (data, digest)
        self._refused: set[int] = set()

    def page(self, query: dict[str, list[str]]) -> dict[str, object]:
        prefix = query.get("prefix", [""])[0]
        most = int(query.get("maxResults", [str(_PAGE)])[0])
        names = _Names(self.count)
        first = int(query.get("pageToken", ["0"])[0]) or bisect_left(names, prefix)
        last = bisect_left(names, f"{prefix}\U0010ffff")
        items: list[dict[str, str]] = []
        number = first
        while number < last and len(items) < most:
            path = self._seeds.of(number, self._faults)
            if path is not None:
                size = len(self._bytes[path][0])
                items.append({"name": name_of(number), "size": str(size), "generation": _GENERATION})
            number += 1
        more = {"nextPageToken": str(number)} if number < last else {}
        return {"kind": "storage#objects", "items": items, **more}

    def read(self, name: str) -> tuple[bytes, str] | int:
        """An object's bytes and their digest, or the status of an error."""
        number = int(name.rpartition("/")[2].removesuffix(".jpg"))
        fault = self._faults.of(number)
        if fault == MISSING or number >= self.count:
            return 404
        if fault == UNAVAILABLE and number not in self._refused:
            self._refused.add(number)
            return 503
        path = self._seeds.of(number, self._faults)
        assert path is not None
        return self._bytes[path]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the client to acknowledge its header
    archive: _Archive
    emulator: int

    def _serve(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        path = urlsplit(self.path).path
        if path == "/counts":
            self._answer("", 200, json.dumps(self.archive.counts).encode())
        elif path == "/reads":
            self._answer("", 200, json.dumps(self.archive.reads).encode())
        elif path == "/count":
            self.archive.count = int(body)
            self._answer("", 200, b"")
        elif f"/b/{NAME}/o" in path:
            self._serve_archive(path)
        else:
            self._forward(body)

    def _serve_archive(self, path: str) -> None:
        query = parse_qs(urlsplit(self.path).query)
        name = unquote(path.partition(f"/b/{NAME}/o")[2].removeprefix("/"))
        if not name:
            self._answer("listings", 200, json.dumps(self.archive.page(query)).encode())
        elif "media" not in query.get("alt", []):
            self._answer("metadata", 200, json.dumps({"name": name, "generation": _GENERATION}).encode())
        elif isinstance(found := self.archive.read(name), int):
            self._answer("photos", found, b"")
        else:
            headers = [("X-Goog-Generation", _GENERATION), ("x-goog-hash", f"crc32c={found[1]}")]
            self._answer("photos", 200, found[0], headers)

    def _forward(self, body: bytes) -> None:
        """Another bucket: the emulator's."""
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        connection = HTTPConnection(HOST, self.emulator)
        try:
            connection.request(self.command, self.path, body, headers)
            response = connection.getresponse()
            data = response.read()
        finally:
            connection.close()
        is_read = self.command == "GET" and "alt=media" in self.path
        if is_read and self.headers.get("Range", "bytes=0-").startswith("bytes=0-"):  # not where it is read on
            with self.archive.lock:
                self.archive.reads[unquote(urlsplit(self.path).path.rpartition("/o/")[2])] += 1
        kept = ("x-goog-hash", "content-type", "location")
        headers_back = [(name, value) for name, value in response.getheaders() if name.lower() in kept]
        self._answer(f"output: {self.command}", response.status, data, headers_back)

    def _answer(self, kind: str, status: int, data: bytes, headers: Sequence[tuple[str, str]] = ()) -> None:
        if kind:
            with self.archive.lock:
                self.archive.counts.update({kind: 1, "bytes": len(data)})
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815

    def log_message(self, *_: object) -> None:
        pass


def main() -> None:
    """The process that serves: prints its address when it is ready."""
    from gcp_storage_emulator.server import create_server

    parser = argparse.ArgumentParser()
    parser.add_argument("seeds", type=Path)
    parser.add_argument("faults", type=json.loads)
    parser.add_argument("count", type=int)
    options = parser.parse_args()
    emulator = create_server(HOST, 0, in_memory=True, default_bucket=OUTPUT)
    emulator.start()
    handler = type(
        "Handler",
        (_Handler,),
        {
            "archive": _Archive(Seeds.read(options.seeds), Faults(**options.faults), options.count),
            "emulator": emulator._api._httpd.server_address[1],  # noqa: SLF001
        },
    )
    server = ThreadingHTTPServer((HOST, 0), handler)
    server.daemon_threads = True
    print(f"http://{HOST}:{server.server_address[1]}", flush=True)
    server.serve_forever()


if __name__ == "__main__":
    main()
