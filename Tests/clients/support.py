"""A real relay for a class of tests, with the simulator or an origin of our own behind it."""

import pathlib
import socket
import sys
import tempfile
import unittest

import httpx

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent.parent / "Scripts"))

from loopback import ROOT, Processes, fetch, fetch_json, free_port, wait_until
from origin import Origin

KEY = "94d2f2f2884848bca861264ad86d8ace"
OTHER_KEY = "5f1c0b7e6a3d4c2b9e8f7a6b5c4d3e2f"
AUDIENCE = "22089fd7-7b74-4815-8452-3a8e864affbc"
CONTACT = "fe84f52d-d05e-4af6-b93a-08dc0110f536"
LIST = f"/v1/audiences/{AUDIENCE}/contacts"
PATH = f"{LIST}/{CONTACT}"
UPDATE = '{"data":{"first_name":"Ada","last_name":"Lovelace","timestamp":"1700000000","date":"1815-12-10"}}'

CONFIGURATION = """\
listen: {{ port: {port}, unix_socket: "{folder}/relay.sock" }}
upstream: {{ url: "{upstream}" }}
state: {{ directory: "{folder}/state" }}
writes: {{ retry: {{ initial: 50ms, max: 500ms }} }}
"""


class RelayTests(unittest.TestCase):
    """Tests against a relay in front of the simulator."""

    simulator_options = ("--etag", "--cache-control", "max-age=60")
    maxDiff = None

    @classmethod
    def setUpClass(cls):
        folder = tempfile.TemporaryDirectory(prefix="contact-relay-clients-")
        cls.addClassCleanup(folder.cleanup)
        cls.folder = pathlib.Path(folder.name)
        cls.processes = cls.enterClassContext(Processes())
        upstream = cls.start_upstream()
        port = free_port()
        configuration = cls.folder / "contact-relay.yaml"
        configuration.write_text(CONFIGURATION.format(port=port, upstream=upstream, folder=cls.folder))
        cls.relay = cls.processes.start_relay(cls.folder, configuration, port)
        cls.relay.port = port

    @classmethod
    def start_upstream(cls):
        cls.simulator = cls.processes.start_simulator(cls.folder, "--seed-contacts", "200", *cls.simulator_options)
        return cls.simulator.api

    def url(self, path):
        return self.relay.url + path

    def client(self, kind=httpx.Client, **options):
        """An httpx client of the relay."""
        # A proxy of the environment is not for loopback.
        return kind(**{"base_url": self.relay.url, "trust_env": False, "timeout": 30} | options)

    def contacts(self, first, count):
        """Paths of contacts of the simulator, which no other test of the class reads."""
        page = fetch_json(self.simulator.api + LIST + "?page_size=200", headers={"X-Dexatel-Key": KEY})
        return [f"{LIST}/{contact['id']}" for contact in page["data"][first : first + count]]

    def set_faults(self, faults):
        """Makes the upstream fail until the test is over."""
        self.addCleanup(self.restore)
        status, body = fetch(self.simulator.control + "/faults", method="PUT", body=faults.encode())
        self.assertEqual(status, 200, body)

    def restore(self):
        """Ends all faults, and waits until the relay has noticed and nothing is left to be delivered."""
        fetch(self.simulator.control + "/faults", method="DELETE")

        def is_well():
            fetch(self.url("/v1/audiences"), headers={"X-Dexatel-Key": KEY, "Cache-Control": "no-cache"})
            status = fetch_json(self.url("/_relay/status"))
            return status["upstream"]["state"] == "closed" and status["outbox"]["pending"] == 0

        wait_until(is_well, "the relay reaches the upstream again", 60, self.relay)

    def upstream_requests(self, path):
        """How often the simulator was asked for a path."""
        return sum(entry["target"] == path for entry in fetch_json(self.simulator.control + "/log"))

    def assertHit(self, headers):
        self.assertIn("hit", cache_status(headers), dict(headers))
        self.assertGreaterEqual(int(headers["Age"]), 0)

    def assertStored(self, headers):
        status = cache_status(headers)
        self.assertIn("fwd", status)
        self.assertIn("stored", status)


class OriginTests(RelayTests):
    """Tests against a relay in front of an Origin."""

    @classmethod
    def start_upstream(cls):
        cls.origin = Origin()
        cls.addClassCleanup(cls.origin.stop)
        return cls.origin.url


def cache_status(headers):
    """What the relay says in Cache-Status (RFC 9211), by the parameter's name; a parameter without a value is true."""
    for member in (headers.get("Cache-Status") or "").split(","):
        name, *parameters = (part.strip() for part in member.split(";"))
        if name == "contact-relay":
            pairs = (parameter.partition("=") for parameter in parameters)
            return {name: value if separator else True for name, separator, value in pairs}
    return {}


class RawReply:
    """A reply as it came."""

    def __init__(self, status, version, headers, body):
        self.status, self.version, self.headers, self.body = status, version, headers, body


class RawConnection:
    """A connection on which a test writes and reads bytes itself."""

    def __init__(self, relay):
        self.socket = socket.create_connection(("127.0.0.1", relay.port), timeout=30)
        self.input = self.socket.makefile("rb")

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.input.close()
        self.socket.close()

    def send(self, text):
        self.socket.sendall(text.encode() if isinstance(text, str) else text)

    def read_reply(self, is_head=False):
        """The next reply; None at the end of the connection."""
        line = self.input.readline().decode()
        if not line:
            return None
        version, status, *_ = line.split(" ")
        headers = {}
        while (line := self.input.readline().decode().rstrip("\r\n")) != "":
            name, _, value = line.partition(":")
            headers[name.lower()] = value.strip()
        return RawReply(int(status), version, Fields(headers), self.read_body(int(status), headers, is_head))

    def read_body(self, status, headers, is_head):
        if is_head or status in (204, 304):
            return b""
        if headers.get("transfer-encoding") == "chunked":
            body = b""
            while length := int(self.input.readline(), 16):
                body += self.input.read(length)
                self.input.readline()
            self.input.readline()
            return body
        if "content-length" in headers:
            return self.input.read(int(headers["content-length"]))
        return self.input.read()


class Fields(dict):
    """Header fields, by names in any case."""

    def __getitem__(self, name):
        return super().__getitem__(name.lower())

    def __contains__(self, name):
        return super().__contains__(name.lower())

    def get(self, name, otherwise=None):
        return super().get(name.lower(), otherwise)
