"""Are the models and caption files behind a recipe's names still those that a run began with?

A name says little: other weights may lie in the same folder. A run remembers a digest of each local folder
and file from when something was first made with it; what comes from a hub is known by its name only.
"""

import hashlib
from pathlib import Path

from t2ipal.captions_recipe import CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.picturebook.weights import resolve
from t2ipal.recipe import Recipe
from t2ipal.store import Store

MODELS_FILE = "models.json"
# Of a large file only pieces spread over it are read: other weights differ nearly everywhere.
_PIECES, _PIECE = 32, 64 * 1024

# section of the recipe -> the tables that are made with the models and files that it names
_MAKES = {
    "captions": ("captions",),
    "annotated_captions": ("captions",),
    "images": ("images",),
    "backbone": ("features", "caption_features", "test_features"),
}


def check_models_unchanged(recipe: Recipe, store: Store, remember: bool = True) -> None:
    """Raise UserError when a local model, or a file of captions, is not the one that this run began with;
    `remember` new ones, and those with which nothing was made yet.

    One that is gone is passed over: its stages may be complete, and else it is missed elsewhere.
    """
    remembered = store.read_json(MODELS_FILE) if store.exists(MODELS_FILE) else {}
    known = {key: digest for key, digest in remembered.items() if _is_used(key, store)}
    now = _digests(recipe)
    for key, digest in now.items():
        if known.get(key, digest) != digest:
            what = "model" if key.endswith(".model") else "file"
            raise UserError(
                f"the {what} behind {key} has changed since the run in {store.uri!r} began",
                "put the former files back, or give another run folder",
            )
    if remember and known | now != remembered:
        store.write_json(MODELS_FILE, known | now)


def has_begun(table: str, store: Store) -> bool:
    """Say whether anything of a table was made, be it half a shard; of captions, a draft or the prior too."""
    return bool(store.files(table) if table == "captions" else store.shards(table).written())


def _is_used(key: str, store: Store) -> bool:
    return any(has_begun(table, store) for table in _MAKES[key.partition(".")[0]])


def _digests(recipe: Recipe) -> dict[str, str]:
    models = {"images.model": recipe.images.model, "backbone.model": recipe.backbone.model}
    source = recipe.caption_source
    files = source.files()
    if isinstance(source, CaptionsRecipe) and source.endpoint is None:
        models["captions.model"] = source.model
    folders = {key: Path(resolve(name)).expanduser() for key, name in models.items()}
    digests = {key: folder_digest(folder) for key, folder in folders.items() if folder.is_dir()}
    return digests | {key: _file_digest(Path(name)) for key, name in files.items() if Path(name).is_file()}


def _file_digest(path: Path) -> str:
    """Return a hash of the whole content: one word may have changed."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def folder_digest(folder: Path) -> str:
    """Return a hash of a model folder's files: their names, sizes and, of large ones, pieces of the content.

    Hidden files and Markdown say nothing about the model and are left out.
    """
    digest = hashlib.sha256()
    for path in sorted(each for each in folder.rglob("*") if each.is_file()):
        name = path.relative_to(folder)
        if any(part.startswith(".") for part in name.parts) or path.suffix == ".md":
            continue
        size = path.stat().st_size
        digest.update(f"{name.as_posix()}\n{size}\n".encode())
        with path.open("rb") as file:
            for start in _starts(size):
                file.seek(start)
                digest.update(file.read(_PIECE))
    return digest.hexdigest()


def _starts(size: int) -> list[int]:
    """Where to read: everywhere in a small file, else evenly from the first piece to the last one."""
    if size <= _PIECES * _PIECE:
        return list(range(0, size, _PIECE))
    return [i * (size - _PIECE) // (_PIECES - 1) for i in range(_PIECES)]
