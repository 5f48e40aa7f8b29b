"""A Google Cloud Storage server on this machine: the part of its JSON API that filesystems use, from its description.

Started as ``python gcs.py``; prints its port, then serves until its standard input is closed. ``GET /_requests``
returns what came since the last time, as JSON: a list of method and path with query. Buckets exist when they are named.
"""

import base64
import hashlib
import itertools
import json
import re
import sys
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs, unquote, urlsplit

PAGE = 1000
UNIT = 256 * 2**10
"""Of an upload in parts whose connection broke, so many bytes or a multiple are kept."""


class Refused(Exception):
    def __init__(self, code, message):
        super().__init__(message)
        self.code = code


class Bucket:
    """Objects by name, each with what is said of it and its content."""

    def __init__(self):
        self.objects = {}
        self._generations = itertools.count(time.time_ns() // 1000)

    def put(self, name, content, query, content_type):
        present = self.objects.get(name)
        wanted = query.get("ifGenerationMatch")
        if wanted is not None and int(wanted) != (int(present[0]["generation"]) if present else 0):
            raise Refused(412, "At least one of the pre-conditions you specified did not hold.")
        now = datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        about = {
            "kind": "storage#object",
            "name": name,
            "size": str(len(content)),
            "generation": str(generation := next(self._generations)),
            "etag": base64.b64encode(str(generation).encode()).decode(),
            "contentType": content_type or "application/octet-stream",
            "md5Hash": base64.b64encode(hashlib.md5(content).digest()).decode(),
            "timeCreated": now,
            "updated": now,
            "metadata": {},
        }
        self.objects[name] = about, content
        return about

    def get(self, name):
        if name not in self.objects:
            raise Refused(404, f"No such object: {name}")
        return self.objects[name]

    def page(self, query):
        prefix, delimiter, token = (query.get(key, "") for key in ("prefix", "delimiter", "pageToken"))
        entries = {}
        for name in sorted(self.objects):
            if not name.startswith(prefix):
                continue
            end = name.find(delimiter, len(prefix)) if delimiter else -1
            entries[name if end < 0 else name[: end + len(delimiter)]] = end < 0
        waiting = [name for name in entries if name > token]
        most = int(query.get("maxResults", PAGE))
        shown = waiting[:most]
        answer = {"kind": "storage#objects", "items": [self.objects[name][0] for name in shown if entries[name]]}
        if folders := [name for name in shown if not entries[name]]:
            answer["prefixes"] = folders
        if len(waiting) > most:
            answer["nextPageToken"] = shown[-1]
        return answer


class Store:
    def __init__(self):
        self.lock = threading.Lock()
        self.buckets = {}
        self.uploads = {}
        self.requests = []

    def bucket(self, name):
        return self.buckets.setdefault(name, Bucket())


STORE = Store()


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def answer(self):
        body = self.body()
        url = urlsplit(self.path)
        query = {key: values[-1] for key, values in parse_qs(url.query, keep_blank_values=True).items()}
        if url.path == "/_requests":
            seen, STORE.requests = STORE.requests, []
            return self.send(200, seen)
        STORE.requests.append([self.command, self.path])
        try:
            with STORE.lock:
                self.route(url.path, query, body)
        except Refused as error:
            self.send(error.code, {"error": {"code": error.code, "message": str(error)}})

    do_GET = do_POST = do_PUT = do_DELETE = answer

    def body(self):
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return self.rfile.read(int(self.headers.get("Content-Length") or 0))
        content = b""
        while size := int(self.rfile.readline().split(b";")[0], 16):
            content += self.rfile.read(size)
            self.rfile.readline()
        self.rfile.readline()
        return content

    def send(self, code, content=b"", **headers):
        if not isinstance(content, bytes):
            content = json.dumps(content).encode()
            headers["Content-Type"] = "application/json"
        self.send_response(code)
        for name, value in headers.items():
            self.send_header(name.replace("_", "-"), value)
        self.send_header("Content-Length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def route(self, path, query, body):
        if match := re.fullmatch(r"/upload/storage/v1/b/([^/]+)/o", path):
            return self.upload(STORE.bucket(unquote(match[1])), query, body)
        if match := re.fullmatch(r"(?:/download)?/storage/v1/b/([^/]+)/o/([^/]+|.+)", path):
            return self.object(STORE.bucket(unquote(match[1])), unquote(match[2]), path, query)
        if match := re.fullmatch(r"/storage/v1/b/([^/]+)/o", path):
            return self.send(200, STORE.bucket(unquote(match[1])).page(query))
        if match := re.fullmatch(r"/storage/v1/b/([^/]+)", path):
            return self.send(200, {"kind": "storage#bucket", "name": unquote(match[1])})
        raise Refused(501, f"not implemented: {self.command} {path}")

    def object(self, bucket, name, path, query):
        about, content = bucket.get(name)
        if self.command == "DELETE":
            del bucket.objects[name]
            return self.send(204)
        if query.get("alt") != "media" and not path.startswith("/download"):
            return self.send(200, about)
        headers = {"X_Goog_Hash": f"md5={about['md5Hash']}", "Content_Type": about["contentType"]}
        if match := re.fullmatch(r"bytes=(\d*)-(\d*)", self.headers.get("Range", "")):
            start = int(match[1]) if match[1] else max(0, len(content) - int(match[2]))
            end = min(int(match[2]) + 1 if match[1] and match[2] else len(content), len(content))
            if start >= len(content):
                raise Refused(416, "The requested range cannot be satisfied.")
            where = f"bytes {start}-{end - 1}/{len(content)}"
            return self.send(206, content[start:end], Content_Range=where, **headers)
        return self.send(200, content, **headers)

    def upload(self, bucket, query, body):
        if "upload_id" in query:
            return self.go_on(bucket, query["upload_id"], body)
        kind = query.get("uploadType")
        if kind == "media":
            return self.send(200, bucket.put(query["name"], body, query, self.headers.get("Content-Type")))
        if kind == "multipart":
            about, content, content_type = parts(self.headers["Content-Type"], body)
            return self.send(200, bucket.put(about["name"], content, query, content_type))
        name = query.get("name") or json.loads(body or b"{}")["name"]
        number = str(len(STORE.uploads))
        STORE.uploads[number] = {"name": name, "content": b"", "query": query}
        where = f"http://{self.headers['Host']}{urlsplit(self.path).path}?uploadType=resumable&upload_id={number}"
        return self.send(200, Location=where)

    def go_on(self, bucket, number, body):
        if self.command == "DELETE":
            STORE.uploads.pop(number, None)
            return self.send(499)
        upload = STORE.uploads[number]
        if "done" in upload:  # the answer was lost, and the last part is sent again
            return self.send(200, upload["done"])
        span, _, whole = self.headers.get("Content-Range", "bytes 0-/*").removeprefix("bytes ").rpartition("/")
        start = int(span.partition("-")[0]) if span != "*" else len(upload["content"])
        if len(body) < int(self.headers.get("Content-Length") or len(body)):  # the connection broke
            body = body[: len(body) // UNIT * UNIT]
        upload["content"] += body[max(0, len(upload["content"]) - start) :]  # what is there already is passed over
        if whole == "*" or len(upload["content"]) < int(whole):
            kept = {"Range": f"bytes=0-{len(upload['content']) - 1}"} if upload["content"] else {}
            return self.send(308, **kept)
        upload["done"] = bucket.put(upload["name"], upload.pop("content"), upload["query"], None)
        return self.send(200, upload["done"])


def parts(content_type, body):
    """Return the two parts of a multipart upload: what is said of an object, and its content with its type."""
    boundary = re.search(r'boundary="?([^";]+)"?', content_type)[1].encode()
    _, first, second = body.split(b"--" + boundary, 2)
    second = second[: second.rindex(b"--" + boundary)]
    about = re.split(rb"\r?\n\r?\n", first, maxsplit=1)[1]
    head, content = re.split(rb"\r?\n\r?\n", second, maxsplit=1)
    kind = re.search(rb"Content-Type: ([^\r\n]+)", head)
    return json.loads(about), re.sub(rb"\r?\n\Z", b"", content), kind and kind[1].decode()


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 256


if __name__ == "__main__":
    server = Server(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    sys.stdin.read()
