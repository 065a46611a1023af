"""HTTP connections whose whole response, including headers, must arrive within the read timeout."""

import io
import socket
import time
from http.client import HTTPException, HTTPResponse
from typing import Any

from requests import PreparedRequest, Response
from requests.adapters import HTTPAdapter
from urllib3 import HTTPConnectionPool, HTTPSConnectionPool, Timeout
from urllib3.connection import HTTPConnection, HTTPSConnection

_LONGEST_PAUSE = 10.0  # seconds without a byte, after which a connection counts as dead


class TimedAdapter(HTTPAdapter):
    """Sends requests for a session. The read timeout of a request bounds connecting, sending and the whole response.

    Usually a read timeout bounds only the pause between two bytes, so a server can take days to send its headers. Here
    a pause of 10 s also ends a response. Timeouts are pairs, for connecting and for reading, in seconds.

    Args:
      connections: number of connections to keep open.
    """

    def __init__(self, connections: int) -> None:
        super().__init__(pool_connections=connections, pool_maxsize=connections, max_retries=0)

    def send(
        self,
        request: PreparedRequest,
        stream: bool = False,
        timeout: Any = None,
        verify: Any = True,
        cert: Any = None,
        proxies: Any = None,
    ) -> Response:
        connect, read = timeout
        timeout = Timeout(connect=connect, read=read, total=read)
        return super().send(request, stream, timeout, verify, cert, proxies)

    def init_poolmanager(self, *args: Any, **options: Any) -> None:
        super().init_poolmanager(*args, **options)
        self.poolmanager.pool_classes_by_scheme = _POOLS

    def proxy_manager_for(self, proxy: str, **options: Any) -> Any:
        manager = super().proxy_manager_for(proxy, **options)
        manager.pool_classes_by_scheme = _POOLS
        return manager


class _TimedReader(io.RawIOBase):
    """Reads a socket until its timeout, as it is at the start, is over."""

    def __init__(self, sock: socket.socket) -> None:
        self._sock = sock
        self._raw = sock.makefile("rb", buffering=0)
        self._deadline = time.monotonic() + (sock.gettimeout() or _LONGEST_PAUSE)

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int | None:
        left = self._deadline - time.monotonic()
        if left <= 0:
            raise TimeoutError("The response was not complete in time.")
        self._sock.settimeout(min(left, _LONGEST_PAUSE))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _TimedResponse(HTTPResponse):
    def __init__(self, sock: socket.socket, *args: Any, **options: Any) -> None:
        super().__init__(sock, *args, **options)
        self.fp.close()
        self.fp = io.BufferedReader(_TimedReader(sock))

    def begin(self) -> None:
        super().begin()
        unread = self.msg.get_payload()
        if isinstance(unread, str) and unread:
            # It is lost with all that follows, the body's length, say. urllib3 would log it, and the URL's signature.
            raise HTTPException("a header line cannot be read")
        self.msg.defects.clear()  # of a Content-Type, say; they would be logged, too
        if "Transfer-Encoding" in self.msg:
            del self.msg["Content-Length"]  # does not hold then


class _Connection(HTTPConnection):
    response_class = _TimedResponse


class _SecureConnection(HTTPSConnection):
    response_class = _TimedResponse


class _Pool(HTTPConnectionPool):
    ConnectionCls = _Connection


class _SecurePool(HTTPSConnectionPool):
    ConnectionCls = _SecureConnection


_POOLS = {"http": _Pool, "https": _SecurePool}
