"""A server on the loopback that answers each request with bytes of a test's choice.

with RawServer(lambda connection, request: connection.sendall(b"HTTP/1.1 200 OK\\r\\n...")) as server:
    server.url        # http://127.0.0.1:PORT
    server.requests   # what it was sent
"""

import socket
import threading
from contextlib import suppress


class RawServer:
    """Hands each connection, with the head of its request, to ``answer``, and closes it when that returns."""

    def __init__(self, answer):
        self.answer = answer
        self.requests = []
        self.stopped = threading.Event()
        self._asked = threading.Event()

    def __enter__(self):
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.url = f"http://127.0.0.1:{self._listener.getsockname()[1]}"
        threading.Thread(target=self._serve, daemon=True).start()
        return self

    def __exit__(self, *_):
        self.stopped.set()
        self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    def first_request(self):
        """Waits for it: the client may have given up before the server has read it."""
        self._asked.wait(300)
        return self.requests[0]

    def _serve(self):
        with suppress(OSError):
            while True:
                connection, _ = self._listener.accept()
                threading.Thread(target=self._answer, args=(connection,), daemon=True).start()

    def _answer(self, connection):
        with suppress(OSError), connection:  # the client may go at any time
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(1 << 16)
                if not piece:
                    return
                request += piece
            self.requests.append(request)
            self._asked.set()
            self.answer(connection, request)
            connection.shutdown(socket.SHUT_WR)
            while connection.recv(1 << 16):  # closing at once could take back what was sent
                pass
