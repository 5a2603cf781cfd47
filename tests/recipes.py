"""Recipes of the smallest runs that go through the real code."""

from typing import Any

from t2ipal.recipe import Recipe


def tiny_recipe(**sections: dict[str, Any] | str | None) -> Recipe:
    """Return a recipe of 12 captions in 3 shards; a keyword changes keys of that section, None removes it."""
    content: dict[str, Any] = {
        "name": "tiny",
        "run": "unused",
        "vocabulary": {"fish": [], "house": [], "tree": []},
        "captions": {
            "model": "unused",
            "count": 12,
            "classes_per_caption": [1, 1],
            "prompt": "write a caption with {classes} .",
            "shard_rows": 4,
        },
        "images": {"model": "unused", "steps": 1, "guidance": 2.0, "size": 32, "shard_rows": 8},
        "backbone": {"model": "unused"},
    }
    for name, changes in sections.items():
        merged = isinstance(content.get(name), dict) and isinstance(changes, dict)
        content[name] = {**content[name], **changes} if merged else changes
    return Recipe.model_validate(content)
