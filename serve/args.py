"""What an endpoint is started with."""

from typing import Self

from pydantic import Field, model_validator

from t2ipal.section import Section
from t2ipal.serve_recipe import EndpointSettings, ServeRecipe


class Served(Section):
    """Which recognizers are served: what a running endpoint can change (`user_config`)."""

    recognizers: dict[str, str] = Field(min_length=1)  # name -> local path or s3://, gs:// URI of a bundle
    default: str | None = None  # the one that answers where a request names none; None: the first

    @model_validator(mode="after")
    def _default_is_there(self) -> Self:
        if self.default is not None and self.default not in self.recognizers:
            raise ValueError(f"default is {self.default!r}, which is none of the recognizers")
        return self

    @property
    def answering(self) -> str:
        """The name of the recognizer that answers where a request names none."""
        return self.default or next(iter(self.recognizers))


class ServeArgs(EndpointSettings):
    """Recognizers and how they answer. In a Serve configuration file: the application's `args`.

    There `serves` is better left out, and said as `user_config` of the deployment Replica: other recognizers
    then take the place of the former ones in replicas that go on.
    """

    serves: Served | None = None

    @classmethod
    def of(cls, serve: ServeRecipe, name: str, bundle: str) -> Self:
        """Return a recipe's settings for one bundle; where it listens is not the application's business."""
        settings = serve.model_dump(exclude={"host", "port", "application"})
        return cls(serves=Served(recognizers={name: bundle}), **settings)

    @property
    def settings(self) -> EndpointSettings:
        """All but the recognizers, which a running endpoint can change."""
        return EndpointSettings.model_validate(self.model_dump(exclude={"serves"}))
