"""What a recipe says of the endpoint."""

import math
from typing import Annotated, Self

from pydantic import Field, model_validator

from t2ipal.section import Above0, Bounds, Labels, NotBelow0, Positive, Section, Several

APPLICATION = "t2ipal"  # the endpoint's name, unless a recipe gives it one of its own


class Replicas(Bounds):
    """Autoscaling of recognizers: its bounds, and how long the load has to last."""

    max: Positive = 2
    up_after_s: NotBelow0 = 15.0
    down_after_s: NotBelow0 = 300.0


class ServeBatch(Section):
    """Images computed together: at most `max_size` of those that wait when the model is free. If there are
    fewer, it waits for more, at most `wait_s` seconds.
    """

    max_size: Positive = 8
    wait_s: NotBelow0 = 0.0


Host = Annotated[str, Field(pattern=r"^([a-z0-9.-]+|\[[0-9a-f:]+\]|[0-9a-f:]+)(:[0-9]+)?$")]


class RequestLimits(Section):
    """What one request may hold; more is refused before it is decoded."""

    body_bytes: Positive = 32 * 2**20
    bodies_bytes: Positive = 256 * 2**20  # of all requests that a frontend reads at a time
    images: Positive = 16
    image_bytes: Positive = 16 * 2**20
    image_pixels: Positive = 50_000_000
    names: Annotated[int, Field(ge=0)] = 100  # classes that were never tuned
    heatmaps: Positive = 20  # of an image: the surest labels have one


class KeySettings(Section):
    """Who may ask: hashes of API keys, `NAME:SHA256` a line, in a file or an environment variable."""

    file: str | None = None
    variable: str | None = None
    per_minute: Positive | None = None  # requests of each key

    @model_validator(mode="after")
    def _one_source(self) -> Self:
        if (self.file is None) == (self.variable is None):
            raise ValueError("give either `file` or `variable`, where the hashes of the keys are")
        return self


class FetchSettings(Section):
    """Hosts from which images are fetched that a request names by URL."""

    hosts: Annotated[Several[Host], Field(min_length=1)]  # names, or NAME:PORT
    timeout_s: Above0 = 5.0


class EndpointSettings(Section):
    """How the recognizer answers, wherever it listens."""

    replicas: Replicas = Replicas()
    target_ongoing_requests: Above0 = 4.0  # per replica; autoscaling aims at it
    # Per replica, computed and waiting; beyond them 429. None: four batches, or four times the target.
    max_ongoing_requests: Positive | None = None
    retry_after_s: Annotated[int, Field(ge=0)] = 1  # told to clients that were refused
    deadline_s: Above0 = 30.0  # of a request, waiting included; then 504
    # Processes that read requests and send them to replicas; None: one for each four replicas that may be.
    frontends: Positive | None = None
    batch: ServeBatch = ServeBatch()
    # Images that the backbone always computes together, so that an answer depends on no other image; None:
    # 1 on a CPU, batch.max_size on a GPU.
    at_once: Positive | None = None
    limits: RequestLimits = RequestLimits()
    keys: KeySettings | None = None  # None: everybody may ask
    fetch: FetchSettings | None = None  # None: no URL is fetched
    origins: Several[str] = ()  # of web pages that may ask from a browser (CORS)
    cpus: NotBelow0 = 1.0  # of a replica
    gpus: NotBelow0 = 0.0
    labels: Labels = Field(default_factory=dict)  # of the nodes on which replicas run; none: any node
    threads: Positive | None = None  # of torch in a replica; None: as many as its CPUs, rounded up
    readers: Positive = 2  # threads of a replica that decode images

    @model_validator(mode="after")
    def _load_is_seen(self) -> Self:
        if self.places < self.batch.max_size:
            raise ValueError(
                f"max_ongoing_requests is {self.places}: no batch of {self.batch.max_size} (batch.max_size) "
                "would ever be full"
            )
        if self.replicas.min < self.replicas.max and self.places <= self.target_ongoing_requests:
            raise ValueError(
                f"max_ongoing_requests is {self.places}: a replica never has more than the "
                f"{self.target_ongoing_requests:g} of target_ongoing_requests, and no other would come"
            )
        return self

    @property
    def together(self) -> int:
        """How many images the backbone always computes together."""
        return self.at_once or (self.batch.max_size if self.gpus else 1)

    @property
    def num_frontends(self) -> int:
        """How many processes read requests."""
        return self.frontends or math.ceil(self.replicas.max / 4)

    @property
    def places(self) -> int:
        """How many requests a replica holds, those that wait for the model included."""
        several = max(4 * self.batch.max_size, math.ceil(4 * self.target_ongoing_requests))
        return self.max_ongoing_requests or several


class ServeRecipe(EndpointSettings):
    """The HTTP endpoint that a job starts."""

    host: str = "127.0.0.1"
    port: Annotated[int, Field(ge=1, le=65535)] = 8000
    # Its name in Ray Serve; any other than this one becomes the path of its URL, beside other applications.
    application: Annotated[str, Field(pattern=r"^[\w-]+$")] = APPLICATION
