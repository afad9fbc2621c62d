"""Exchanges with an upstream that is never the bottleneck: the relay, nginx as a proxy, and a bare epoll loop."""

import getpass
import re
import socket
import threading
import time

import report
from loopback import Failure, fetch, fetch_json, free_port, wait_until
from programs import compiled, tool, wrk
from relay_load import AUDIENCE, CONNECTIONS, KEY, books, load, open_breaker, verify_key

LATENCY_MS = 50
BODY_BYTES = 420
# Fewer where little is delivered: what they take would be most of what is measured.
HITS_PER_SECOND, HITS_PER_SECOND_FAR = 2_000, 200
HIT_CONTACTS, HIT_CONTACTS_FAR = 1_000, 100
# What is to be delivered lasts for the measurement, and for the warm-up, at so many deliveries a second.
DRAIN_RATE, DRAIN_RATE_FAR = 10_000, 1_500
SETTLE_SECONDS = 60
# The median latency of one client's write may be so often that of two commits and the exchange itself.
ONE_CLIENT_FACTOR = 2

# All that is not about limits of the queue is left at its default.
RELAY = """\
listen: {{ port: {port} }}
upstream: {{ url: "http://127.0.0.1:{upstream_port}" }}
state: {{ directory: "{folder}/state" }}
writes: {{ max_pending: 10000000, max_pending_bytes: 64GiB }}
"""

# As quick as it gets: connections to the upstream stay open, and nothing is written to disk.
NGINX = """\
daemon off;
user {user};
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
worker_processes 2;
events {{ worker_connections 1024; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 1000000000;
    upstream origin {{
        server 127.0.0.1:{upstream_port};
        keepalive 64;
        keepalive_requests 1000000000;
    }}
    server {{
        listen 127.0.0.1:{port};
        location / {{
            proxy_pass http://origin;
            proxy_http_version 1.1;
            proxy_set_header Connection "";
        }}
    }}
}}
"""

# By what is measured: the kind of requests in exchanges.lua, and their method.
KINDS = {"put": ("put", "PUT"), "post": ("post", "POST"), "miss": ("get", "GET")}


def upstream_reply():
    """A contact, as the API answers reads and writes."""
    body = '{"data":{"id":"fe84f52d-d05e-4af6-b93a-08dc0110f536","audience_id":"%s","custom1":"%s"}}'
    body %= (AUDIENCE, "x" * (BODY_BYTES - len(body % (AUDIENCE, ""))))
    head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nCache-Control: max-age=3600\r\n"
    return f"{head}Content-Length: {len(body)}\r\n\r\n{body}".encode()


class Measurement:
    """One measurement of one server, in a folder of its own that goes with it."""

    def __init__(self, processes, folder, options, seed):
        self.processes, self.folder, self.options, self.seed = processes, folder, options, seed

    def start_loop(self, name, *more):
        """One of the servers in C, with a contact as its reply."""
        port, reply = free_port(), self.folder / "reply"
        reply.write_bytes(upstream_reply())
        program = compiled(name, self.folder.parent)
        loop = self.processes.start(name, [program, str(port), reply, *more], self.folder / f"{name}.log")
        loop.port, loop.url = port, f"http://127.0.0.1:{port}"
        return loop

    def start_upstream(self, latency_ms, port=None):
        port, reply = port or free_port(), self.folder / "reply"
        reply.write_bytes(upstream_reply())
        command = [compiled("quick-upstream", self.folder.parent), str(port), reply, str(latency_ms)]
        upstream = self.processes.start("quick-upstream", command, self.folder / "upstream.log")
        upstream.port, upstream.url = port, f"http://127.0.0.1:{port}"
        wait_until(lambda: fetch(upstream.url + "/counts")[0] == 200, "it answered", 10, upstream)
        return upstream

    def start_relay(self, upstream_port):
        port, configuration = free_port(), self.folder / "contact-relay.yaml"
        configuration.write_text(RELAY.format(port=port, upstream_port=upstream_port, folder=self.folder))
        relay = self.processes.start_relay(self.folder, configuration, port)
        relay.port = port
        return relay

    def start_nginx(self, upstream_port):
        port, configuration = free_port(), self.folder / "nginx.conf"
        settings = {"folder": self.folder, "user": getpass.getuser()}
        configuration.write_text(NGINX.format(port=port, upstream_port=upstream_port, **settings))
        nginx = self.processes.start("nginx", [tool("nginx"), "-c", configuration], self.folder / "nginx.log")
        nginx.port, nginx.url = port, f"http://127.0.0.1:{port}"
        wait_until(lambda: fetch(nginx.url)[0] == 200, "it answered", 10, nginx)
        return nginx

    def load(self, server, kind, seconds, seed, connections=CONNECTIONS):
        return wrk(server.url, "exchanges.lua", [kind, str(seed), KEY], seconds, connections)

    def figures(self, result, cpu, raw):
        seconds = result["duration_us"] / 1e6
        raw = result | {"cpu_seconds": cpu} | raw
        return report.figures(result["requests"], seconds, cpu, result["p50_us"], result["p99_us"], raw)


class Floor(Measurement):
    """The least that an exchange takes: a bare epoll loop that answers a GET."""

    def measure(self):
        floor = self.start_loop("epoll-floor")
        wait_until(lambda: fetch(floor.url)[0] == 200, "it answered", 10, floor)
        self.load(floor, "get", self.options.warm_up, self.seed)
        cpu = floor.cpu_seconds()
        result, command = self.load(floor, "get", self.options.seconds, self.seed)
        return self.figures(result, floor.cpu_seconds() - cpu, {"command": command})


class Exchange(Measurement):
    """Requests that each need an exchange with the upstream before they are answered."""

    def measure(self, server_name, what, connections, latency_ms):
        kind, method = KINDS[what]
        upstream = self.start_upstream(latency_ms)
        server = (self.start_relay if server_name == "relay" else self.start_nginx)(upstream.port)
        sample = self.reply_bytes(server, method)
        # Far away the processor is idle for the most part, and there is nothing to warm up.
        if not latency_ms:
            self.load(server, kind, self.options.warm_up, self.seed ^ 0xFFFFFFFF, connections)
        seen, cpu = fetch_json(upstream.url + "/counts")[method], server.cpu_seconds()
        result, command = self.load(server, kind, self.options.seconds, self.seed, connections)
        cpu = server.cpu_seconds() - cpu
        seen_after = fetch_json(upstream.url + "/counts")[method]
        if seen_after - seen < result["requests"]:
            raise Failure(f"{result['requests']} replies, but the upstream saw {seen_after - seen} requests")
        # wrk does not tell a 202 from a 200; the one is far shorter than the other.
        bytes_each = result["bytes"] / result["requests"]
        if abs(bytes_each - sample) > 8:
            raise Failure(f"replies have {bytes_each:.1f} bytes, not the sample's {sample}: some are of another kind")
        raw = {"command": command, "reply_bytes": sample, "upstream_saw": seen_after - seen}
        raw["peak_memory_kib"] = server.peak_memory_kib()
        if server_name == "relay" and what == "put":
            raw["books"] = self.settled_books(server, upstream)
        figures = self.figures(result, cpu, raw)
        # What it still does is of no interest, and the folder goes.
        if server_name == "relay":
            server.kill()
        if server_name == "relay" and connections == 1 and latency_ms == 0:
            self.compare_with_budget(figures, upstream)
        return figures

    def compare_with_budget(self, figures, upstream):
        """One client's median latency to what the budget has: twice two commits and the exchange itself."""
        direct, command = self.load(upstream, "put", 1, self.seed, 1)
        commit_us = report.fdatasync_us(self.folder, is_in_place=True)
        budget_us = ONE_CLIENT_FACTOR * (2 * commit_us + direct["p50_us"])
        figures["p50_of_budget"] = figures["p50_us"] / budget_us
        figures["raw"] |= {"direct": direct, "direct_command": command}
        figures["raw"] |= {"commit_us": commit_us, "p50_budget_us": budget_us}

    def reply_bytes(self, server, method):
        """The length of a whole reply, to a request like those that are measured."""
        contact = "ffffffff-ffff-4000-8000-000000000000"
        path = "/v1/messages" if method == "POST" else f"/v1/audiences/{AUDIENCE}/contacts/{contact}"
        body = "" if method == "GET" else '{"data":{"first_name":"Ada"}}'
        fields = f"Host: 127.0.0.1:{server.port}\r\nX-Dexatel-Key: {KEY}\r\nContent-Length: {len(body)}\r\n"
        fields += "Content-Type: application/json\r\n" if body else ""
        with socket.create_connection(("127.0.0.1", server.port), timeout=10) as connection:
            connection.sendall(f"{method} {path} HTTP/1.1\r\n{fields}\r\n{body}".encode())
            reply = b""
            head = re.compile(rb"\r\ncontent-length: (\d+)\r\n(.*?\r\n)?\r\n", re.IGNORECASE | re.DOTALL)
            while not (length := head.search(reply)) or len(reply) < length.end() + int(length[1]):
                piece = connection.recv(65536)
                if not piece:
                    raise Failure(f"{server.name} broke off: {reply!r}")
                reply += piece
        if not reply.startswith(b"HTTP/1.1 200 "):
            raise Failure(f"{server.name} answered {reply!r}")
        return len(reply)

    def settled_books(self, relay, upstream):
        """The outbox when nothing is pending any more: each write was delivered, and the upstream saw each."""
        wait_until(lambda: books(relay)["pending"] == 0, "nothing is pending", SETTLE_SECONDS, relay)
        settled, seen = books(relay), fetch_json(upstream.url + "/counts")["PUT"]
        if settled["delivered"] != settled["accepted"] or seen < settled["delivered"]:
            raise Failure(f"writes were lost: the upstream saw {seen}, and the books are {settled}")
        return settled | {"upstream_saw": seen}


class Drain(Measurement):
    """A backlog that is delivered while hits are served at a steady rate."""

    def measure(self, latency_ms):
        self.hits_per_second = HITS_PER_SECOND_FAR if latency_ms else HITS_PER_SECOND
        self.hit_contacts = HIT_CONTACTS_FAR if latency_ms else HIT_CONTACTS
        upstream = self.start_upstream(0)
        relay = self.start_relay(upstream.port)
        verify_key(relay)
        self.warm_cache(relay)
        upstream.kill()
        open_breaker(relay)
        self.fill(relay, DRAIN_RATE_FAR if latency_ms else DRAIN_RATE)
        hit_cpu_us = self.hit_cpu_us(relay)
        pending = books(relay)["pending"]

        # With the upstream there from the start nothing is waited for.
        relay.kill()
        upstream = self.start_upstream(latency_ms, upstream.port)
        relay = self.start_relay(upstream.port)
        self.warm_cache(relay)
        self.hits(relay, self.options.warm_up)
        before = self.look(relay)
        with Watch(relay, self.look) as watch:
            hits, command = self.hits(relay, self.options.seconds)
        course = [before, *watch.course]
        # Up to where nothing was left, if that came first.
        end = next((now for now in course if now["pending"] == 0), course[-1])
        if end is before:
            raise Failure("the backlog was delivered before the measurement began")
        seconds, delivered = end["at"] - before["at"], end["delivered"] - before["delivered"]
        if delivered == 0:
            raise Failure(f"nothing was delivered: {books(relay)}")
        served = hits["requests"] / (hits["duration_us"] / 1e6) * seconds
        cpu = end["cpu_seconds"] - before["cpu_seconds"] - served * hit_cpu_us / 1e6
        raw = {
            "pending_at_start": pending,
            "delivered": delivered,
            "seconds": seconds,
            "cpu_seconds_with_hits": end["cpu_seconds"] - before["cpu_seconds"],
            "cpu_seconds": cpu,
            "hit_cpu_us": hit_cpu_us,
            "hits": hits,
            "course": [now | {"at": round(now["at"] - before["at"], 3)} for now in course],
            "books": self.checked_books(relay, upstream, pending),
            "peak_memory_kib": relay.peak_memory_kib(),
            "command": command,
        }
        relay.kill()
        # The latencies are those of the hits meanwhile: a delivery has no client that waits.
        return report.figures(delivered, seconds, cpu, hits["p50_us"], hits["p99_us"], raw)

    def warm_cache(self, relay):
        """Has every contact read at least twice: wrk does not wait for its last replies."""
        start, deadline = 0, time.monotonic() + SETTLE_SECONDS
        while start < 2 * self.hit_contacts:
            if time.monotonic() > deadline:
                raise Failure(f"in {SETTLE_SECONDS} s only {start} reads were answered")
            arguments = ["all", str(self.hit_contacts), str(start), *[KEY] * 4]
            result, _ = wrk(relay.url, "cached-get.lua", arguments, 1, CONNECTIONS)
            start += result["requests"]

    @staticmethod
    def misses(relay):
        return fetch_json(relay.url + "/_relay/status")["cache"]["misses"]

    def hits(self, relay, seconds):
        pause_ms = round(CONNECTIONS * 1000 / self.hits_per_second)
        arguments = ["uniform", str(self.hit_contacts), str(self.seed), *[KEY] * 4, str(pause_ms)]
        before = self.misses(relay)
        result, command = wrk(relay.url, "cached-get.lua", arguments, seconds, CONNECTIONS)
        if (missed := self.misses(relay) - before) > 0:
            raise Failure(f"not all were hits: {missed} were not")
        return result, command

    def hit_cpu_us(self, relay):
        """What a hit takes at this rate while nothing is delivered."""
        cpu = relay.cpu_seconds()
        result, _ = self.hits(relay, self.options.warm_up)
        return (relay.cpu_seconds() - cpu) / result["requests"] * 1e6

    def fill(self, relay, rate):
        """Accepts writes until there are enough for the whole measurement."""
        wanted, pieces = rate * (self.options.seconds + self.options.warm_up), 0
        while books(relay)["pending"] < wanted:
            load(relay, 1, self.seed + pieces)
            pieces += 1
            if pieces > 60 + wanted / 1_000:
                raise Failure(f"after {pieces} s there are not {wanted} pending writes: {books(relay)}")

    @staticmethod
    def look(relay):
        now = books(relay)
        at, cpu = time.monotonic(), relay.cpu_seconds()
        return {"at": at, "cpu_seconds": cpu, "delivered": now["delivered"], "pending": now["pending"]}

    @staticmethod
    def checked_books(relay, upstream, pending):
        """Each write that was pending is delivered or still pending, and the upstream saw each that is delivered."""
        now, seen = books(relay), fetch_json(upstream.url + "/counts")["PUT"]
        # One was delivered before there was a backlog, to the upstream before this one.
        delivered = now["delivered"] - 1
        if delivered + now["pending"] != pending or seen < delivered:
            raise Failure(f"{pending} writes were pending, the upstream saw {seen}, and the books are {now}")
        return now | {"upstream_saw": seen}


class Watch:
    """Looks at a relay several times a second, beside what a context does."""

    def __init__(self, relay, look):
        self.course, self._relay, self._look = [], relay, look
        self._is_over, self._failure = threading.Event(), None
        self._thread = threading.Thread(target=self._run, daemon=True)

    def _run(self):
        try:
            while not self._is_over.wait(0.1):
                self.course.append(self._look(self._relay))
        except (Failure, OSError) as failure:
            self._failure = failure

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, kind, error, _):
        self._is_over.set()
        self._thread.join(20)
        if self._failure and not error:
            raise Failure(f"the relay could not be looked at: {self._failure}")
        return False
