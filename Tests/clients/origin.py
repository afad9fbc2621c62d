"""An upstream for what the simulator has no need of: replies that differ by key, codings, and bodies of any length."""

import gzip
import hashlib
import http.server
import json
import threading
import time

import brotli

PIECE = bytes(range(256)) * 256
# A body that is not written or read at once, whatever the buffers between.
LARGE_BYTES = 48 << 20


def large_body(length=LARGE_BYTES):
    """The pieces of a body of this length."""
    for start in range(0, length, len(PIECE)):
        yield PIECE[: length - start]


def digest(pieces):
    total = hashlib.sha256()
    for piece in pieces:
        total.update(piece)
    return total.hexdigest()


def owner(key):
    """What a body says of the key that it is for."""
    return hashlib.sha256(key.encode()).hexdigest()[:16]


class Origin:
    """An HTTP/1.1 server on loopback, in threads of this process.

    - `/v1/audiences/{a}/contacts/{c}`: a contact that differs by key, with one ETag for all keys; 401 for the keys in
      `refused`; fresh for `max_age` seconds.
    - `/v1/templates`: 200 in the coding that the client prefers, with `Vary`, fresh for a minute.
    - `/v1/exports/large`: LARGE_BYTES, in chunks. `/v1/exports/slow`: a piece, and one more once `release` is set.
    - POST anywhere: the length and digest of what came.
    """

    def __init__(self):
        self.refused, self.release, self.requests, self.lock = set(), threading.Event(), [], threading.Lock()
        origin = self

        class Handler(_Handler):
            pass

        Handler.origin = origin
        self._server = _Server(("127.0.0.1", 0), Handler)
        self.url = f"http://127.0.0.1:{self._server.server_address[1]}"
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()

    def stop(self):
        self.release.set()
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()

    def count(self, path):
        """How often a path was asked for."""
        with self.lock:
            return sum(request == path for request in self.requests)


class _Server(http.server.ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


class _Handler(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True

    def log_message(self, *_):
        pass

    def do_GET(self):
        with self.origin.lock:
            self.origin.requests.append(self.path)
        path = self.path.partition("?")[0]
        if path == "/v1/exports/large":
            self.send_pieces(large_body())
        elif path == "/v1/exports/slow":
            self.send_pieces(self.slow_pieces())
        elif path == "/v1/templates":
            self.send_coded(json.dumps({"data": [{"name": f"template {n}"} for n in range(200)]}).encode())
        elif "/contacts/" in path:
            self.send_contact(path)
        else:
            self.reply(404, b'{"errors":[]}')

    do_HEAD = do_GET

    def do_POST(self):
        total, length = hashlib.sha256(), 0
        for piece in self.body_pieces():
            total.update(piece)
            length += len(piece)
        is_chunked = self.headers.get("Transfer-Encoding") == "chunked"
        self.reply(201, json.dumps({"length": length, "sha256": total.hexdigest(), "chunked": is_chunked}).encode())

    def body_pieces(self):
        if self.headers.get("Transfer-Encoding") == "chunked":
            while length := int(self.rfile.readline().partition(b";")[0], 16):
                yield self.rfile.read(length)
                self.rfile.readline()
            self.rfile.readline()
            return
        left = int(self.headers.get("Content-Length", 0))
        while left:
            piece = self.rfile.read(min(left, 65536))
            left -= len(piece)
            yield piece

    def slow_pieces(self):
        yield b"first,"
        self.origin.release.wait(30)
        yield b"second"

    def send_contact(self, path):
        key = self.headers.get("X-Dexatel-Key", "")
        if key in self.origin.refused or not key:
            return self.reply(401, b'{"errors":[{"status":401,"message":"Unauthorized","code":0}]}')
        contact = {"id": path.rpartition("/")[2], "first_name": "Ada", "last_name": owner(key)}
        fields = {"ETag": '"the-same-for-all"', "Cache-Control": "private, max-age=60"}
        if self.headers.get("If-None-Match") == fields["ETag"]:
            return self.reply(304, b"", **fields)
        # Long enough that requests of several keys are under way at a time.
        time.sleep(0.002)
        self.reply(200, json.dumps({"data": contact}).encode(), **fields)

    def send_coded(self, body):
        accepted = self.headers.get("Accept-Encoding", "")
        fields = {"Vary": "Accept-Encoding", "Cache-Control": "max-age=60"}
        if "br" in accepted:
            fields |= {"Content-Encoding": "br", "ETag": '"br"'}
            body = brotli.compress(body)
        elif "gzip" in accepted:
            fields |= {"Content-Encoding": "gzip", "ETag": '"gzip"'}
            body = gzip.compress(body)
        else:
            fields |= {"ETag": '"plain"'}
        self.reply(200, body, **fields)

    def send_pieces(self, pieces):
        self.send_response(200)
        self.send_header("Content-Type", "application/octet-stream")
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        for piece in pieces:
            self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece))
        self.wfile.write(b"0\r\n\r\n")

    def reply(self, status, body, **fields):
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        for name, value in fields.items():
            self.send_header(name.replace("_", "-"), value)
        if status != 304:
            self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
