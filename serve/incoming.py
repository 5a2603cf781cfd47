"""An HTTP request as a call: the image as it is, a form with files, or JSON."""

import asyncio
import binascii
from collections.abc import AsyncGenerator
from typing import Annotated, Any, TypeVar

from fastapi.exceptions import RequestValidationError
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from pydantic_core import from_json
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from serve.call import Call, Options, Refusal
from serve.fetch import Fetcher
from t2ipal.serve_recipe import RequestLimits

Body = TypeVar("Body", bound=Options)

_FILES, _NAMES = "images", "classes"  # fields of a form, and lists of JSON
_TOLD, _SHOWN = 5, 100  # faults, and characters of a name that is none of ours
_FIELD_BYTES = 64 * 2**10  # of a form's fields that are no files


class Refused(Exception):
    """A request that gets no answer."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal)
        self.refusal = refusal


class Url(BaseModel):
    """An image that is fetched from a host that the endpoint's configuration allows."""

    model_config = ConfigDict(extra="forbid")
    url: str


class JsonBody(Options):
    """Images in base64, and options."""

    images: Annotated[list[str | Url], Field(min_length=1)]


def refuse(status: int, detail: str) -> Refused:
    """Return the exception that answers with a status of HTTP."""
    return Refused(Refusal(status, detail))


async def read_call(request: Request, query: Options, limits: RequestLimits, fetch: Fetcher | None) -> Call:
    """Read the body of a request; Refused for what cannot be answered at all.

    A single image that cannot be read leaves its refusal in its place.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    try:
        if kind == "application/json":
            call = await _from_json(request, query, limits, fetch)
        elif kind == "multipart/form-data":
            call = await _from_form(request, query, limits)
        elif kind.startswith("image/") or kind == "application/octet-stream":
            data = await _read(request, limits.body_bytes)
            call = Call([_bounded(data, limits)], query)
        else:
            raise refuse(
                415,
                f"Content-Type {kind!r} is none of image/..., application/octet-stream, multipart/form-data "
                "and application/json",
            )
    except ClientDisconnect as error:
        raise refuse(400, "the request ended before its body did") from error
    _check_count(call.images, limits.images, _FILES)
    _check_count(call.options.classes, limits.names, _NAMES)
    return call


async def _from_json(request: Request, query: Options, limits: RequestLimits, fetch: Fetcher | None) -> Call:
    body = await _read(request, limits.body_bytes)
    try:
        given = from_json(body)
    except ValueError as error:
        raise refuse(422, f"the body is no JSON: {error}") from error
    if not isinstance(given, dict):
        raise refuse(422, "the body is no JSON object")
    # Before each of a million is looked at.
    _check_count(given.get(_FILES), limits.images, _FILES)
    _check_count(given.get(_NAMES), limits.names, _NAMES)
    asked = _validated(JsonBody, given)
    options = asked.model_dump(exclude={_FILES}, exclude_unset=True)
    share = limits.body_bytes // max(sum(isinstance(each, Url) for each in asked.images), 1)
    most = min(limits.image_bytes, share)
    images = await asyncio.gather(*(_image(each, limits, fetch, most) for each in asked.images))
    return Call(list(images), query.model_copy(update=options))


async def _image(
    given: str | Url, limits: RequestLimits, fetch: Fetcher | None, most_fetched: int
) -> bytes | Refusal:
    if isinstance(given, str):
        head, mark, data = given.partition("base64,")
        try:
            return _bounded(binascii.a2b_base64(data if mark else head, strict_mode=True), limits)
        except ValueError as error:  # binascii.Error is one
            return Refusal(422, f"the image is not in base64: {error}")
    if fetch is None:
        return Refusal(422, "this endpoint fetches no URLs: send the image itself")
    return await fetch(given.url, most_fetched)


async def _from_form(request: Request, query: Options, limits: RequestLimits) -> Call:
    parser = MultiPartParser(
        request.headers,
        _bounded_stream(request, limits.body_bytes),
        max_files=limits.images + 1,
        max_fields=limits.names + len(Options.model_fields),
        max_part_size=_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, LookupError, ValueError) as error:  # of a boundary or charset that is none
        detail = error.message if isinstance(error, MultiPartException) else repr(error)
        raise refuse(422, f"the form cannot be read: {detail}") from error
    images: list[bytes | Refusal] = []
    fields: dict[str, list[Any]] = {}
    try:
        for name, value in form.multi_items():
            if not isinstance(value, UploadFile):
                fields.setdefault(name, []).append(value)
            elif name == _FILES:
                images.append(_bounded(await value.read(), limits))
            else:
                raise refuse(422, f"{name}: files are called {_FILES}")
    finally:
        await form.close()
    if not images:
        raise refuse(422, f"{_FILES}: the form has no file; send one, as with curl -F {_FILES}=@photo.jpg")
    if twice := [name for name, values in fields.items() if name != _NAMES and len(values) > 1]:
        raise refuse(422, f"{twice[0]}: it is given more than once")
    given = {name: values if name == _NAMES else values[0] for name, values in fields.items()}
    options = _validated(Options, given).model_dump(exclude_unset=True)
    return Call(images, query.model_copy(update=options))


def _bounded(data: bytes, limits: RequestLimits) -> bytes | Refusal:
    if len(data) > limits.image_bytes:
        return Refusal(413, f"the image has {len(data)} bytes; at most {limits.image_bytes} are read")
    return data


def _check_count(values: Any, most: int, name: str) -> None:
    if isinstance(values, list) and len(values) > most:
        raise refuse(422, f"{name}: there are more than {most} of them; send several requests")


async def _read(request: Request, most: int) -> bytes:
    return b"".join([chunk async for chunk in _bounded_stream(request, most)])


async def _bounded_stream(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """Yield the body; Refused as soon as it is too long. The declared length may be wrong, or absent."""
    too_long = refuse(413, f"the body is larger than {most} bytes")
    if (declared_length(request) or 0) > most:
        raise too_long
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > most:
            raise too_long
        yield chunk


def declared_length(request: Request) -> int | None:
    """Return the bytes that a request says it has; None where it does not."""
    declared = request.headers.get("content-length", "")
    return int(declared) if declared.isascii() and declared.isdigit() and len(declared) < 20 else None


def _validated(model: type[Body], values: dict[str, Any]) -> Body:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise refuse(422, told(error)) from error


def told(error: ValidationError | RequestValidationError) -> str:
    """Return what is wrong, the first findings, each with its field's name."""
    lines = []
    for finding in error.errors()[:_TOLD]:
        place = ".".join(str(part) for part in finding["loc"] if part not in ("str", "Url", "query"))
        lines.append(f"{place[:_SHOWN]}: {finding['msg']}" if place else finding["msg"])
    return "; ".join(dict.fromkeys(lines))
