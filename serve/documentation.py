"""What the endpoint's OpenAPI document says beside the types: the bodies, the errors, examples."""

import base64
import io
from typing import Any

from PIL import Image

from serve.call import Answer, ImageError, ImageResult, Label, Place, Timings
from serve.incoming import JsonBody

DESCRIPTION = """Which classes are in a photo, where they are, and how sure that is.

Send an image as it is, several as a form, or JSON with base64:

    curl --data-binary @photo.jpg -H 'Content-Type: image/jpeg' URL/v1/recognize
    curl -F images=@one.jpg -F images=@two.png -F top_k=3 URL/v1/recognize
    curl --json '{"images": ["/9j/4AAQ..."], "heatmaps": "grid"}' URL/v1/recognize

JPEG, PNG, WebP, GIF, TIFF and BMP are read; of several frames or pages the first, turned as EXIF says. Of
several images one that cannot be read has an error in its place; a single one is the error of the request.
"""


def _problem(description: str, **headers: str) -> dict[str, Any]:
    schema = {"type": "object", "properties": {"detail": {"type": "string"}}, "required": ["detail"]}
    told = {
        name.replace("_", "-"): {"schema": {"type": "string"}, "description": text}
        for name, text in headers.items()
    }
    return {"description": description, "content": {"application/json": {"schema": schema}}, "headers": told}


ERRORS: dict[int | str, dict[str, Any]] = {
    400: _problem("The request ended before its body did."),
    401: _problem("No valid API key, where the endpoint asks for one.", WWW_Authenticate="Bearer"),
    404: _problem("No recognizer has this name."),
    408: _problem("The body did not arrive in time."),
    413: _problem("The body or an image has too many bytes."),
    415: _problem("The body is of another type, or the bytes are no image of a known format."),
    422: _problem("A field is wrong, or the image is damaged or has too many pixels."),
    429: _problem("Too many requests, of this key or of all.", Retry_After="Seconds to wait."),
    503: _problem("No recognizer is ready."),
    504: _problem("There was no answer in time."),
}


def _example() -> str:
    """Return a small picture in base64."""
    buffer = io.BytesIO()
    Image.new("RGB", (8, 8), "skyblue").save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()


def _form() -> dict[str, Any]:
    schema = _options()
    files = {"type": "array", "minItems": 1, "items": {"type": "string", "format": "binary"}}
    return schema | {"properties": {"images": files, **schema["properties"]}, "required": ["images"]}


def _options() -> dict[str, Any]:
    schema = JsonBody.model_json_schema()
    properties = {name: value for name, value in schema["properties"].items() if name != "images"}
    return {"type": "object", "properties": properties, "additionalProperties": False}


def _json() -> dict[str, Any]:
    schema = _options()
    text = {
        "type": "string",
        "contentEncoding": "base64",
        "description": "An image in base64, or a data: URL.",
    }
    url = {
        "type": "object",
        "properties": {"url": {"type": "string", "format": "uri"}},
        "required": ["url"],
        "additionalProperties": False,
    }
    images = {"type": "array", "minItems": 1, "items": {"anyOf": [text, url]}}
    return schema | {"properties": {"images": images, **schema["properties"]}, "required": ["images"]}


_BYTES = {"schema": {"type": "string", "format": "binary"}}
BODY: dict[str, Any] = {
    "required": True,
    "content": {
        "image/*": _BYTES,
        "application/octet-stream": _BYTES,
        "multipart/form-data": {"schema": _form()},
        "application/json": {
            "schema": _json(),
            "examples": {
                "one image": {"value": {"images": [_example()], "top_k": 3, "heatmaps": "grid"}},
                "two images, and a class of one's own": {
                    "value": {"images": [_example(), _example()], "classes": ["fire hydrant"], "scores": True}
                },
            },
        },
    },
}
# Where one of two images cannot be read.
ANSWER: dict[int | str, dict[str, Any]] = {
    200: {
        "content": {
            "application/json": {
                "example": Answer(
                    recognizer="street",
                    version="2f6c1d0a9b3e",
                    results=[
                        ImageResult(
                            width=640,
                            height=480,
                            labels=[
                                Label(
                                    name="bicycle",
                                    score=0.91,
                                    threshold=0.42,
                                    zero_shot=False,
                                    where=Place(peak=(0.31, 0.64), box=(0.14, 0.43, 0.57, 1.0)),
                                )
                            ],
                        ),
                        ImageError(status=422, detail="the image is damaged: image file is truncated"),
                    ],
                    timings_ms=Timings(decode=6.1, model=41.0, total=48.3),
                ).model_dump(exclude_unset=True)
            }
        }
    }
}
