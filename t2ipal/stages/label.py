"""Label: a finished recognizer over a folder or bucket of images, shard by shard."""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from t2ipal.labelling.labeller import Labeller
from t2ipal.labelling.plan import TABLE, Files, Labelling
from t2ipal.section import Workers
from t2ipal.stages.report import StageReport
from t2ipal.store import Store

STAGE = "label"


@dataclass(frozen=True)
class Pool:
    """Who labels: a bundle, and the workers that each load it."""

    bundle: str
    workers: Workers


def pending(files: Files, out: Store) -> list[str]:
    """Return the names of the shards that are not labelled yet."""
    return out.shards(TABLE).missing(list(files.by_shard()))


def run(settings: Labelling, files: Files, pool: Pool, out: Store) -> StageReport:
    """Label the missing shards. Needs an initialised Ray where there are any."""
    start = time.monotonic()
    planned = files.by_shard()
    missing = pending(files, out)
    reports = _label(settings, planned, missing, pool, out) if missing else ()
    labelled = sum(report["rows"] for report in reports)
    seconds = time.monotonic() - start
    done = out.shards(TABLE).done()
    broken = sum(done[name].extra["broken"] for name in planned)
    return StageReport(
        stage=STAGE,
        rows=len(files.names),
        shards_total=len(planned),
        shards_done_before=len(planned) - len(missing),
        seconds=seconds,
        notes={"broken": broken, "labelled": labelled},
    )


def broken(files: Files, out: Store, most: int) -> list[tuple[str, str]]:
    """Return the names of images that could not be read, and why; `most` of them."""
    found: list[tuple[str, str]] = []
    done = out.shards(TABLE).done()
    for name in files.by_shard():
        if len(found) < most and done[name].extra["broken"]:
            rows = out.shards(TABLE).read(name, ["image", "error"]).to_pylist()
            found += [(row["image"], row["error"]) for row in rows if row["error"] is not None]
    return found[:most]


def _label(
    settings: Labelling, planned: dict[str, list[str]], missing: Sequence[str], pool: Pool, out: Store
) -> Iterator[dict[str, Any]]:
    from t2ipal.stages.ray_data import IN_HAND, actor_pool, quiet_ray_data, shards_to_do, startup_explained

    workers = pool.workers
    with quiet_ray_data(IN_HAND, workers.labels), startup_explained(STAGE, "the recognizer and its backbone"):
        rows = shards_to_do([{"shard": name, "images": planned[name]} for name in missing], workers)
        labelled = rows.map(
            ShardLabeller,  # type: ignore[arg-type]  # Ray takes a class, and calls its instances
            fn_constructor_args=(settings, pool, out),
            compute=actor_pool(workers, len(missing)),
            num_cpus=workers.cpus,
            num_gpus=workers.gpus,
        )
        yield from labelled.iter_rows()


class ShardLabeller:
    """Labels a shard and writes it."""

    def __init__(self, settings: Labelling, pool: Pool, out: Store) -> None:
        self._label = Labeller(settings, pool.bundle, "cuda" if pool.workers.gpus else "cpu")
        self._out = out

    def __call__(self, row: dict[str, Any]) -> dict[str, Any]:
        """Label and write the shard that the row describes; return its name and number of rows."""
        shards = self._out.shards(TABLE)
        # Rows of a block whose worker was lost come once more.
        if (written := shards.find(row["shard"])) is None:
            table = self._label(row["images"])
            broken = table.num_rows - table["error"].null_count
            written = shards.write(row["shard"], table, {"broken": broken})
        return {"shard": row["shard"], "rows": written.rows}
