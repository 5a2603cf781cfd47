"""What an endpoint is started with."""

from typing import Self

from t2ipal.recipe import EndpointSettings, ServeRecipe


class ServeArgs(EndpointSettings):
    """A recognizer bundle and how it answers. In a Serve configuration file: the application's `args`."""

    bundle: str  # a local path or an s3://, gs:// URI

    @classmethod
    def of(cls, serve: ServeRecipe, bundle: str) -> Self:
        """Return a recipe's settings for a bundle; where it listens is not the application's business."""
        return cls(bundle=bundle, **serve.model_dump(exclude={"host", "port", "application"}))
