"""t2ipal: multi-label image recognition tuned on synthetic images, with no annotated image.

    from t2ipal import Recognizer

    Recognizer.load("runs/offline/bundle").predict([image])    # PIL images -> labels, scores, places

The library is pure and typed; only `t2ipal.stages` knows Ray. Start reading at `jobs/pipeline.py`.
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from t2ipal.recognizer import Recognizer as Recognizer

__all__ = ["Recognizer"]


def __getattr__(name: str) -> Any:
    """Import what loads torch only for those who ask for it: recipes are read without."""
    if name == "Recognizer":
        from t2ipal.recognizer import Recognizer

        return Recognizer
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
