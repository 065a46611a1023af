"""A Cloud Storage emulator in a process of its own that takes its time over every request.

with storage(folder, latency=0.05) as uris:   # gs:// URIs of the folder's files; STORAGE_EMULATOR_HOST is set
    ...
"""

import argparse
import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from http.server import ThreadingHTTPServer
from pathlib import Path
from urllib.request import Request, urlopen

HOST = "127.0.0.1"
BUCKET = "photographs"


@contextmanager
def storage(folder: Path, latency: float) -> Iterator[list[str]]:
    """Serves the files of ``folder``; ``latency`` is in seconds."""
    with serving("benchmarks.inputs.storage", str(folder), str(latency)):
        yield [f"gs://{BUCKET}/{path.name}" for path in sorted(folder.iterdir())]


@contextmanager
def serving(module: str, *arguments: str) -> Iterator[str]:
    """Runs a module that prints its address and serves there as Cloud Storage does; gives the address."""
    server = subprocess.Popen([sys.executable, "-m", module, *arguments], stdout=subprocess.PIPE, text=True)
    try:
        assert server.stdout is not None
        address = server.stdout.readline().strip()
        if not address:
            raise RuntimeError("The storage emulator did not start; it comes with: pip install -e '.[test]'.")
        os.environ["STORAGE_EMULATOR_HOST"] = address
        yield address
    finally:
        os.environ.pop("STORAGE_EMULATOR_HOST", None)
        server.terminate()
        server.wait()


def main() -> None:
    """The process that serves: prints its address when it is ready."""
    from gcp_storage_emulator.server import RequestHandler, create_server

    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("latency", type=float)
    options = parser.parse_args()

    class Slow(RequestHandler):
        protocol_version = "HTTP/1.1"  # connections are kept, as Cloud Storage does

        def do_GET(self) -> None:  # noqa: N802
            time.sleep(options.latency)
            super().do_GET()

    # The emulator's own server answers one request at a time; this one has a thread for each.
    kept = create_server(HOST, 0, in_memory=True)._storage  # noqa: SLF001
    server = ThreadingHTTPServer((HOST, 0), partial(Slow, kept))
    address = f"http://{HOST}:{server.server_address[1]}"
    threading.Thread(target=server.serve_forever, daemon=True).start()
    post(f"{address}/storage/v1/b?project=p", f'{{"name": "{BUCKET}"}}'.encode(), "application/json")
    for path in sorted(options.folder.iterdir()):
        post(f"{address}/upload/storage/v1/b/{BUCKET}/o?uploadType=media&name={path.name}", path.read_bytes())
    print(address, flush=True)
    threading.Event().wait()


def post(url: str, body: bytes, content_type: str = "image/jpeg") -> None:
    """Sends what the emulator is to hold."""
    urlopen(Request(url, body, {"Content-Type": content_type})).close()


if __name__ == "__main__":
    main()
