"""Reads that the relay, nginx' proxy_cache and a bare epoll loop answer from what they have: servers, filling, measuring."""

import getpass
import re
import resource
import socket
import time

import report
from loopback import Failure, fetch, fetch_json, free_port, wait_until
from programs import compiled, tool, wrk

CONNECTIONS = 32
KEYS = [f"{number:032x}" for number in (0xA1, 0xB2, 0xC3, 0xD4)]
BODY_BYTES = 420
FRESH_SECONDS = 3600
FILL_SECONDS = 120
# For each step of the filling, at most.
FILL_STEP_SECONDS = 5
# More than there are replies to keep, in a worker of nginx.
MAX_OPEN_FILES = 50_000

AUDIENCE = "22089fd7-7b74-4815-8452-3a8e864affbc"
SAMPLE = f"/v1/audiences/{AUDIENCE}/contacts/00000000-0000-4000-8000-000000000000"
CONTACT = (
    '{"data":{"id":"$contact","account_id":"0c9d1f2e-5a34-4b6f-8d11-7be249aa3c05","audience_id":"$audience",'
    '"number":"37411223344","first_name":"Ada","last_name":"Lovelace","timestamp":"1700000000","date":"1815-12-10",'
    '"create_date":"2024-01-01 00:00:00","update_date":"2024-06-01 12:30:00","custom1":"%s"}}'
)

# memory: room for all that is read, with what the relay keeps beside it.
RELAY = """\
listen: {{ port: {port} }}
upstream: {{ url: "http://127.0.0.1:{origin_port}" }}
state: {{ directory: "{folder}/state" }}
reads: {{ memory: {memory}, disk: {disk} }}
writes: {{ max_pending_unverified_per_key: 10000, retry: {{ max_retry_after: 1h }} }}
"""

# What serves the contacts when no cache does, and counts how often it is asked.
ORIGIN = """\
daemon off;
master_process off;
user {user};
pid {folder}/origin.pid;
error_log {folder}/origin-error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/origin-body;
    proxy_temp_path {folder}/origin-proxy;
    fastcgi_temp_path {folder}/origin-fastcgi;
    uwsgi_temp_path {folder}/origin-uwsgi;
    scgi_temp_path {folder}/origin-scgi;
    keepalive_requests 1000000000;
    server {{
        listen 127.0.0.1:{port};
        location = /requests {{ stub_status; }}
        error_page 429 = @later;
        location @later {{
            add_header Retry-After 3600 always;
            return 429;
        }}
        location ~ ^/v1/audiences/(?<audience>[^/]+)/contacts/(?<contact>[^/]+)$ {{
            # The first of the writes pauses its key for an hour: they stay pending, and reads go on.
            if ($request_method = PUT) {{ return 429; }}
            default_type application/json;
            add_header Cache-Control "max-age={fresh_seconds}";
            return 200 '{contact}';
        }}
    }}
}}
"""

# As quick as it gets for small replies that are all cached: files stay open, and without sendfile each reply is one
# write.
NGINX = """\
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
worker_processes 2;
worker_rlimit_nofile {max_files};
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    proxy_cache_path {folder}/cache levels=1:2 keys_zone=contacts:64m max_size=4g inactive=60m use_temp_path=off;
    open_file_cache max={max_open_files} inactive=60m;
    open_file_cache_valid 60m;
    keepalive_requests 1000000000;
    upstream origin {{
        server 127.0.0.1:{origin_port};
        keepalive 32;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
            proxy_cache contacts;
            proxy_cache_key "$request_uri $http_x_dexatel_key";
            proxy_cache_valid 200 10m;
        }}
    }}
}}
"""


class Case:
    """What is read, and how often each; and with what the relay has room for it."""

    def __init__(self, order, contacts, keys=KEYS, memory="256MiB", disk="512MiB", pending=0, read_contacts=None):
        """`contacts` are cached, the first `pending` of them have a pending write of the first key, and reads are of the
        first `read_contacts`, or of all."""
        self.order, self.contacts, self.keys = order, contacts, keys
        self.memory, self.disk, self.pending = memory, disk, pending
        self.read_contacts = read_contacts or contacts

    @property
    def cached(self):
        """How many replies there are to cache."""
        return self.contacts * len(set(self.keys))

    def path(self, number):
        """The path of the n-th contact, as cached-get.lua has it."""
        spread = number * 2654435761 % 0x100000000
        return f"/v1/audiences/{AUDIENCE}/contacts/{spread:08x}-0000-4000-8000-{number:012x}"


class Measurement:
    """One measurement of one server, in a folder of its own that goes with it."""

    def __init__(self, case, processes, folder, options, seed):
        self.case, self.processes, self.folder, self.options, self.seed = case, processes, folder, options, seed

    # MARK: servers

    def start_nginx(self, name, template, **settings):
        port = free_port()
        configuration = self.folder / f"{name}.conf"
        configuration.write_text(template.format(folder=self.folder, port=port, user=getpass.getuser(), **settings))
        nginx = self.processes.start(name, [tool("nginx"), "-c", configuration], self.folder / f"{name}.log")
        nginx.port, nginx.url = port, f"http://127.0.0.1:{port}"
        return nginx

    def start_origin(self):
        filling = BODY_BYTES - len(CONTACT % "") + len("$contact$audience") - 2 * 36
        origin = self.start_nginx("origin", ORIGIN, fresh_seconds=FRESH_SECONDS, contact=CONTACT % ("x" * filling))
        wait_until(lambda: fetch(origin.url + "/requests")[0] == 200, "it answered", 10, origin)
        origin.questions = 1
        return origin

    def start_relay(self, origin):
        port = free_port()
        configuration = self.folder / "contact-relay.yaml"
        limits = {"memory": self.case.memory, "disk": self.case.disk}
        configuration.write_text(RELAY.format(port=port, origin_port=origin.port, folder=self.folder, **limits))
        relay = self.processes.start_relay(self.folder, configuration, port)
        relay.port = port
        return relay

    # MARK: subjects

    def of_relay(self):
        origin = self.start_origin()
        relay = self.start_relay(origin)
        # Before the reads: a write puts in doubt what is cached.
        self.write(relay)
        self.fill(relay, origin)
        path = self.sample_path()
        self.sample(relay, path)
        sample = self.sample(relay, path)
        if b"Cache-Status: contact-relay; hit" not in sample:
            raise Failure(f"the relay's reply is no hit: {sample!r}")
        if (b"Contact-Relay-Pending: 1" in sample) != (path != SAMPLE):
            raise Failure(f"the relay's reply does not show what is pending, or more than that: {sample!r}")
        figures = self.measure(relay, sample, origin)
        figures["raw"]["cache"] = fetch_json(relay.url + "/_relay/status")["cache"]
        figures["raw"]["peak_memory_kib"] = relay.peak_memory_kib()
        return figures

    def of_nginx(self):
        origin = self.start_origin()
        _, max_files = resource.getrlimit(resource.RLIMIT_NOFILE)
        if max_files < 2000:
            raise Failure(f"nginx needs more than {max_files} open files: it would be slow for no fault of its own")
        limits = {"max_files": max_files, "max_open_files": min(max_files - 1000, MAX_OPEN_FILES)}
        nginx = self.start_nginx("nginx", NGINX, origin_port=origin.port, **limits)
        wait_until(lambda: fetch(nginx.url + SAMPLE)[0] == 200, "it answered", 10, nginx)
        self.fill(nginx, origin)
        return self.measure(nginx, self.sample(nginx), origin)

    def of_floor(self):
        """It answers what the relay answers, byte for byte."""
        origin = self.start_origin()
        relay = self.start_relay(origin)
        self.sample(relay)
        sample = self.sample(relay)
        relay.kill()
        origin.kill()
        reply, port = self.folder / "reply", free_port()
        reply.write_bytes(sample)
        program = compiled("epoll-floor", self.folder.parent)
        floor = self.processes.start("epoll-floor", [program, str(port), reply], self.folder / "floor.log")
        floor.port, floor.url = port, f"http://127.0.0.1:{port}"
        wait_until(lambda: fetch(floor.url + SAMPLE)[0] == 200, "it answered", 10, floor)
        return self.measure(floor, sample, None)

    def sample_path(self):
        """A contact like most of those that are read: all of them have the same length."""
        return self.case.path(1) if self.case.pending and self.case.read_contacts <= self.case.pending else SAMPLE

    # MARK: steps

    def write(self, relay):
        """Has the first contacts written to, by writes that stay pending."""
        for number in range(1, self.case.pending + 1):
            status, body = fetch(
                relay.url + self.case.path(number),
                method="PUT",
                body=b'{"data":{"first_name":"Zoe"}}',
                headers={
                    "X-Dexatel-Key": self.case.keys[0],
                    "Content-Type": "application/json",
                    "Prefer": "respond-async",
                },
            )
            if status != 202:
                raise Failure(f"write {number} was answered {status}: {body!r}")
        if self.case.pending:
            books = lambda: fetch_json(relay.url + "/_relay/status")["outbox"]
            wait_until(lambda: books()["in_flight"] == 0, "its key was paused", 10, relay)
            if books()["pending"] != self.case.pending:
                raise Failure(f"not all writes are pending: {books()}")

    def load(self, server, order, seconds, start=0):
        number = start if order == "all" else self.seed
        contacts = self.case.contacts if order == "all" else self.case.read_contacts
        arguments = [order, contacts, number, *self.case.keys]
        return wrk(server.url, "cached-get.lua", [str(part) for part in arguments], seconds, CONNECTIONS)

    def requests(self, origin):
        """How often the origin was asked for a contact: all requests but these questions."""
        _, body = fetch(origin.url + "/requests")
        origin.questions += 1
        return int(re.search(rb"requests\s+\d+ \d+ (\d+)", body)[1]) - origin.questions

    def fill(self, server, origin):
        """Has every contact read with each key until the origin is not asked any more; all replies have to be 200."""
        # 10 000 replies a second are little for any of the servers.
        deadline = time.monotonic() + FILL_SECONDS + self.case.cached / 5_000
        asked, start, hits = self.requests(origin), 0, 0
        seconds = 1 if self.case.cached <= 100_000 else FILL_STEP_SECONDS
        while hits < self.case.cached:
            if time.monotonic() > deadline:
                raise Failure(f"the origin is still asked: {asked} times so far")
            result, _ = self.load(server, "all", seconds, start)
            before, asked = asked, self.requests(origin)
            start += result["requests"]
            hits = hits + result["requests"] if asked == before else 0
        # What is still done behind the replies, such as writing to disk, is no part of a hit.
        busy = server.cpu_seconds()
        while time.monotonic() < deadline:
            time.sleep(0.25)
            before, busy = busy, server.cpu_seconds()
            if busy - before < 0.02:
                break

    def sample(self, server, path=SAMPLE):
        """The bytes of one reply."""
        host, key = f"127.0.0.1:{server.port}", self.case.keys[0]
        request = f"GET {path} HTTP/1.1\r\nHost: {host}\r\nX-Dexatel-Key: {key}\r\n\r\n"
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(request.encode())
            reply = b""
            head = re.compile(rb"\r\ncontent-length: (\d+)\r\n(.*?\r\n)?\r\n", re.IGNORECASE | re.DOTALL)
            while not (length := head.search(reply)) or len(reply) < length.end() + int(length[1]):
                piece = connection.recv(65536)
                if not piece:
                    raise Failure(f"{server.name} broke off: {reply!r}")
                reply += piece
        if not reply.startswith(b"HTTP/1.1 200 "):
            raise Failure(f"{server.name} answered {reply!r}")
        return reply

    def measure(self, server, sample, origin):
        self.load(server, self.case.order, self.options.warm_up)
        asked = origin and self.requests(origin)
        cpu = server.cpu_seconds()
        result, command = self.load(server, self.case.order, self.options.seconds)
        cpu = server.cpu_seconds() - cpu
        asked_after = origin and self.requests(origin)
        if asked != asked_after:
            raise Failure(f"not all were hits: the origin was asked {asked_after - asked} times")
        # wrk does not count what is neither an error nor a 200; a redirect or an empty page would be of another size.
        bytes_each = result["bytes"] / result["requests"]
        if abs(bytes_each - len(sample)) > 8:
            raise Failure(f"a reply has {bytes_each:.1f} bytes, and that of the sample {len(sample)}")
        raw = result | {"cpu_seconds": cpu, "reply_bytes": len(sample), "command": command}
        seconds = result["duration_us"] / 1e6
        return report.figures(result["requests"], seconds, cpu, result["p50_us"], result["p99_us"], raw)
