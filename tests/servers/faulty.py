"""A proxy in front of a storage server that does to each request what a plan says: what networks and storages do.

::

    with FaultyProxy(server.port, kind="s3") as proxy:
        files = open_files("s3://bucket/store", endpoint_url=proxy.url)
        proxy.plan = [None, Fault.LOST_ANSWER]  # the second request from now on
        ...
        proxy.plan = lambda request: Fault.UNAVAILABLE if request.method == "PUT" else None
"""

import contextlib
import enum
import http.client
import json
import socket
import sys
import threading
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

PATIENCE = 60
"""Seconds that the server behind may take."""
_OF_ONE_CONNECTION = {"connection", "keep-alive", "expect", "proxy-connection"}
_CODES = {
    "s3": {409: "ConditionalRequestConflict", 429: "TooManyRequests", 500: "InternalError", 503: "SlowDown"},
    "gcs": {409: "conflict", 429: "rateLimitExceeded", 500: "backendError", 503: "backendError"},
}
_SAID = {
    409: "A conflicting operation occurred.",
    429: "The rate of requests exceeds the limit.",
    500: "We encountered an internal error. Please try again.",
    503: "Please reduce your request rate.",
}


class Fault(enum.Enum):
    """What happens to a request that is not passed on as it is; a number is the status it is answered with."""

    CONFLICT = 409
    THROTTLED = 429
    BROKEN = 500
    UNAVAILABLE = 503
    CUT = "the connection is cut before anything is passed on"
    CUT_REQUEST = "the connection is cut after half of the request's body was passed on"
    LOST_ANSWER = "the server acts, and the connection is cut without an answer"
    CUT_ANSWER = "the server acts, and the connection is cut in the middle of its answer"


@dataclass
class Request:
    """A request that came, and what was done to it."""

    method: str
    path: str
    headers: http.client.HTTPMessage
    fault: Fault | None = None


class FaultyProxy:
    """An HTTP proxy on this machine, in threads of this process.

    `plan` is a list with a fault, or None, for each request to come, after which all pass; or a function that returns
    it for a `Request`. `requests` are those that came since it was set.
    """

    def __init__(self, port, *, kind, plan=()):
        self.port, self.kind = port, kind
        self._lock = threading.Lock()
        self.plan = plan
        self._server = _Server(("127.0.0.1", 0), _Handler)
        self._server.proxy = self
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    @property
    def plan(self):
        return self._plan

    @plan.setter
    def plan(self, plan):
        with self._lock:
            self._plan = plan if callable(plan) else list(plan)
            self.requests = []

    @property
    def faulty(self):
        """The requests to which something was done."""
        with self._lock:
            return [request for request in self.requests if request.fault is not None]

    def decide(self, request):
        """Note a request, and return what is to be done to it."""
        with self._lock:
            if callable(self._plan):
                request.fault = self._plan(request)
            elif self._plan:
                request.fault = self._plan.pop(0)
            self.requests.append(request)
            return request.fault

    def __enter__(self):
        threading.Thread(target=self._server.serve_forever, args=(0.02,), daemon=True).start()
        return self

    def __exit__(self, *_):
        self._server.shutdown()
        self._server.server_close()
        self._server.cut_all()
        if self._server.errors:
            raise self._server.errors[0]


class _Server(ThreadingHTTPServer):
    """What accepts connections, and knows those that are open."""

    daemon_threads = True
    request_queue_size = 256

    def __init__(self, *args):
        super().__init__(*args)
        self.errors = []
        self._open = set()

    def process_request(self, request, client_address):
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request):
        self._open.discard(request)
        super().shutdown_request(request)

    def cut_all(self):
        for connection in list(self._open):
            with contextlib.suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request, client_address):
        error = sys.exc_info()[1]
        if not isinstance(error, ConnectionError):
            self.errors.append(error)


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self):
        fault = self.server.proxy.decide(Request(self.command, self.path, self.headers))
        if fault is Fault.CUT:
            self.cut()
        elif fault is Fault.CUT_REQUEST:
            if half := self.half_of_body():
                self.pass_on(half).close()
            self.cut()
        elif fault is None or isinstance(fault.value, str):
            self.send_answer(fault)
        else:
            self.body()
            self.refuse(fault.value)

    do_GET = do_HEAD = do_POST = do_PUT = do_DELETE = answer

    # --- what comes ---

    def body(self):
        """Return the request's body as it was sent, with the sizes of its chunks where it has them."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.take(int(self.headers.get("Content-Length") or 0))
        content = b""
        while True:
            line = self.rfile.readline()
            content += line
            if (size := int(line.split(b";")[0], 16)) == 0:
                break
            content += self.take(size + 2)
        while (line := self.rfile.readline()).strip():
            content += line
        return content + line

    def half_of_body(self):
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = self.body()
            return body[: len(body) // 2]
        return self.take(int(self.headers.get("Content-Length") or 0) // 2)

    def take(self, size):
        content = self.rfile.read(size)
        if len(content) < size:
            raise ConnectionError("the client has gone in the middle of its request")
        return content

    # --- the server behind ---

    def pass_on(self, body):
        """Send the request's head and `body` to the server, and return the connection."""
        behind = http.client.HTTPConnection("127.0.0.1", self.server.proxy.port, timeout=PATIENCE)
        behind.putrequest(self.command, self.path, skip_host=True, skip_accept_encoding=True)
        for name, value in self.headers.items():
            if name.lower() not in _OF_ONE_CONNECTION:
                behind.putheader(name, value)
        behind.putheader("Connection", "close")
        behind.endheaders()
        if body:
            behind.send(body)
        return behind

    def send_answer(self, fault):
        with contextlib.closing(self.pass_on(self.body())) as behind:
            answer = behind.getresponse()
            content = answer.read()
        if fault is Fault.LOST_ANSWER or (fault is Fault.CUT_ANSWER and not content):
            self.cut()
            return
        self.send_response_only(answer.status, answer.reason)
        for name, value in answer.headers.items():
            if name.lower() not in {*_OF_ONE_CONNECTION, "transfer-encoding", "content-length"}:
                self.send_header(name, value)
        self.send_length(answer, content)
        self.end_headers()
        if fault is Fault.CUT_ANSWER:
            self.wfile.write(content[: len(content) // 2])
            self.cut()
        else:
            self.wfile.write(content)

    def send_length(self, answer, content):
        if self.command == "HEAD":
            if length := answer.headers.get("Content-Length"):
                self.send_header("Content-Length", length)
        elif answer.status not in {204, 304}:
            self.send_header("Content-Length", str(len(content)))

    # --- what goes wrong ---

    def cut(self):
        self.close_connection = True
        with contextlib.suppress(OSError):
            self.connection.shutdown(socket.SHUT_RDWR)

    def refuse(self, status):
        code, said = _CODES[self.server.proxy.kind][status], _SAID[status]
        if self.server.proxy.kind == "s3":
            content_type = "application/xml"
            content = (
                '<?xml version="1.0" encoding="UTF-8"?>\n'
                f"<Error><Code>{code}</Code><Message>{said}</Message><RequestId>0</RequestId></Error>"
            ).encode()
        else:
            content_type = "application/json; charset=UTF-8"
            errors = [{"message": said, "domain": "global", "reason": code}]
            content = json.dumps({"error": {"code": status, "message": said, "errors": errors}}).encode()
        self.send_response(status)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(content)
