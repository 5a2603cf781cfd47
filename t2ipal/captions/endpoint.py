"""A server with OpenAI's interface as the language model.

The requests are sent from the driver, by one thread with an event loop: it needs no more of a cluster, the
API key stays in one process, and requests under way can be given up at any moment. (ray.data.llm's
HttpRequestProcessor sends the requests of a batch one after the other, and hands on neither the status of an
error nor its text.)
"""

from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any

from anyio.from_thread import start_blocking_portal
from openai import (
    APIConnectionError,
    APIError,
    APIStatusError,
    AsyncOpenAI,
    BadRequestError,
    UnprocessableEntityError,
)
from pydantic import BaseModel, Field, ValidationError

from t2ipal.captions.collect import Answer
from t2ipal.captions.requests import Request
from t2ipal.captions_recipe import EndpointRecipe
from t2ipal.errors import UserError

_NO_KEY = "none"  # the client wants one, and would else take OPENAI_API_KEY to whatever server it is
_SHOWN_BYTES = 200  # of a reply that is none
_URL_REMEDY = (
    "let captions.endpoint.url end as the server's paths begin (mostly /v1), and let captions.model be a "
    "name that it lists below /models"
)


class _Message(BaseModel):
    content: str | None = None


class _Choice(BaseModel):
    message: _Message


class _Reply(BaseModel):
    """What is read of a reply; in the rest servers differ."""

    choices: list[_Choice] = Field(min_length=1)


def endpoint_answers(endpoint: EndpointRecipe, model: str, requests: Iterable[Request]) -> Generator[Answer]:
    """Yield the answers in the order in which they come; at most `concurrency` requests are open at once.

    A request is sent again, with growing waits, when the server cannot be reached or answers 408, 409, 429 or
    5xx. What stays so, is refused, or gets a reply that is no completion ends everything with a UserError;
    only what the server says of a single request (400, 422) becomes an answer with an error.
    """
    openai = AsyncOpenAI(
        base_url=endpoint.url,
        api_key=endpoint.api_key() or _NO_KEY,
        max_retries=endpoint.retries,
        timeout=endpoint.timeout_s,
    )
    with start_blocking_portal() as portal, portal.wrap_async_context_manager(openai) as client:
        waiting: set[Future[Answer]] = set()
        try:
            for request in requests:
                waiting.add(portal.start_task_soon(_answer, client, endpoint, model, request))
                if len(waiting) == endpoint.concurrency:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        finally:
            for each in waiting:  # a server may let them wait for as long as `timeout_s`
                each.cancel()


async def _answer(client: AsyncOpenAI, endpoint: EndpointRecipe, model: str, request: Request) -> Answer:
    key = request["shard"], request["index"], request["candidate"]
    messages: Any = request["messages"]
    create = client.chat.completions.with_raw_response.create
    try:
        reply = await create(model=model, messages=messages, **request["sampling_params"])
    except (BadRequestError, UnprocessableEntityError) as error:
        return Answer(*key, text="", error=str(error))
    except APIStatusError as error:
        raise UserError(
            f"captions.endpoint: {endpoint.url} answers with status {error.status_code}: {error.message}",
            _remedy(error.status_code),
        ) from error
    except APIConnectionError as error:
        raise UserError(
            f"captions.endpoint: no answer from {endpoint.url}: {_reason(error)}",
            "start the server, or correct captions.endpoint.url, and run again: finished shards are kept",
        ) from error
    except APIError as error:
        raise UserError(f"captions.endpoint: {endpoint.url}: {error}", _URL_REMEDY) from error
    return Answer(*key, text=_text(reply.content, endpoint.url))


def _text(content: bytes, url: str) -> str:
    """Return the text in a reply; UserError for one that is a page, an error, or cut short."""
    try:
        return _Reply.model_validate_json(content).choices[0].message.content or ""
    except ValidationError as error:
        begin = content[:_SHOWN_BYTES].decode(errors="replace")
        raise UserError(
            f"captions.endpoint: {url} answers with no completion, but with {begin!r}", _URL_REMEDY
        ) from error


def _reason(error: BaseException) -> str:
    """Return what the innermost exception with a text says; the outer ones only tell that it failed."""
    chain = [error]
    while (inner := chain[-1].__cause__ or chain[-1].__context__) is not None:
        chain.append(inner.exceptions[0] if isinstance(inner, BaseExceptionGroup) else inner)
    return next(text for each in reversed(chain) if (text := str(each)))


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "put a valid API key into the environment variable that captions.endpoint.key_variable names"
    if status == 404:
        return _URL_REMEDY
    return "run again when the server is well: finished shards are kept"
