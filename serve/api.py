"""The paths of the endpoint, and what it refuses: plain FastAPI, which knows neither Ray nor models."""

from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Annotated, Any, Protocol

from fastapi import APIRouter, Depends, FastAPI, Query, Request, Response
from fastapi.exceptions import RequestValidationError
from fastapi.middleware.cors import CORSMiddleware
from fastapi.responses import HTMLResponse, JSONResponse, PlainTextResponse

from serve.call import Answer, Call, Described, ImageError, Options, Vocabulary
from serve.documentation import ANSWER, BODY, DESCRIPTION, ERRORS
from serve.fetch import Fetcher
from serve.incoming import Refused, read_call, refuse, told
from serve.keys import Keys
from serve.room import Room
from t2ipal.serve_recipe import EndpointSettings

PAGE = Path(__file__).parent / "page.html"
# The page brings all that it needs, and talks to nobody but its own endpoint.
_PAGE_POLICY = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "connect-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)


class Service(Protocol):
    """What is behind the paths. All of it raises Refused for what gets no answer."""

    async def recognize(self, call: Call) -> Answer:
        """Answer for images."""

    async def recognizers(self) -> list[Described]:
        """Say which recognizers there are."""

    async def vocabulary(self, recognizer: str | None) -> Vocabulary:
        """Say which classes one of them knows."""

    async def ready(self) -> None:
        """Refused while no recognizer answers."""

    async def metrics(self) -> str:
        """Return figures for Prometheus."""

    async def admit(self, owner: str) -> None:
        """Count a request of a key's owner."""


def make_api(settings: EndpointSettings, service: Callable[[], Service]) -> FastAPI:
    """Return the application (ASGI) for a service, which is asked for at each request."""
    fetch = Fetcher(settings.fetch) if settings.fetch is not None else None

    @asynccontextmanager
    async def running(_: FastAPI) -> AsyncIterator[None]:
        yield
        if fetch is not None:
            await fetch.close()

    api = FastAPI(title="t2ipal", description=DESCRIPTION, version="1", lifespan=running)
    keys = Keys.load(settings.keys) if settings.keys is not None else None
    api.include_router(_about_images(settings, service, keys, fetch))
    api.include_router(_about_itself(service, keys))
    api.add_exception_handler(Refused, _refused)
    api.add_exception_handler(RequestValidationError, _invalid)
    if settings.origins:
        api.add_middleware(
            CORSMiddleware,
            allow_origins=list(settings.origins),
            allow_methods=["GET", "POST"],
            allow_headers=["authorization", "content-type"],
        )
    return api


def _about_images(
    settings: EndpointSettings, service: Callable[[], Service], keys: Keys | None, fetch: Fetcher | None
) -> APIRouter:
    served = Annotated[Service, Depends(service)]

    async def allowed(request: Request, served: served) -> None:
        if keys is not None:
            await served.admit(_owner(keys, request))

    router = APIRouter(prefix="/v1", dependencies=[Depends(allowed)], responses=ERRORS)
    room = Room(settings.limits, settings.deadline_s, settings.retry_after_s)
    limits = settings.limits

    @router.post("/recognize", openapi_extra={"requestBody": BODY}, responses=ANSWER)
    async def recognize(request: Request, options: Annotated[Options, Query()], served: served) -> Answer:
        """Say which classes are in images."""
        async with room.taken(request):
            return _of_one(await served.recognize(await read_call(request, options, limits, fetch)))

    @router.get("/recognizers")
    async def recognizers(served: served) -> list[Described]:
        """Say which recognizers are served."""
        return await served.recognizers()

    @router.get("/vocabulary")
    async def vocabulary(served: served, recognizer: str | None = None) -> Vocabulary:
        """Say which classes a recognizer knows."""
        return await served.vocabulary(recognizer)

    return router


def _about_itself(service: Callable[[], Service], keys: Keys | None) -> APIRouter:
    served = Annotated[Service, Depends(service)]
    router = APIRouter(default_response_class=PlainTextResponse)
    not_ready: dict[int | str, dict[str, Any]] = {code: ERRORS[code] for code in (429, 503, 504)}

    @router.get("/healthz")
    async def healthz() -> str:
        """Say that this process answers."""
        return "ok"

    @router.get("/readyz", responses=not_ready)
    async def readyz(served: served) -> str:
        """Say whether a recognizer answers."""
        await served.ready()
        return "ok"

    @router.get("/metrics", responses={401: ERRORS[401], **not_ready})
    async def metrics(request: Request, served: served) -> str:
        """Return figures of this machine's replicas for Prometheus."""
        if keys is not None:
            _owner(keys, request)
        return await served.metrics()

    @router.get("/", include_in_schema=False)
    async def page() -> HTMLResponse:
        headers = {"Content-Security-Policy": _PAGE_POLICY, "X-Content-Type-Options": "nosniff"}
        return HTMLResponse(PAGE.read_text(), headers=headers)

    return router


def _owner(keys: Keys, request: Request) -> str:
    """Return whose key a request has; Refused where it has none."""
    owner = keys.owner(request.headers.get("authorization", ""))
    if owner is None:
        raise refuse(401, "send a valid API key: Authorization: Bearer KEY")
    return owner


def _of_one(answer: Answer) -> Answer:
    """Return an answer; Refused where it is about a single image, which cannot be read."""
    first = answer.results[0]
    if len(answer.results) == 1 and isinstance(first, ImageError):
        raise refuse(first.status, first.detail)
    return answer


async def _refused(_: Request, error: Any) -> Response:
    refusal = error.refusal
    headers = {}
    if refusal.retry_after_s is not None:
        headers["Retry-After"] = str(refusal.retry_after_s)
    if refusal.status == 401:
        headers["WWW-Authenticate"] = "Bearer"
    return JSONResponse({"detail": refusal.detail}, refusal.status, headers)


async def _invalid(_: Request, error: Any) -> Response:
    return JSONResponse({"detail": told(error)}, 422)
