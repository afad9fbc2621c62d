"""Clients that write HTTP themselves: pipelining, odd pieces, HTTP/1.0."""

from support import KEY, LIST, PATH, UPDATE, RawConnection, RelayTests


def get(path, *fields, method="GET", version="1.1"):
    lines = [f"{method} {path} HTTP/{version}", "Host: localhost", f"X-Dexatel-Key: {KEY}", *fields]
    return "\r\n".join(lines) + "\r\n\r\n"


class SocketTests(RelayTests):
    def connect(self):
        return self.enterContext(RawConnection(self.relay))

    def test_pipelined_requests_are_answered_in_order(self):
        paths = self.contacts(0, 30)
        connection = self.connect()
        # Some are in the cache, and some are not.
        for path in paths[::3]:
            connection.send(get(path))
            connection.read_reply()
        connection.send("".join(map(get, paths)))
        for path in paths:
            reply = connection.read_reply()
            self.assertEqual(reply.status, 200)
            self.assertIn(path.rpartition("/")[2].encode(), reply.body)

    def test_pipelined_reads_writes_and_errors_keep_their_order(self):
        (path,) = self.contacts(31, 1)
        connection = self.connect()
        update = f"PUT {path} HTTP/1.1\r\nHost: localhost\r\nX-Dexatel-Key: {KEY}\r\nContent-Type: application/json\r\n"
        update += f"Content-Length: {len(UPDATE)}\r\n\r\n{UPDATE}"
        unknown = f"{LIST}/00000000-0000-4000-8000-000000000000"
        connection.send(get(path) + get(path, method="HEAD") + update + get(path) + get(unknown) + get("/_relay/live"))
        self.assertEqual(connection.read_reply().status, 200)
        self.assertEqual(connection.read_reply(is_head=True).status, 200)
        self.assertEqual(connection.read_reply().status, 200)
        self.assertIn(b"Lovelace", connection.read_reply().body)
        missing = connection.read_reply()
        self.assertEqual((missing.status, b"1351" in missing.body), (404, True))
        self.assertEqual(connection.read_reply().status, 200)

    def test_requests_may_come_in_any_pieces(self):
        connection = self.connect()
        text = get(PATH) + get(PATH)
        for start in range(0, len(text), 7):
            connection.send(text[start : start + 7])
        first, second = connection.read_reply(), connection.read_reply()
        self.assertEqual((first.status, second.status), (200, 200))
        self.assertHit(second.headers)

    def test_http_1_0_closes_unless_it_is_asked_not_to(self):
        connection = self.connect()
        connection.send(get(PATH, "Connection: keep-alive", version="1.0"))
        kept = connection.read_reply()
        self.assertEqual(kept.headers["Connection"], "keep-alive")
        connection.send(get(PATH, version="1.0"))
        self.assertEqual(connection.read_reply().status, 200)
        self.assertIsNone(connection.read_reply())

    def test_the_absolute_form_is_the_same_resource(self):
        (path,) = self.contacts(32, 1)
        connection = self.connect()
        connection.send(get(path) + get(f"http://localhost{path}"))
        first, second = connection.read_reply(), connection.read_reply()
        self.assertHit(second.headers)
        self.assertEqual(first.body, second.body)

    def test_a_client_that_says_close_is_left_after_its_answer(self):
        connection = self.connect()
        connection.send(get(PATH, "Connection: close"))
        self.assertEqual(connection.read_reply().headers["Connection"], "close")
        self.assertIsNone(connection.read_reply())
