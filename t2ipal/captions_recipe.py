"""The two sections of a recipe that say where captions come from."""

from typing import Annotated, Any, Self

from pydantic import Field, field_validator, model_validator

from t2ipal.section import Positive, Section, Workers


class CaptionsRecipe(Section):
    """Which captions to ask a language model for."""

    model: str
    count: Positive  # planned captions; those naming other classes than requested are dropped
    classes_per_caption: tuple[Positive, Positive] = (1, 3)  # from, to
    candidates: Positive = (
        2  # samples per caption; the first that names exactly the requested classes is kept
    )
    prompt: str  # holds "{classes}"
    temperature: Annotated[float, Field(ge=0)] = 0.9
    max_tokens: Positive = 48
    # Keyword arguments of the vLLM engine. It is split into tensor_parallel_size x pipeline_parallel_size
    # parts, and `workers.gpus` is then the number of parts: a GPU each.
    engine: dict[str, Any] = Field(default_factory=dict)
    batch: Positive = 64
    shard_rows: Positive = 256
    workers: Workers = Workers()

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
