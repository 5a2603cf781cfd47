"""Labels in one file: JSON, an image a line, or COCO's format of annotations."""

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, Literal

from t2ipal.labelling.plan import TABLE, Labelling
from t2ipal.store import Store

Format = Literal["jsonl", "coco"]
FILES: Mapping[Format, str] = {"jsonl": "labels.jsonl", "coco": "coco.json"}


def export(out: Store, settings: Labelling, shards: Sequence[str], format: Format) -> str:
    """Write all labels in a format, and return the name of the file."""
    rows = (row for shard in shards for row in out.shards(TABLE).read(shard).to_pylist())
    pieces = _lines(rows, settings) if format == "jsonl" else _coco(rows, settings)
    out.write_bytes(FILES[format], "".join(pieces).encode())
    return FILES[format]


def _lines(rows: Iterable[Mapping[str, Any]], settings: Labelling) -> Iterator[str]:
    names = [*settings.classes, *settings.names]
    for row in rows:
        content = {key: row[key] for key in ("image", "width", "height")}
        if row["error"] is not None:
            content["error"] = row["error"]
        else:
            content |= {"labels": row["labels"], "scores": dict(zip(names, row["scores"], strict=True))}
        yield json.dumps(content, ensure_ascii=False) + "\n"


def _coco(rows: Iterable[Mapping[str, Any]], settings: Labelling) -> Iterator[str]:
    """COCO's annotations: a box for each label, from its heatmap, and its probability as `score`.

    Broken images are in `info`, with their reasons.
    """
    names = [*settings.classes, *settings.names]
    number = {name: place for place, name in enumerate(names, start=1)}
    images: list[dict[str, Any]] = []
    annotations: list[dict[str, Any]] = []
    broken: dict[str, str] = {}
    for row in rows:
        if row["error"] is not None:
            broken[row["image"]] = row["error"]
            continue
        size = {"width": row["width"], "height": row["height"]}
        images.append({"id": len(images) + 1, "file_name": row["image"], **size})
        for label in row["labels"]:
            box = _pixels(label["box"], row["width"], row["height"])
            annotations.append(
                {
                    "id": len(annotations) + 1,
                    "image_id": len(images),
                    "category_id": number[label["name"]],
                    "bbox": box,
                    "area": box[2] * box[3],
                    "iscrowd": 0,
                    "score": label["score"],
                }
            )
    content = {
        "info": {"description": "by t2ipal", "version": settings.version, "broken": broken},
        "categories": [{"id": place, "name": name} for name, place in number.items()],
        "images": images,
        "annotations": annotations,
    }
    yield json.dumps(content, ensure_ascii=False) + "\n"


def _pixels(box: Sequence[float], width: int, height: int) -> list[float]:
    """Return x, y, width and height in pixels of a box in shares of the image."""
    left, top, right, bottom = box
    return [left * width, top * height, (right - left) * width, (bottom - top) * height]
