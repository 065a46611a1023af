"""Google Cloud within the test process: a storage emulator, and an address that takes Dataflow jobs and keeps them."""

import json
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from unittest import mock

from apache_beam.internal.gcp import auth
from gcp_storage_emulator.server import create_server
from google.auth.credentials import AnonymousCredentials
from google.cloud import storage

BUCKET = "bucket"


@contextmanager
def storage_emulator() -> Iterator[storage.Client]:
    """Serves gs://bucket/ from memory; whoever opens gs:// meanwhile, here or in a child process, meets it."""
    server = create_server("127.0.0.1", 0, in_memory=True, default_bucket=BUCKET)
    server.start()
    url = f"http://127.0.0.1:{server._api._httpd.server_port}"
    try:
        with (
            mock.patch.dict("os.environ", STORAGE_EMULATOR_HOST=url),
            # Beam would look for credentials for about 20 seconds.
            mock.patch.multiple(auth._Credentials, _credentials_init=True, _credentials=None),
        ):
            yield storage.Client(project="project", credentials=AnonymousCredentials())
    finally:
        server.stop()


@dataclass
class Dataflow:
    """An address that speaks as much of Dataflow's REST as submitting a job needs."""

    url: str
    jobs: list[dict] = field(default_factory=list)
    """Each job as it was received."""
    requests: list[tuple[str, str]] = field(default_factory=list)
    """Method and path of every request."""
    status: int = 200
    """With which it answers."""


@contextmanager
def dataflow_service() -> Iterator[Dataflow]:
    class Handler(BaseHTTPRequestHandler):
        def do_POST(self):
            job = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
            service.requests.append(("POST", self.path))
            service.jobs.append(job)
            self._answer({**job, "id": f"2026-01-01_00_00_00-{len(service.jobs)}", "currentState": "JOB_STATE_PENDING"})

        def do_GET(self):
            service.requests.append(("GET", self.path))
            self._answer({"id": self.path.split("/")[-1], "currentState": "JOB_STATE_RUNNING"})

        def _answer(self, value):
            body = json.dumps(value).encode()
            self.send_response(service.status)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args):
            pass

    server = ThreadingHTTPServer(("localhost", 0), Handler)
    service = Dataflow(f"http://localhost:{server.server_port}")
    thread = threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True)
    thread.start()
    try:
        yield service
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
