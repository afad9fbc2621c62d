"""curl, the program."""

import json
import subprocess

from support import KEY, LIST, PATH, UPDATE, Fields, RelayTests, cache_status


class CurlReply:
    def __init__(self, status, headers, body, written):
        self.status, self.headers, self.body, self.written = status, headers, body, written


class CurlTests(RelayTests):
    def curl(self, path, *options, key=KEY, written="%{http_code}"):
        command = ["curl", "--silent", "--show-error", "--noproxy", "*", "--max-time", "30"]
        command += ["--header", f"X-Dexatel-Key: {key}", "--write-out", written]
        command += ["--dump-header", self.folder / "head", "--output", self.folder / "body"]
        (self.folder / "body").write_bytes(b"")
        command += [*options, self.url(path)]
        result = subprocess.run([str(part) for part in command], capture_output=True, text=True, timeout=60)
        self.assertEqual(result.returncode, 0, result.stderr)
        # Behind an interim reply comes the final one.
        *_, head = (self.folder / "head").read_text().strip().split("\n\n")
        first, *lines = head.splitlines()
        pairs = (line.partition(":") for line in lines)
        headers = Fields({name.lower(): value.strip() for name, _, value in pairs})
        return CurlReply(int(first.split()[1]), headers, (self.folder / "body").read_bytes(), result.stdout)

    def test_reads_twice_and_is_answered_from_the_cache(self):
        (path,) = self.contacts(1, 1)
        first, second = self.curl(path), self.curl(path)
        self.assertEqual((first.status, second.status), (200, 200))
        self.assertStored(first.headers)
        self.assertHit(second.headers)
        self.assertEqual(first.body, second.body)
        self.assertEqual(self.upstream_requests(path), 1)

    def test_reads_a_list_from_the_cache(self):
        first, second = self.curl(f"{LIST}?page_size=3"), self.curl(f"{LIST}?page_size=3")
        self.assertHit(second.headers)
        self.assertEqual(len(json.loads(second.body)["data"]), 3)
        self.assertEqual(first.body, second.body)
        other = self.curl(f"{LIST}?page_size=4")
        self.assertEqual(len(json.loads(other.body)["data"]), 4)

    def test_reads_with_http_1_0(self):
        (path,) = self.contacts(2, 1)
        modern, old = self.curl(path), self.curl(path, "--http1.0")
        self.assertEqual(old.status, 200)
        self.assertHit(old.headers)
        self.assertEqual(old.body, modern.body)
        self.assertNotIn("Transfer-Encoding", old.headers)

    def test_asks_for_the_head_of_what_is_stored(self):
        (path,) = self.contacts(3, 1)
        whole, head = self.curl(path), self.curl(path, "--head")
        self.assertEqual(head.status, 200)
        self.assertHit(head.headers)
        self.assertEqual(int(head.headers["Content-Length"]), len(whole.body))
        self.assertEqual(head.headers["ETag"], whole.headers["ETag"])

    def test_asks_for_ranges(self):
        (path,) = self.contacts(4, 1)
        whole = self.curl(path).body
        for wanted, expected, described in (
            ("0-9", whole[:10], f"bytes 0-9/{len(whole)}"),
            ("20-", whole[20:], f"bytes 20-{len(whole) - 1}/{len(whole)}"),
            ("-7", whole[-7:], f"bytes {len(whole) - 7}-{len(whole) - 1}/{len(whole)}"),
        ):
            with self.subTest(range=wanted):
                part = self.curl(path, "--range", wanted)
                self.assertEqual(part.status, 206)
                self.assertEqual(part.headers["Content-Range"], described)
                self.assertEqual(part.body, expected)
                self.assertHit(part.headers)
        beyond = self.curl(path, "--range", f"{len(whole)}-")
        self.assertEqual(beyond.status, 416)
        self.assertEqual(beyond.headers["Content-Range"], f"bytes */{len(whole)}")

    def test_asks_for_compression(self):
        (path,) = self.contacts(5, 1)
        plain = self.curl(path)
        compressed = self.curl(path, "--compressed")
        self.assertEqual(compressed.body, plain.body)
        self.assertEqual(json.loads(compressed.body)["data"]["id"], path.rpartition("/")[2])

    def test_compares_an_etag(self):
        (path,) = self.contacts(6, 1)
        tag = self.folder / "etag"
        first = self.curl(path, "--etag-save", tag)
        self.assertEqual(tag.read_text().strip(), first.headers["ETag"])
        second = self.curl(path, "--etag-compare", tag)
        self.assertEqual((second.status, second.body), (304, b""))
        self.assertHit(second.headers)
        self.assertEqual(second.headers["ETag"], first.headers["ETag"])
        tag.write_text('"another"\n')
        self.assertEqual(self.curl(path, "--etag-compare", tag).body, first.body)

    def test_uses_a_connection_again(self):
        (path,) = self.contacts(7, 1)
        more = [part for _ in range(4) for part in ("--output", self.folder / "body", self.url(path))]
        reply = self.curl(path, *more, written="%{num_connects},")
        self.assertEqual(reply.written, "1,0,0,0,0,")

    def test_reads_over_the_unix_socket(self):
        (path,) = self.contacts(8, 1)
        first = self.curl(path, "--unix-socket", self.folder / "relay.sock")
        self.assertEqual(first.status, 200)
        self.assertHit(self.curl(path).headers)

    def test_writes_and_reads_what_it_wrote(self):
        (path,) = self.contacts(9, 1)
        self.curl(path)
        options = ["--header", "Content-Type: application/json", "--request", "PUT", "--data", UPDATE]
        written = self.curl(path, *options)
        self.assertEqual(written.status, 200)
        read = self.curl(path)
        self.assertEqual(json.loads(read.body)["data"]["last_name"], "Lovelace")

    def test_waits_to_be_asked_for_the_body(self):
        options = ["--header", "Content-Type: application/json", "--header", "Expect: 100-continue"]
        written = self.curl(PATH, *options, "--request", "PUT", "--data", UPDATE)
        self.assertEqual(written.status, 200)
        self.assertIn("Contact-Relay-Write", written.headers)

    def test_reloads_past_the_cache(self):
        (path,) = self.contacts(10, 1)
        self.curl(path)
        reloaded = self.curl(path, "--header", "Cache-Control: no-cache")
        self.assertEqual(cache_status(reloaded.headers).get("fwd"), "request")
        self.assertEqual(reloaded.status, 200)
        self.assertEqual(self.upstream_requests(path), 2)

    def test_wants_nothing_but_the_cache(self):
        (path,) = self.contacts(11, 1)
        nothing = self.curl(path, "--header", "Cache-Control: only-if-cached")
        self.assertEqual(nothing.status, 504)
        self.assertEqual(self.upstream_requests(path), 0)
        self.curl(path)
        self.assertHit(self.curl(path, "--header", "Cache-Control: only-if-cached").headers)
