"""What the benchmarks of contact writes share: an upstream that answers at once, a relay in front of it, and load."""

from loopback import Failure, fetch, fetch_json, wait_until
from programs import tool, wrk

CONNECTIONS = 32
KEY = "00000000000000000000000000000000"
AUDIENCE = "22089fd7-7b74-4815-8452-3a8e864affbc"

RELAY = """\
listen: {{ port: {port} }}
upstream: {{ url: "http://127.0.0.1:{upstream_port}" }}
state: {{ directory: "{folder}/state" }}
writes: {{ max_pending: 10000000, max_pending_bytes: 64GiB }}
"""

# The cheapest upstream there is: it reads the request and answers 200.
NGINX = """\
daemon off;
master_process off;
pid {folder}/nginx.pid;
error_log {folder}/nginx-error.log warn;
events {{ worker_connections 256; }}
http {{
    access_log off;
    client_body_temp_path {folder}/nginx-body;
    proxy_temp_path {folder}/nginx-proxy;
    fastcgi_temp_path {folder}/nginx-fastcgi;
    uwsgi_temp_path {folder}/nginx-uwsgi;
    scgi_temp_path {folder}/nginx-scgi;
    keepalive_requests 1000000000;
    default_type application/json;
    server {{
        listen 127.0.0.1:{port};
        return 200 '{{}}';
    }}
}}
"""


def start_upstream(processes, folder, port):
    """An nginx that answers 200 to everything."""
    configuration = folder / "nginx.conf"
    configuration.write_text(NGINX.format(folder=folder, port=port))
    nginx = processes.start("nginx", [tool("nginx"), "-c", configuration], folder / "nginx.log")
    wait_until(lambda: fetch(f"http://127.0.0.1:{port}/")[0] == 200, "it answered", 10, nginx)
    return nginx


def write_configuration(folder, port, upstream_port):
    """A relay's configuration file."""
    configuration = folder / "contact-relay.yaml"
    configuration.write_text(RELAY.format(port=port, upstream_port=upstream_port, folder=folder))
    return configuration


def verify_key(relay):
    """One write that is waited for: from then on the key has succeeded, and its own limits do not bind."""
    status, body = put(relay, 0, "wait=10")
    if status != 200:
        raise Failure(f"the first write was answered {status}: {body!r}")


def open_breaker(relay):
    """Writes to different contacts fail until the relay knows that the upstream is down."""
    for number in range(1, 65):
        put(relay, number, "respond-async")
    state = lambda: fetch_json(relay.url + "/_relay/status")["upstream"]["state"]
    wait_until(lambda: state() != "closed", "its breaker is open", 30, relay)


def put(relay, number, preference):
    """One write to a contact that no load writes to."""
    return fetch(
        f"{relay.url}/v1/audiences/{AUDIENCE}/contacts/ffffffff-ffff-4000-8000-{number:012x}",
        method="PUT",
        body=b'{"data":{"first_name":"Ada"}}',
        headers={"X-Dexatel-Key": KEY, "Content-Type": "application/json", "Prefer": preference},
    )


def books(relay):
    """The outbox as /_relay/status has it."""
    return fetch_json(relay.url + "/_relay/status")["outbox"]


def load(relay, seconds, seed):
    """Writes to distinct contacts, as many as go in the time: what wrk told, and its command."""
    return wrk(relay.url, "exchanges.lua", ["put-async", seed, KEY], seconds, CONNECTIONS)
