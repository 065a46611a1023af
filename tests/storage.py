"""A Cloud Storage of the tests' own: the emulator over HTTP, behind a proxy that can fail like the real one.

with Storage() as storage:             # STORAGE_EMULATOR_HOST points at it
    storage.put("photos", "cat.jpg", data)
    storage.faults["cat.jpg"] = [503, "reset"]   # for the first requests; None would be a good answer
    ...
    storage.requests["cat.jpg"]        # how often it was asked for; "photos/" stands for a bucket's listing
"""

import json
import os
import re
import socket
import struct
import threading
import time
from collections import Counter
from contextlib import nullcontext, suppress
from http.client import HTTPConnection
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, quote, unquote, urlsplit

from apache_beam.internal.gcp import auth
from gcp_storage_emulator.server import create_server

HOST = "127.0.0.1"


class Storage:
    """An emulator with faults by object name: HTTP statuses, or

    ``reset``: the connection breaks in the middle of the body. ``short``: it is closed there. ``damaged``: one byte is
    another. ``cut``: half a body that says it is whole, but for its digest. ``slow``: a second before the answer.
    ``trickle``: 20 s with a byte now and then, before the rest. ``silent``: no answer for a minute. Bytes: the answer,
    as it stands. A pair of them: a start, and what follows it for ever.
    """

    def __init__(self):
        self.faults = {}
        self.page_size = None  # objects in a page of a bucket's listing
        self.requests = Counter()
        self.changes = 0  # requests that write or delete
        self.refused = None  # what stands in the names of objects that nobody may write
        self.looked_at = Counter()  # requests for the generation of an object alone
        self.metadata_faults = {}  # HTTP statuses of these, by object name
        self.connections = set()  # addresses from which objects and listings were asked for
        self.changing = threading.Lock()
        self.counting = threading.Lock()

    def __enter__(self):
        self._emulator = create_server(HOST, 0, in_memory=True)
        self._emulator.start()
        self._port = self._emulator._api._httpd.server_address[1]
        self._stopped = threading.Event()
        self._proxy = ThreadingHTTPServer((HOST, 0), type("Handler", (_Handler,), {"storage": self}))
        self._proxy.daemon_threads = True
        threading.Thread(target=self._proxy.serve_forever, daemon=True).start()
        self._before = os.environ.get("STORAGE_EMULATOR_HOST")
        os.environ["STORAGE_EMULATOR_HOST"] = self.url
        auth._Credentials._credentials_init = True  # Beam would look for credentials for 20 s
        return self

    def __exit__(self, *_):
        self._stopped.set()
        self._proxy.shutdown()
        self._proxy.server_close()
        self._emulator.stop()
        if self._before is None:
            del os.environ["STORAGE_EMULATOR_HOST"]
        else:
            os.environ["STORAGE_EMULATOR_HOST"] = self._before

    @property
    def url(self):
        return f"http://{HOST}:{self._proxy.server_address[1]}"

    def bucket(self, name):
        self.ask("POST", "/storage/v1/b?project=p", f'{{"name": "{name}"}}'.encode(), "application/json")

    def put(self, bucket, name, data):
        path = f"/upload/storage/v1/b/{bucket}/o?uploadType=media&name={quote(name, safe='')}"
        self.ask("POST", path, data, "image/jpeg")

    def ask(self, method, path, body, content_type):
        headers = {
            "Content-Type": content_type,
            "Host": self.url.removeprefix("http://"),
        }  # the emulator makes links of it
        status, _, answer = self.forward(method, path, body, headers)
        assert status == 200, (status, answer)

    def forward(self, method, path, body, headers):
        connection = HTTPConnection(HOST, self._port)
        try:
            connection.request(method, path, body, headers)
            response = connection.getresponse()
            return response.status, response.getheaders(), response.read()
        finally:
            connection.close()

    def pause(self, seconds):
        """Waits, but not beyond the test's end; returns whether it has come."""
        return self._stopped.wait(seconds)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # or each answer waits 40 ms for the client to acknowledge its header
    storage: Storage

    def _serve(self):
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        fault = None
        self.storage.changes += self.command != "GET"
        if self.command == "GET" and ("alt=media" in self.path or urlsplit(self.path).path.endswith("/o")):
            bucket, _, name = map(unquote, urlsplit(self.path).path.rpartition("/b/")[2].partition("/o"))
            name = name.removeprefix("/") or f"{bucket}/"
            faults = self.storage.faults.get(name, [])
            with self.storage.counting:
                asked = self.storage.requests[name]
                self.storage.requests[name] += 1
            self.storage.connections.add(self.client_address)
            fault = faults[asked] if asked < len(faults) else None
        if self.command == "GET" and "fields=generation" in self.path:
            name = unquote(urlsplit(self.path).path.rpartition("/o/")[2])
            faults = self.storage.metadata_faults.get(name, [])
            with self.storage.counting:
                asked = self.storage.looked_at[name]
                self.storage.looked_at[name] += 1
            fault = faults[asked] if asked < len(faults) else None
        if isinstance(fault, int):
            self._answer(fault, [("Retry-After", "0")], b"no")
            return
        if isinstance(fault, (bytes, tuple)):
            self._answer_oddly(*([fault, b""] if isinstance(fault, bytes) else fault))
            return
        if fault in ("slow", "silent"):
            self.storage.pause(1 if fault == "slow" else 60)
        headers = {name: value for name, value in self.headers.items() if name.lower() != "connection"}
        with self.storage.changing if self.command != "GET" else nullcontext():
            if not self._is_as_expected(headers, body):
                self._answer(412, [], b"conditionNotMet")
                return
            if self.storage.refused and self.storage.refused in self._uploaded(body):
                self._answer(403, [], b"the account has no permission")
                return
            status, found, data = self.storage.forward(self.command, self.path, body, headers)
        if self.command == "GET" and status == 200 and urlsplit(self.path).path.endswith("/o"):
            data = self._page(json.loads(data))
        found = [(name, value) for name, value in found if name.lower() in ("x-goog-hash", "content-type", "location")]
        if self.command == "GET" and status == 200 and "alt=media" in self.path:
            path = urlsplit(self.path).path.removeprefix("/download")
            found.append(("X-Goog-Generation", self._generation(path, headers)))
        half = len(data) // 2
        if fault == "damaged":
            data = data[:half] + bytes([data[half] ^ 1]) + data[half + 1 :]
        if fault == "cut":
            data = data[:half]
        if fault in ("reset", "short", "trickle"):
            self._answer(status, found, data, send=0)
            self._break_off(fault, data, half)
            return
        self._answer(status, found, data)

    def _is_as_expected(self, headers, body):
        """Whether an object has the generation that the request names, which the emulator itself never looks at."""
        wanted = parse_qs(urlsplit(self.path).query).get("ifGenerationMatch")
        if wanted is None:
            return True
        path = urlsplit(self.path).path.removeprefix("/download").removeprefix("/upload")
        if path.endswith("/o"):
            path += "/" + quote(self._uploaded(body), safe="")
        return self._generation(path, headers) == wanted[0]

    def _uploaded(self, body):
        """The name of an uploaded object, which stands in the first part of the request's body, or nothing."""
        uploads = self.command == "POST" and urlsplit(self.path).path.endswith("/o")
        return json.loads(re.search(rb"\{.*?\}", body)[0])["name"] if uploads else ""

    def _generation(self, path, headers):
        """An object's generation; 0 where there is none."""
        status, _, data = self.storage.forward("GET", path, b"", headers)
        return json.loads(data)["generation"] if status == 200 else "0"

    def _answer_oddly(self, start, drip):
        self.close_connection = True
        self.wfile.write(start)
        while drip and not self.storage.pause(0.01):
            self.wfile.write(drip)

    def _page(self, listing):
        """One page of a listing, in the order of the names, as the real one gives it."""
        items = sorted(listing.get("items", []), key=lambda item: item["name"].encode())
        begin = int(parse_qs(urlsplit(self.path).query).get("pageToken", ["0"])[0])
        end = begin + (self.storage.page_size or len(items))
        more = {"nextPageToken": str(end)} if end < len(items) else {}
        return json.dumps({**listing, "items": items[begin:end], **more}).encode()

    def _answer(self, status, headers, data, send=None):
        self.send_response(status)
        for name, value in headers:
            self.send_header(name, value)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data[:send])

    def _break_off(self, fault, data, half):
        self.close_connection = True
        if fault == "trickle":
            for byte in data[:100]:
                self.wfile.write(bytes([byte]))
                self.storage.pause(0.2)
            self.wfile.write(data[100:])
            return
        self.wfile.write(data[:half])
        self.wfile.flush()
        time.sleep(0.02)
        if fault == "reset":
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    do_GET = do_POST = do_PUT = do_DELETE = do_PATCH = _serve  # noqa: N815

    def log_message(self, *_):
        pass

    def handle(self):
        with suppress(ConnectionError, ValueError):  # the client or the fault closed the connection
            super().handle()
