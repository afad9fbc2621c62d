"""The HTTP clients of Python: requests and httpx."""

import asyncio
import concurrent.futures
import random

import httpx
import requests

from origin import LARGE_BYTES, digest, large_body, owner
from support import AUDIENCE, KEY, LIST, OTHER_KEY, PATH, UPDATE, OriginTests, RelayTests, fetch_json

# What a process may take more for bodies that it streams, whatever their length.
STREAMING_KIB = 24 << 10


def new_session():
    session = requests.Session()
    # A proxy of the environment is not for loopback.
    session.trust_env = False
    session.headers["X-Dexatel-Key"] = KEY
    return session


class RequestsTests(RelayTests):
    def test_a_session_keeps_its_connection(self):
        session = self.enterContext(new_session())
        (path,) = self.contacts(0, 1)
        replies = [session.get(self.url(path), timeout=30) for _ in range(20)]
        self.assertEqual({reply.status_code for reply in replies}, {200})
        for reply in replies[1:]:
            self.assertHit(reply.headers)
        (pool,) = session.get_adapter("http://").poolmanager.pools._container.values()
        self.assertEqual(pool.num_connections, 1)

    def test_threads_share_the_cache(self):
        paths = self.contacts(10, 20)

        def read(_):
            with new_session() as session:
                return [session.get(self.url(path), timeout=30).json()["data"]["id"] for path in paths]

        with concurrent.futures.ThreadPoolExecutor(8) as threads:
            for found in threads.map(read, range(8)):
                self.assertEqual(found, [path.rpartition("/")[2] for path in paths])
        for path in paths:
            self.assertEqual(self.upstream_requests(path), 1, path)

    def test_an_update_is_seen_by_the_next_read(self):
        session = self.enterContext(new_session())
        (path,) = self.contacts(40, 1)
        session.get(self.url(path), timeout=30)
        for number in range(5):
            name = f"Ada {number}"
            written = session.put(self.url(path), json={"data": {"first_name": name}}, timeout=30)
            self.assertIn(written.status_code, (200, 202))
            self.assertEqual(session.get(self.url(path), timeout=30).json()["data"]["first_name"], name)

    def test_errors_are_the_upstreams_own(self):
        session = self.enterContext(new_session())
        reply = session.get(self.url(f"{LIST}/00000000-0000-4000-8000-000000000000"), timeout=30)
        self.assertEqual(reply.status_code, 404)
        self.assertEqual(reply.json()["errors"][0]["code"], 1351)
        self.assertNotIn("Contact-Relay-Error", reply.headers)

    def test_a_refusal_in_the_middle_of_a_body_does_no_harm_to_the_next_request(self):
        session = self.enterContext(new_session())
        headers = {"Content-Type": "application/json"}
        for body in ("x" * (300 << 10), iter([b"x" * (40 << 10)] * 3), "x" * (65 << 10)):
            refused = session.put(self.url(PATH), data=body, headers=headers, timeout=30)
            self.assertEqual((refused.status_code, refused.headers["Contact-Relay-Error"]), (413, "body_too_large"))
            self.assertEqual(session.get(self.url(PATH), timeout=30).status_code, 200)

    def test_an_outage_is_not_noticed_by_a_reader(self):
        session = self.enterContext(new_session())
        (path, unread) = self.contacts(41, 2)
        before = session.get(self.url(path), timeout=30)
        self.set_faults('{"mode":"down"}')
        during = session.get(self.url(path), timeout=30)
        self.assertEqual((during.status_code, during.content), (200, before.content))
        self.assertHit(during.headers)
        nothing = session.get(self.url(unread), timeout=30)
        self.assertEqual(nothing.status_code, 504)
        self.assertEqual(nothing.headers["Contact-Relay-Error"], "upstream_unreachable")
        self.assertGreaterEqual(int(nothing.headers["Retry-After"]), 1)


class HTTPXTests(RelayTests):
    def test_a_client_reads_from_the_cache(self):
        client = self.enterContext(self.client(headers={"X-Dexatel-Key": KEY}))
        (path,) = self.contacts(0, 1)
        first, second = client.get(path), client.get(path)
        self.assertStored(first.headers)
        self.assertHit(second.headers)
        self.assertEqual(first.json(), second.json())
        self.assertEqual(client.head(path).headers["Content-Length"], str(len(first.content)))

    def test_the_first_readers_of_a_contact_share_one_request_upstream(self):
        (path,) = self.contacts(1, 1)
        # So long that all of them have asked before it answers.
        self.set_faults('{"latency_ms":500}')

        async def read():
            limits = httpx.Limits(max_connections=32)
            async with self.client(httpx.AsyncClient, headers={"X-Dexatel-Key": KEY}, limits=limits) as client:
                return await asyncio.gather(*(client.get(path) for _ in range(32)))

        replies = asyncio.run(read())
        self.assertEqual({reply.status_code for reply in replies}, {200})
        self.assertEqual(len({reply.content for reply in replies}), 1)
        self.assertEqual(self.upstream_requests(path), 1)

    def test_a_writer_that_does_not_wait_reads_its_write(self):
        client = self.enterContext(self.client(headers={"X-Dexatel-Key": KEY}))
        client.get(PATH)
        self.set_faults('{"latency_ms":300}')
        headers = {"Prefer": "respond-async", "Content-Type": "application/json"}
        written = client.put(PATH, content=UPDATE, headers=headers)
        self.assertEqual((written.status_code, written.headers["Preference-Applied"]), (202, "respond-async"))
        read = client.get(PATH)
        self.assertEqual(read.json()["data"]["last_name"], "Lovelace")
        receipt = client.get(written.headers["Location"])
        self.assertEqual(receipt.json()["method"], "PUT")


class StreamingTests(OriginTests):
    """Bodies that are longer than any buffer, up and down."""

    def assertStreamed(self, before):
        self.assertLess(self.relay.peak_memory_kib() - before, STREAMING_KIB)

    def test_requests_streams_down(self):
        before = self.relay.peak_memory_kib()
        session = self.enterContext(new_session())
        with session.get(self.url("/v1/exports/large"), stream=True, timeout=60) as reply:
            self.assertEqual(reply.status_code, 200)
            self.assertEqual(digest(reply.iter_content(65536)), digest(large_body()))
        self.assertStreamed(before)

    def test_requests_streams_up(self):
        before = self.relay.peak_memory_kib()
        session = self.enterContext(new_session())
        reply = session.post(self.url("/v1/imports"), data=large_body(), timeout=60)
        expected = {"length": LARGE_BYTES, "sha256": digest(large_body()), "chunked": True}
        self.assertEqual((reply.status_code, reply.json()), (201, expected))
        self.assertStreamed(before)

    def test_httpx_streams_both_ways(self):
        before = self.relay.peak_memory_kib()
        with self.client(headers={"X-Dexatel-Key": KEY}, timeout=60) as client:
            with client.stream("GET", "/v1/exports/large") as reply:
                self.assertEqual(digest(reply.iter_bytes()), digest(large_body()))
            headers = {"Content-Length": str(LARGE_BYTES)}
            told = client.post("/v1/imports", content=large_body(), headers=headers).json()
        self.assertEqual(told, {"length": LARGE_BYTES, "sha256": digest(large_body()), "chunked": False})
        self.assertStreamed(before)

    def test_a_piece_arrives_before_the_next_is_sent(self):
        with self.client(headers={"X-Dexatel-Key": KEY}) as client:
            with client.stream("GET", "/v1/exports/slow") as reply:
                pieces = reply.iter_raw()
                self.assertEqual(next(pieces), b"first,")
                self.origin.release.set()
                self.assertEqual(b"".join(pieces), b"second")


class IsolationTests(OriginTests):
    """Two keys on the same URLs: an upstream that answers each differently, with the same ETag for both (P4)."""

    paths = [f"/v1/audiences/{AUDIENCE}/contacts/{number:08x}-0000-4000-8000-000000000000" for number in range(16)]

    async def read(self, key, seed, rounds):
        order = random.Random(seed)
        headers = {"X-Dexatel-Key": key}
        async with self.client(httpx.AsyncClient, headers=headers) as client:
            for _ in range(rounds):
                path = order.choice(self.paths)
                conditions = order.choice(({}, {}, {"If-None-Match": '"an-old-one"'}, {"Cache-Control": "no-cache"}))
                reply = await client.get(path, headers=conditions)
                self.assertEqual(reply.status_code, 200)
                self.assertEqual(reply.json()["data"]["last_name"], owner(key), f"seed {seed}: {path} {conditions}")

    def test_two_keys_that_read_the_same_never_see_each_other(self):
        async def read_all():
            keys = [KEY, OTHER_KEY] * 8
            await asyncio.gather(*(self.read(key, seed, 40) for seed, key in enumerate(keys)))

        asked = lambda: sum(self.origin.count(path) for path in self.paths)
        before = asked()
        asyncio.run(read_all())
        # A quarter of the 640 reads insist on the upstream; of the others most are from the cache.
        self.assertLess(asked() - before, 320)

    def test_two_keys_on_one_connection_never_see_each_other(self):
        path = self.paths[0]
        with self.client() as client:
            for number in range(40):
                key = (KEY, OTHER_KEY)[number % 2]
                found = client.get(path, headers={"X-Dexatel-Key": key}).json()["data"]["last_name"]
                self.assertEqual(found, owner(key))

    def test_a_key_that_is_refused_gets_nothing_of_anothers(self):
        path, junk = self.paths[1], "an-unknown-key"
        self.origin.refused.add(junk)
        with self.client() as client:
            self.assertEqual(client.get(path, headers={"X-Dexatel-Key": KEY}).status_code, 200)
            for key in (junk, None, junk):
                headers = {"X-Dexatel-Key": key} if key else {}
                reply = client.get(path, headers=headers)
                self.assertEqual(reply.status_code, 401)
                self.assertNotIn(owner(KEY), reply.text)
