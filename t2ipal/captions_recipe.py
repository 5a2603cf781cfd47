"""The two sections of a recipe that say where captions come from."""

import os
import re
from typing import Annotated, Any, Self

from pydantic import Field, Strict, field_validator, model_validator

from t2ipal.errors import UserError
from t2ipal.section import Above0, Fraction, Positive, Section, Workers


class PriorRecipe(Section):
    """Which classes meet in a caption, learned from one of two sources."""

    corpus: str | None = None  # a file of captions, as annotated_captions.path takes it
    # Asked of the language model `answers` times for each class, which "{class}" stands for; "{classes}"
    # stands for the other ones.
    prompt: str | None = None
    answers: Positive = 8
    max_tokens: Positive = 128
    # Share of the pairs that may be any: the lower it is, the rarer are pairs that the source does not know.
    uniform: Annotated[float, Field(gt=0, le=1)] = 0.1
    balance: Fraction = 1.0  # 1: every class as often as any other; 0: as often as in the source

    @model_validator(mode="after")
    def _has_one_source(self) -> Self:
        if (self.corpus is None) == (self.prompt is None):
            given = "neither is" if self.corpus is None else "both are"
            raise ValueError(
                f"of corpus (a file of captions) and prompt (the language model is asked) {given} given; "
                "give one of the two"
            )
        return self

    @field_validator("prompt")
    @classmethod
    def _names_the_class(cls, prompt: str | None) -> str | None:
        if prompt is not None and "{class}" not in prompt:
            raise ValueError('the prompt does not hold "{class}", the place of the class name')
        return prompt


class EndpointRecipe(Section):
    """A server with OpenAI's interface that runs the language model, in place of the job's own engine."""

    url: Annotated[str, Field(pattern=r"^https?://\S+$")]  # http://127.0.0.1:8000/v1
    key_variable: str | None = None  # the environment variable with the API key; None: none is asked for
    concurrency: Positive = 32  # requests open at once
    retries: Annotated[int, Field(ge=0)] = 8  # of a request, after 0.5 s to 8 s, or what the server says
    timeout_s: Above0 = 120.0  # of a request

    def api_key(self) -> str | None:
        """Return the API key; UserError if the environment variable that should hold it is not set."""
        if self.key_variable is None:
            return None
        if not (key := os.environ.get(self.key_variable)):
            raise UserError(
                f"captions.endpoint.key_variable: the environment variable {self.key_variable!r} is not set",
                "set it to the API key of the server, or remove key_variable if the server asks for none",
            )
        return key


class CaptionsRecipe(Section):
    """Which captions to ask a language model for."""

    model: str  # a folder or a hub's name; with `endpoint`, the name by which the server knows it
    count: Positive  # planned captions; those naming other classes than requested are dropped
    classes_per_caption: Annotated[tuple[Positive, Positive], Strict(False)] = (1, 3)  # from, to
    prior: PriorRecipe | None = None  # which classes meet; None: any as often as any other
    # Answers to each request; the first that names exactly the requested classes is kept. They are requests
    # of their own: vLLM's `n` gives the same answers at most a fifth faster, and of them ray.data.llm hands
    # on one.
    candidates: Positive = 2
    # A caption without an accepted answer is asked for up to so many times. An engine starts anew each time.
    attempts: Positive = 1
    # Of captions with the same classes, those at least so similar to an earlier one are dropped (a share of
    # characters, letters and digits only): 1 drops equal ones; None drops none.
    drop_similar: Annotated[float, Field(ge=0.5, le=1)] | None = None
    prompt: str  # holds "{classes}"
    temperature: Annotated[float, Field(ge=0)] = 0.9
    max_tokens: Positive = 48
    # Keyword arguments of the vLLM engine. It is split into tensor_parallel_size x pipeline_parallel_size
    # parts, and `workers.gpus` is then the number of parts: a GPU each.
    engine: dict[str, Any] = Field(default_factory=dict)
    batch: Positive = 64
    shard_rows: Positive = 256
    workers: Workers = Workers()
    endpoint: EndpointRecipe | None = None  # then `engine`, `batch` and `workers` are not used

    def files(self) -> dict[str, str]:
        """Return the files that it reads, by dotted key."""
        corpus = self.prior.corpus if self.prior else None
        return {"captions.prior.corpus": corpus} if corpus else {}

    @property
    def engine_parts(self) -> int:
        """Number of processes that one engine is split into."""
        return int(self.engine.get("tensor_parallel_size", 1) * self.engine.get("pipeline_parallel_size", 1))

    @field_validator("engine")
    @classmethod
    def _has_whole_parts(cls, engine: dict[str, Any]) -> dict[str, Any]:
        for key in ("tensor_parallel_size", "pipeline_parallel_size"):
            value = engine.get(key, 1)
            if type(value) is not int or value < 1:
                raise ValueError(f"{key} is {value!r}; it must be a whole number of 1 or more")
        return engine

    @model_validator(mode="after")
    def _has_a_gpu_for_each_part(self) -> Self:
        gpus, parts = self.workers.gpus, self.engine_parts
        shares = parts == 1 and gpus < 1  # an engine may have a share of one GPU
        if gpus and gpus != parts and not shares:
            raise ValueError(
                f"workers.gpus is {gpus:g}, and the engine has {parts} parts "
                "(tensor_parallel_size x pipeline_parallel_size); give it one GPU for each"
            )
        return self

    @field_validator("prompt")
    @classmethod
    def _names_classes(cls, prompt: str) -> str:
        if "{classes}" not in prompt:
            raise ValueError('the prompt does not hold "{classes}", the place of the class names')
        if others := [name for name in re.findall(r"{\w+}", prompt) if name != "{classes}"]:
            raise ValueError(f'the prompt holds "{others[0]}"; only "{{classes}}" is filled in')
        return prompt

    @field_validator("classes_per_caption")
    @classmethod
    def _ordered(cls, value: tuple[int, int]) -> tuple[int, int]:
        if value[0] > value[1]:
            raise ValueError(f"the first number ({value[0]}) is above the second ({value[1]})")
        return value


class AnnotatedCaptionsRecipe(Section):
    """Captions from a file of sentences; classes are the ones that the sentences name."""

    path: str  # .json: COCO's captions; .jsonl: localized narratives; any other: a sentence a line
    # At most so many for each class, each counted for the rarest class that it names; None: all are taken.
    per_class: Positive | None = None
    max_captions: Positive | None = None
    exclude_images: str | None = None  # a file of image ids, one a line, whose captions are left out
    shard_rows: Positive = 256

    def files(self) -> dict[str, str]:
        """Return the files that it reads, by dotted key."""
        files = {"path": self.path, "exclude_images": self.exclude_images}
        return {f"annotated_captions.{key}": path for key, path in files.items() if path is not None}
