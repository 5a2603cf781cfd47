"""What the endpoint says, as JSON."""

from typing import Self

from pydantic import BaseModel

from t2ipal.bundle import Prediction


class Place(BaseModel):
    """Where a class is seen, in shares of the image's width and height from its top left corner."""

    peak: tuple[float, float]  # x, y
    box: tuple[float, float, float, float]  # left, top, right, bottom


class Label(BaseModel):
    """A class that is in the image."""

    name: str
    score: float
    where: Place


class Answer(BaseModel):
    """All that is known about one image."""

    labels: list[Label]  # classes above their threshold, the surest first
    scores: dict[str, float]  # of every class
    model: str

    @classmethod
    def of(cls, prediction: Prediction, model: str) -> Self:
        """Return a prediction in the form of an answer."""
        labels = [
            Label(
                name=name,
                score=prediction.scores[name],
                where=Place(peak=prediction.where[name].peak, box=prediction.where[name].box),
            )
            for name in prediction.labels
        ]
        return cls(labels=labels, scores=prediction.scores, model=model)
