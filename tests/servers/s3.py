"""An S3 server on this machine: moto, made to keep the conditions of requests, and telling which requests came.

Started as ``python s3.py``; prints its port, then serves until its standard input is closed. ``GET /_requests``
returns what came since the last time, as JSON: a list of method and path with query. ``python s3.py 0.05`` waits that
many seconds before it answers a request, as a server far away does.
"""

import json
import logging
import sys
import threading
import time

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import make_server


class Server:
    """moto as a WSGI application that answers one request at a time: it looks and then writes, as S3 does not."""

    def __init__(self, latency):
        self._latency = latency
        self._moto = DomainDispatcherApplication(create_backend_app)
        self._one_at_a_time = threading.Lock()
        self._requests = []

    def __call__(self, environ, start_response):
        if environ["PATH_INFO"] == "/_requests":
            seen, self._requests = self._requests, []
            start_response("200 OK", [("Content-Type", "application/json")])
            return [json.dumps(seen).encode()]
        query = f"?{environ['QUERY_STRING']}" if environ["QUERY_STRING"] else ""
        self._requests.append([environ["REQUEST_METHOD"], environ["PATH_INFO"] + query])
        time.sleep(self._latency)
        with self._one_at_a_time:
            return list(self._moto(environ, start_response))


if __name__ == "__main__":
    latency = float(sys.argv[1]) if len(sys.argv) > 1 else 0
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = make_server("127.0.0.1", 0, Server(latency), threaded=True, request_handler=MotoRequestHandler)
    print(server.port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
