"""A server with OpenAI's interface as the language model.

The requests are sent from the driver, by threads that mostly wait: it needs no more of a cluster, and the API
key stays in one process. (ray.data.llm's HttpRequestProcessor sends the requests of a batch one after the
other, and hands on neither the status of an error nor its text.)
"""

from collections.abc import Generator, Iterable
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from typing import Any

from openai import APIConnectionError, APIStatusError, BadRequestError, OpenAI, UnprocessableEntityError

from t2ipal.captions.collect import Answer
from t2ipal.captions.requests import Request
from t2ipal.captions_recipe import EndpointRecipe
from t2ipal.errors import UserError

_NO_KEY = "none"  # the client wants one, and would else take OPENAI_API_KEY to whatever server it is


def endpoint_answers(endpoint: EndpointRecipe, model: str, requests: Iterable[Request]) -> Generator[Answer]:
    """Yield the answers in the order in which they come; at most `concurrency` requests are open at once.

    A request is sent again, with growing waits, when the server cannot be reached or answers 408, 409, 429 or
    5xx. What stays so, or is refused, ends everything with a UserError; only what the server says of a single
    request (400, 422) becomes an answer with an error.
    """
    client = OpenAI(
        base_url=endpoint.url,
        api_key=endpoint.api_key() or _NO_KEY,
        max_retries=endpoint.retries,
        timeout=endpoint.timeout_s,
    )
    with client, ThreadPoolExecutor(endpoint.concurrency) as pool:
        waiting: set[Future[Answer]] = set()
        try:
            for request in requests:
                waiting.add(pool.submit(_answer, client, endpoint, model, request))
                if len(waiting) == endpoint.concurrency:
                    done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                    yield from (each.result() for each in done)
            while waiting:
                done, waiting = wait(waiting, return_when=FIRST_COMPLETED)
                yield from (each.result() for each in done)
        except BaseException:
            client.close()  # so that the other requests end too
            raise


def _answer(client: OpenAI, endpoint: EndpointRecipe, model: str, request: Request) -> Answer:
    key = request["shard"], request["index"], request["candidate"]
    messages: Any = request["messages"]
    try:
        answer = client.chat.completions.create(model=model, messages=messages, **request["sampling_params"])
    except (BadRequestError, UnprocessableEntityError) as error:
        return Answer(*key, text="", error=str(error))
    except APIStatusError as error:
        raise UserError(
            f"captions.endpoint: {endpoint.url} answers with status {error.status_code}: {error.message}",
            _remedy(error.status_code),
        ) from error
    except APIConnectionError as error:
        raise UserError(
            f"captions.endpoint: no answer from {endpoint.url}: {error.__cause__ or error}",
            "start the server, or correct captions.endpoint.url, and run again: finished shards are kept",
        ) from error
    return Answer(*key, text=answer.choices[0].message.content or "")


def _remedy(status: int) -> str:
    if status in (401, 403):
        return "put a valid API key into the environment variable that captions.endpoint.key_variable names"
    if status == 404:
        return (
            "let captions.endpoint.url end as the server's paths begin (mostly /v1), and let captions.model "
            "be a name that it lists below /models"
        )
    return "run again when the server is well: finished shards are kept"
