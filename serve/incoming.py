"""An HTTP request as a call: the image as it is, a form with files, or JSON."""

import base64
from collections.abc import AsyncGenerator
from typing import Annotated, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.datastructures import UploadFile
from starlette.formparsers import MultiPartException, MultiPartParser
from starlette.requests import ClientDisconnect, Request

from serve.call import Call, Options, Refusal
from serve.fetch import Fetcher
from t2ipal.serve_recipe import RequestLimits

_FILES = "images"  # the form's field of files, and the JSON's list
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
    _check(call, limits)
    return call


def options_of(values: dict[str, Any]) -> Options:
    """Return options by their names; Refused names the one that is wrong."""
    return _validated(Options, values)


async def _from_json(request: Request, query: Options, limits: RequestLimits, fetch: Fetcher | None) -> Call:
    body = await _read(request, limits.body_bytes)
    try:
        given = JsonBody.model_validate_json(body)
    except ValidationError as error:
        raise refuse(422, told(error)) from error
    options = given.model_dump(exclude={_FILES}, exclude_unset=True)
    images = [await _image(each, limits, fetch) for each in given.images[: limits.images + 1]]
    return Call(images, query.model_copy(update=options))


async def _image(given: str | Url, limits: RequestLimits, fetch: Fetcher | None) -> bytes | Refusal:
    if isinstance(given, str):
        try:
            return _bounded(base64.b64decode(given.partition("base64,")[2] or given, validate=True), limits)
        except ValueError as error:  # binascii.Error is one
            return Refusal(422, f"the image is not in base64: {error}")
    if fetch is None:
        return Refusal(422, "this endpoint fetches no URLs: send the image itself")
    return await fetch(given.url, limits.image_bytes)


async def _from_form(request: Request, query: Options, limits: RequestLimits) -> Call:
    stream = _bounded_stream(request, limits.body_bytes)
    parser = MultiPartParser(
        request.headers,
        stream,
        max_files=limits.images + 1,
        max_fields=limits.names + 10,
        max_part_size=_FIELD_BYTES,
    )
    try:
        form = await parser.parse()
    except (MultiPartException, KeyError, UnicodeDecodeError) as error:  # KeyError: without a boundary
        detail = error.message if isinstance(error, MultiPartException) else "the form has no boundary"
        raise refuse(422, f"the form cannot be read: {detail}") from error
    images: list[bytes | Refusal] = []
    fields: dict[str, Any] = {}
    try:
        for name, value in form.multi_items():
            if isinstance(value, UploadFile):
                images.append(_bounded(await value.read(), limits))
            elif name == "classes":
                fields.setdefault(name, []).append(value)
            else:
                fields[name] = value
    finally:
        await form.close()
    if not images:
        raise refuse(
            422, f"{_FILES}: the form has no file; send one or more, as with curl -F {_FILES}=@photo.jpg"
        )
    return Call(images, query.model_copy(update=options_of(fields).model_dump(exclude_unset=True)))


def _bounded(data: bytes, limits: RequestLimits) -> bytes | Refusal:
    if len(data) > limits.image_bytes:
        return Refusal(413, f"the image has {len(data)} bytes; at most {limits.image_bytes} are read")
    return data


def _check(call: Call, limits: RequestLimits) -> None:
    if len(call.images) > limits.images:
        raise refuse(422, f"{_FILES}: there are more than {limits.images} of them; send several requests")
    if len(call.options.classes) > limits.names:
        raise refuse(422, f"classes: there are more than {limits.names} names; send several requests")


async def _read(request: Request, most: int) -> bytes:
    return b"".join([chunk async for chunk in _bounded_stream(request, most)])


async def _bounded_stream(request: Request, most: int) -> AsyncGenerator[bytes, None]:
    """Yield the body; Refused as soon as it is too long. The declared length may be wrong, or absent."""
    too_long = refuse(413, f"the body is larger than {most} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdigit() and int(declared) > most:
        raise too_long
    length = 0
    async for chunk in request.stream():
        length += len(chunk)
        if length > most:
            raise too_long
        yield chunk


def _validated(model: type[Options], values: dict[str, Any]) -> Options:
    try:
        return model.model_validate(values)
    except ValidationError as error:
        raise refuse(422, told(error)) from error


def told(error: ValidationError) -> str:
    """Return what is wrong, each finding with its field's name."""
    lines = []
    for finding in error.errors():
        place = ".".join(str(part) for part in finding["loc"] if part not in ("str", "Url"))
        lines.append(f"{place}: {finding['msg']}" if place else finding["msg"])
    return "; ".join(dict.fromkeys(lines))
