"""What the relay really sends, against docs/openapi.yaml."""

import jsonschema
import yaml

from support import KEY, LIST, PATH, ROOT, UPDATE, RelayTests, wait_until

DOCUMENT = yaml.safe_load((ROOT / "docs/openapi.yaml").read_text())


class DocumentTests(RelayTests):
    def setUp(self):
        headers = {"X-Dexatel-Key": KEY, "Content-Type": "application/json"}
        self.client = self.enterContext(self.client(headers=headers))

    def assertConforms(self, reply, name):
        """A reply's body is as a schema of the document says, and holds no member that the document does not know."""
        schema = {"$ref": f"#/components/schemas/{name}", "components": DOCUMENT["components"]}
        formats = jsonschema.Draft202012Validator.FORMAT_CHECKER
        jsonschema.Draft202012Validator(schema, format_checker=formats).validate(reply.json())
        self.assertKnown(reply.json(), DOCUMENT["components"]["schemas"][name])

    def assertKnown(self, value, schema):
        """Every member of a value, however deep, is one that its schema names, where that names any."""
        if "$ref" in schema:
            schema = DOCUMENT["components"]["schemas"][schema["$ref"].rpartition("/")[2]]
        if not isinstance(value, dict) or "properties" not in schema:
            return
        self.assertLessEqual(value.keys(), schema["properties"].keys())
        for name, member in value.items():
            self.assertKnown(member, schema["properties"][name])

    def assertDocumented(self, path, method, reply):
        """A reply's status, and what is the relay's own of its header section, are in the document."""
        responses = DOCUMENT["paths"][path][method]["responses"]
        response = responses.get(str(reply.status_code)) or responses["default"]
        if "$ref" in response:
            response = DOCUMENT["components"]["responses"][response["$ref"].rpartition("/")[2]]
        documented = {name.lower() for name in response.get("headers", {})}
        own = {"cache-status", "location", "preference-applied"}
        own = {name for name in reply.headers if name in own or name.startswith("contact-relay-")}
        self.assertLessEqual(own, documented, f"{method} {path}: {reply.status_code}")

    def test_health(self):
        for name in ("live", "ready"):
            reply = self.client.get(f"/_relay/{name}")
            self.assertEqual(reply.status_code, 200)
            self.assertConforms(reply, "Health")
            self.assertDocumented(f"/_relay/{name}", "get", reply)

    def test_status(self):
        for faults in ('{"mode":"up"}', '{"mode":"down"}'):
            self.set_faults(faults)
            for number in range(6):
                self.client.put(f"{LIST}/00000000-0000-4000-8000-{number:012x}", content=UPDATE)
            reply = self.client.get("/_relay/status")
            self.assertConforms(reply, "Status")
            self.assertDocumented("/_relay/status", "get", reply)

    def test_metrics(self):
        reply = self.client.get("/_relay/metrics")
        (media_type,) = DOCUMENT["paths"]["/_relay/metrics"]["get"]["responses"]["200"]["content"]
        self.assertEqual((reply.status_code, reply.headers["Content-Type"]), (200, media_type))
        self.assertDocumented("/_relay/metrics", "get", reply)

    def test_reads(self):
        for path, name, schema in (
            (PATH, "/v1/audiences/{audience_id}/contacts/{contact_id}", "ContactReply"),
            (LIST, "/v1/audiences/{audience_id}/contacts", "ContactListReply"),
        ):
            for _ in range(2):
                reply = self.client.get(path)
                self.assertEqual(reply.status_code, 200)
                self.assertConforms(reply, schema)
                self.assertDocumented(name, "get", reply)

    def test_writes_and_their_receipts(self):
        name = "/v1/audiences/{audience_id}/contacts/{contact_id}"
        delivered = self.client.put(PATH, content=UPDATE)
        self.assertEqual(delivered.status_code, 200)
        self.assertDocumented(name, "put", delivered)
        refused = self.client.put(f"{LIST}/00000000-0000-4000-8000-000000000000", content=UPDATE)
        self.assertEqual(refused.status_code, 404)
        self.set_faults('{"mode":"down"}')
        accepted = self.client.put(PATH, content=UPDATE)
        self.assertEqual(accepted.status_code, 202)
        self.assertConforms(accepted, "ContactReply")
        self.assertDocumented(name, "put", accepted)
        read = self.client.get(PATH)
        self.assertDocumented(name, "get", read)
        for reply, state in ((delivered, "delivered"), (refused, "rejected"), (accepted, "pending")):
            location = "/_relay/writes/" + reply.headers["Contact-Relay-Write"]
            # An attempt may be under way.
            wait_until(lambda: self.client.get(location).json()["state"] == state, f"{state}", 20)
            receipt = self.client.get(location)
            self.assertConforms(receipt, "Receipt")
            self.assertDocumented("/_relay/writes/{id}", "get", receipt)

    def test_errors(self):
        def put(path=PATH, content=UPDATE, **headers):
            return self.client.put(path, content=content, headers=headers)

        replies = [
            put(f"{LIST}/not-a-uuid"),
            put(PATH + "/"),
            put(content="{"),
            put(content='{"data":{"first_name":"' + "x" * 33 + '"}}'),
            put(content="x" * (65 << 10)),
            put(**{"Content-Type": "text/plain"}),
            put(**{"If-Match": '"a"'}),
            put(**{"X-Dexatel-Key": ""}),
        ]
        slugs = DOCUMENT["components"]["schemas"]["ErrorSlug"]["enum"]
        for reply in replies:
            self.assertGreaterEqual(reply.status_code, 400)
            self.assertIn(reply.headers["Contact-Relay-Error"], slugs)
            self.assertConforms(reply, "Error")
            self.assertDocumented("/v1/audiences/{audience_id}/contacts/{contact_id}", "put", reply)
        self.assertEqual(len({reply.headers["Contact-Relay-Error"] for reply in replies}), len(replies))

    def test_a_contact_that_is_about_to_be_deleted(self):
        (path,) = self.contacts(1, 1)
        self.client.get(path)
        self.client.get(LIST)
        self.set_faults('{"mode":"down"}')
        accepted = self.client.delete(path)
        self.assertEqual((accepted.status_code, accepted.content), (202, b""))
        self.assertDocumented("/v1/audiences/{audience_id}/contacts/{contact_id}", "delete", accepted)
        gone = self.client.get(path)
        self.assertEqual((gone.status_code, gone.headers["Contact-Relay-Error"]), (404, "contact_deleted"))
        self.assertConforms(gone, "Error")
        self.assertDocumented("/v1/audiences/{audience_id}/contacts/{contact_id}", "get", gone)
        page = self.client.get(LIST)
        self.assertNotIn(path.rpartition("/")[2], page.text)
        self.assertDocumented("/v1/audiences/{audience_id}/contacts", "get", page)

    def test_problems(self):
        for reply in (self.client.get("/_relay/nothing"), self.client.get("/_relay/writes/nothing")):
            self.assertEqual(reply.status_code, 404)
            self.assertEqual(reply.headers["Content-Type"], "application/problem+json")
            self.assertConforms(reply, "Problem")
