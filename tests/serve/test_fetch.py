"""Images by URL: only from where the configuration allows, from a server on this machine."""

import asyncio
import socket
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from fastapi.testclient import TestClient
from pydantic import ValidationError

from serve import api as api_module
from serve.fetch import Fetcher, PrivateAddress, PublicResolver, is_public
from t2ipal.serve_recipe import FetchSettings
from tests.serve.here import paths, served
from tests.serve.http import noise, png


class Everywhere(PublicResolver):
    """Finds every host on this machine, and so does not look whether that is public."""

    async def resolve(self, host, port=0, family=socket.AF_INET):
        return [
            {
                "hostname": host,
                "host": "127.0.0.1",
                "port": port,
                "family": socket.AF_INET,
                "proto": 0,
                "flags": 0,
            }
        ]


@pytest.fixture(scope="module")
def server():
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            if self.path == "/moved":
                self.send_response(302)
                self.send_header("Location", "/image.png")
                self.end_headers()
                return
            if self.path == "/slow":
                threading.Event().wait(3)
            self.send_response(200 if self.path in ("/image.png", "/slow") else 404)
            self.end_headers()
            self.wfile.write(png(noise(0)))

        def log_message(self, *_):
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield f"images.example:{http.server_port}"
        http.shutdown()


def fetch(settings, url, most=10**6, resolver=PublicResolver):
    async def once():
        fetcher = Fetcher(settings, resolver)
        try:
            return await fetcher(url, most)
        finally:
            await fetcher.close()

    return asyncio.run(once())


def test_an_image_from_a_host_that_is_allowed(server):
    assert fetch(FetchSettings(hosts=(server,)), f"http://{server}/image.png", resolver=Everywhere) == png(
        noise(0)
    )


@pytest.mark.parametrize(
    ("path", "status", "message"),
    [("moved", 422, "status 302"), ("gone", 422, "status 404"), ("image.png", 413, "more than 100 bytes")],
)
def test_what_comes_back_is_looked_at(server, path, status, message):
    refusal = fetch(FetchSettings(hosts=(server,)), f"http://{server}/{path}", 100, Everywhere)
    assert (refusal.status, message in refusal.detail) == (status, True)


def test_a_host_that_takes_too_long(server):
    refusal = fetch(
        FetchSettings(hosts=(server,), timeout_s=0.2), f"http://{server}/slow", resolver=Everywhere
    )
    assert "not fetched within 0.2 s" in refusal.detail


@pytest.mark.parametrize(
    "url",
    [
        "http://other.example/x.png",
        "http://images.example:81/x.png",
        "ftp://images.example/x.png",
        "file:///etc/passwd",
        "http://images.example.evil.example/x.png",
        "http://user:secret@images.example/x.png",
        "http://[::1",
        "images.example/x.png",
    ],
)
def test_what_is_not_allowed_is_not_asked(url):
    refusal = fetch(FetchSettings(hosts=("images.example",)), url)
    assert refusal.status == 422


@pytest.mark.parametrize("host", ["127.0.0.1", "169.254.169.254", "10.0.0.1", "::1", "localhost"])
def test_a_private_address_is_refused_though_its_host_is_allowed(host):
    url = f"http://[{host}]/x" if ":" in host else f"http://{host}/x"
    refusal = fetch(FetchSettings(hosts=(host,)), url)
    assert "not public" in refusal.detail


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("8.8.8.8", True),
        ("2606:4700::1111", True),
        ("10.0.0.1", False),
        ("168.63.129.16", False),
        ("64:ff9b::a9fe:a9fe", False),  # 169.254.169.254
        ("64:ff9b::808:808", True),
        ("2002:7f00:1::", False),
        ("::127.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("fec0::1", False),
        ("ff0e::1", False),
        ("224.0.0.1", False),
    ],
)
def test_addresses_of_the_open_internet(address, public):
    assert is_public(address) == public


@pytest.mark.parametrize("host", ["https://a.example", "A.example", "a.example/x", ""])
def test_a_host_is_a_name_in_small_letters(host):
    with pytest.raises(ValidationError, match="pattern"):
        FetchSettings(hosts=(host,))


def test_a_name_that_leads_to_a_private_address():
    async def resolve():
        await PublicResolver().resolve("localhost", 80)

    with pytest.raises(PrivateAddress, match="localhost is at an address that is not public"):
        asyncio.run(resolve())


def test_an_image_by_url_in_a_request(bundle, server, no_ray, monkeypatch):
    monkeypatch.setattr(api_module, "Fetcher", lambda settings: Fetcher(settings, Everywhere))
    api, _ = paths(served(bundle, fetch={"hosts": [server]}))
    with TestClient(api) as client:
        body = {"images": [{"url": f"http://{server}/image.png"}, {"url": "http://other.example/"}]}
        first, second = client.post("/v1/recognize", json=body).json()["results"]
    assert first["width"] == 48
    assert second["detail"] == f"images are fetched from {server} only, by http or https"
