"""A browser: it compresses, keeps what it has read, asks whether that still holds, and reloads."""

import gzip
import json

import brotli

from support import KEY, OriginTests, RelayTests, cache_status

BROWSER = {
    "User-Agent": "Mozilla/5.0 (X11; Linux x86_64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/131.0.0.0 "
    "Safari/537.36",
    "sec-ch-ua": '"Chromium";v="131", "Not_A Brand";v="24"',
    "sec-ch-ua-mobile": "?0",
    "sec-ch-ua-platform": '"Linux"',
    "Accept": "*/*",
    "Accept-Encoding": "gzip, deflate, br, zstd",
    "Accept-Language": "en-US,en;q=0.9",
    "Sec-Fetch-Site": "same-origin",
    "Sec-Fetch-Mode": "cors",
    "Sec-Fetch-Dest": "empty",
    "X-Dexatel-Key": KEY,
}


class BrowserTests(RelayTests):
    def setUp(self):
        self.browser = self.enterContext(self.client(headers=BROWSER))

    def test_asks_whether_what_it_has_still_holds(self):
        (path,) = self.contacts(0, 1)
        first = self.browser.get(path)
        again = self.browser.get(path, headers={"If-None-Match": first.headers["ETag"]})
        self.assertEqual((again.status_code, again.content), (304, b""))
        self.assertHit(again.headers)
        self.assertEqual(self.upstream_requests(path), 1)

    def test_a_reload_asks_the_upstream_whether_it_still_holds(self):
        (path,) = self.contacts(1, 1)
        first = self.browser.get(path)
        headers = {"If-None-Match": first.headers["ETag"], "Cache-Control": "max-age=0"}
        again = self.browser.get(path, headers=headers)
        self.assertEqual(again.status_code, 304)
        self.assertEqual(self.upstream_requests(path), 1 if "hit" in cache_status(again.headers) else 2)

    def test_a_hard_reload_gets_the_whole_reply_from_the_upstream(self):
        (path,) = self.contacts(2, 1)
        first = self.browser.get(path)
        again = self.browser.get(path, headers={"Cache-Control": "no-cache", "Pragma": "no-cache"})
        self.assertEqual((again.status_code, again.content), (200, first.content))
        self.assertEqual(cache_status(again.headers).get("fwd"), "request")

    def test_an_update_makes_what_it_has_invalid(self):
        (path,) = self.contacts(3, 1)
        first = self.browser.get(path)
        tag = {"If-None-Match": first.headers["ETag"]}
        self.assertEqual(self.browser.put(path, json={"data": {"first_name": "Augusta"}}).status_code, 200)
        changed = self.browser.get(path, headers=tag)
        self.assertEqual(changed.status_code, 200)
        self.assertEqual(changed.json()["data"]["first_name"], "Augusta")
        self.assertNotEqual(changed.headers["ETag"], first.headers["ETag"])

    def test_continues_a_download(self):
        (path,) = self.contacts(4, 1)
        whole = self.browser.get(path)
        rest = {"Range": "bytes=100-", "If-Range": whole.headers["ETag"]}
        part = self.browser.get(path, headers=rest)
        self.assertEqual((part.status_code, part.content), (206, whole.content[100:]))
        changed = self.browser.get(path, headers={"Range": "bytes=100-", "If-Range": '"another"'})
        self.assertEqual((changed.status_code, changed.content), (200, whole.content))


class CodingTests(OriginTests):
    """An upstream that compresses for those who understand it, and says `Vary: Accept-Encoding`."""

    def get(self, coding):
        with self.client(headers={"X-Dexatel-Key": KEY}) as client:
            with client.stream("GET", "/v1/templates", headers={"Accept-Encoding": coding}) as reply:
                return reply.headers, b"".join(reply.iter_raw())

    def test_each_client_gets_the_coding_that_it_understands(self):
        decoders = {"br": brotli.decompress, "gzip": gzip.decompress, "identity": lambda body: body}
        for number in range(3):
            for coding, decode in decoders.items():
                with self.subTest(coding=coding, number=number):
                    headers, body = self.get(coding)
                    self.assertEqual(headers.get("Content-Encoding", "identity"), coding)
                    self.assertEqual(len(json.loads(decode(body))["data"]), 200)
                    if number:
                        self.assertHit(headers)
        self.assertEqual(self.origin.count("/v1/templates"), 3)

    def test_a_browser_decodes_what_the_cache_gives(self):
        with self.client(headers=BROWSER) as browser:
            replies = [browser.get("/v1/templates?of=browser") for _ in range(2)]
        self.assertEqual([reply.headers["Content-Encoding"] for reply in replies], ["br", "br"])
        self.assertHit(replies[1].headers)
        self.assertEqual(replies[0].json(), replies[1].json())
