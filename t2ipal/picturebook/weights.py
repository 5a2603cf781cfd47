"""Where the picture world's models lie, and what a model name in a recipe means."""

from pathlib import Path

from t2ipal.errors import UserError

SCHEME = "picturebook:"
FOLDER = Path(__file__).parent / "weights"
MODELS = ("clip", "painter", "writer")


def resolve(source: str) -> str:
    """The folder behind `picturebook:<model>`; any other model name comes back unchanged."""
    if not source.startswith(SCHEME):
        return source
    name = source.removeprefix(SCHEME)
    if name not in MODELS:
        raise UserError(
            f"the picture world has no model {name!r}",
            f"name one of {', '.join(SCHEME + model for model in MODELS)}",
        )
    folder = FOLDER / name
    if not folder.is_dir():
        raise UserError(
            f"the picture world's {name} is missing: {folder}",
            f"restore it from version control, or train it: python -m t2ipal.picturebook.build {name}",
        )
    return str(folder)
