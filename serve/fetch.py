"""Images that a request names by URL, from hosts that the configuration allows, and from no private address.

Whoever may ask must not reach what only this machine can: other hosts, redirects, addresses within the
cluster, and the metadata services of clouds are refused.
"""

import errno
import ipaddress
import socket
from collections.abc import Callable
from typing import Any
from urllib.parse import urlsplit

import aiohttp
from aiohttp.abc import AbstractResolver, ResolveResult
from aiohttp.resolver import ThreadedResolver

from serve.call import Refusal
from t2ipal.serve_recipe import FetchSettings

# Networks whose last 32 bits are an IPv4 address: NAT64, and the oldest way of writing one.
_CARRY_IPV4 = (ipaddress.IPv6Network("64:ff9b::/96"), ipaddress.IPv6Network("::/96"))
_OF_CLOUDS = ("168.63.129.16",)  # public by its number, and Azure's service for its own machines


class PrivateAddress(OSError):
    """A host's name leads to an address that is not public."""


class PublicResolver(AbstractResolver):
    """Finds the addresses of hosts, as they are connected to, and refuses those that are not public."""

    def __init__(self) -> None:
        self._inner = ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_UNSPEC
    ) -> list[ResolveResult]:
        """Return the addresses; PrivateAddress when one of them is not public."""
        found = await self._inner.resolve(host, port, family)
        for each in found:
            if not is_public(each["host"].partition("%")[0]):
                raise PrivateAddress(errno.EACCES, f"{host} is at an address that is not public")
        return found

    async def close(self) -> None:
        """Free what the resolver holds."""
        await self._inner.close()


class Fetcher:
    """Fetches images; one for all requests of a process."""

    def __init__(
        self, settings: FetchSettings, resolver: Callable[[], AbstractResolver] = PublicResolver
    ) -> None:
        self._settings, self._resolver = settings, resolver
        self._session: aiohttp.ClientSession | None = None

    async def __call__(self, url: str, most: int) -> bytes | Refusal:
        """Return the bytes behind a URL, `most` of them, or why not."""
        if (refusal := self._refused(url)) is not None:
            return refusal
        try:
            async with self._opened().get(url, allow_redirects=False) as response:
                return await _content(response, most)
        except TimeoutError:
            return Refusal(422, f"the image was not fetched within {self._settings.timeout_s:g} s")
        except (aiohttp.ClientError, OSError) as error:
            return Refusal(422, f"the image cannot be fetched: {error}")

    async def close(self) -> None:
        """Close the connections."""
        if self._session is not None:
            await self._session.close()

    def _refused(self, url: str) -> Refusal | None:
        try:
            parts = urlsplit(url)
            host, port = parts.hostname or "", parts.port
        except ValueError as error:
            return Refusal(422, f"the URL of the image is not one: {error}")
        named = host if port is None else f"{host}:{port}"
        if parts.scheme not in ("http", "https") or named not in self._settings.hosts:
            return Refusal(
                422, f"images are fetched from {', '.join(self._settings.hosts)} only, by http or https"
            )
        if parts.username is not None or parts.password is not None:
            return Refusal(422, "the URL of the image holds a user or a password")
        # For a literal address no resolver is asked.
        return None if not _is_address(host) or is_public(host) else Refusal(422, "the address is not public")

    def _opened(self) -> aiohttp.ClientSession:
        if self._session is None:  # it belongs to the loop that runs now
            timeout = aiohttp.ClientTimeout(total=self._settings.timeout_s)
            connector = aiohttp.TCPConnector(resolver=self._resolver())
            settings: Any = {"cookie_jar": aiohttp.DummyCookieJar(), "trust_env": False}
            self._session = aiohttp.ClientSession(connector=connector, timeout=timeout, **settings)
        return self._session


def is_public(address: str) -> bool:
    """Say whether an address is one of the open internet's, and so is an IPv4 address within it."""
    found = ipaddress.ip_address(address)
    if isinstance(found, ipaddress.IPv6Address):
        within = [found.ipv4_mapped, found.sixtofour, *(found.teredo or ())]
        if any(found in network for network in _CARRY_IPV4):
            within.append(ipaddress.IPv4Address(int(found) & 0xFFFFFFFF))
        if any(each is not None and not is_public(str(each)) for each in within):
            return False
        if found.is_site_local:
            return False
    return found.is_global and not found.is_multicast and str(found) not in _OF_CLOUDS


def _is_address(host: str) -> bool:
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


async def _content(response: Any, most: int) -> bytes | Refusal:
    if response.status != 200:
        return Refusal(422, f"the image's host answered with status {response.status}")
    data = bytearray()
    async for chunk in response.content.iter_chunked(64 * 2**10):
        data += chunk
        if len(data) > most:
            return Refusal(413, f"the image has more than {most} bytes")
    return bytes(data)
