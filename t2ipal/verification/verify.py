"""A run's tables, read back shard by shard and compared with their manifests and with the recipe.

A few shards at a time are in memory, whatever the size of the run; keys are compared with those that the plan
gives their shard, so that none can be there twice and no list of all is needed.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from t2ipal.errors import UserError
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.shards import Shards
from t2ipal.stages import features
from t2ipal.store import RUN_FILE, Store
from t2ipal.validation import describe
from t2ipal.verification.fault import Fault
from t2ipal.verification.shard import Listing, Planned, check_shard
from t2ipal.verification.tables import READS, is_begun, plan_of, shards_of

# Shards at once: one is fetched while another is hashed.
_READERS = 4

# What a recipe given in place of the run's own has to agree on.
_BOUND = ("captions", "images", features.IMAGES, features.CAPTIONS, features.TEST)


@dataclass(frozen=True)
class TableReport:
    """What was found in a table: right rows in how many shards, what is wrong, and what could not be compared
    and why.
    """

    table: str
    shards: int
    rows: int
    faults: list[Fault]
    unknown: str


def open_run(uri: str, recipe: str | None = None, writable: bool = False) -> tuple[Recipe, Store]:
    """Open a run with the recipe that it is bound to, or with the same from a file, whose relative paths lead
    somewhere. Raises UserError when there is no run.
    """
    store = Store.open(uri, writable=writable)
    if not store.exists(RUN_FILE):
        raise UserError(f"there is no run in {uri!r}", f"give the folder of a run; it holds {RUN_FILE}")
    if recipe is not None:
        loaded = load_recipe(recipe)
        store.claim(loaded, _BOUND)
        return loaded, store
    try:
        content = store.read_json(RUN_FILE)
        store.fingerprints.update(content["stages"])
        return Recipe.model_validate(content["recipe"]), store
    except (ValueError, KeyError, TypeError) as error:  # ValidationError is a ValueError
        reason = "; ".join(describe(error, Recipe)) if isinstance(error, ValidationError) else repr(error)
        raise UserError(
            f"{RUN_FILE} in {uri!r} holds no recipe of this version: {reason}",
            "give the recipe's file with --recipe",
        ) from error


def verify(recipe: Recipe, store: Store) -> Iterator[TableReport]:
    """Yield what is found in each table that was begun, or that a later one was made from."""
    begun = {table for table in READS if is_begun(table, recipe, store)}
    for table in READS:
        if table in begun or any(table in READS[later] for later in begun):
            yield _verify_table(table, recipe, store)


def repair(store: Store, faults: list[Fault]) -> None:
    """Remove what is wrong, so that the next run of the job makes it again."""
    for fault in faults:
        path = f"{fault.table}/{fault.name}"
        if store.exists(path):  # a file of its own
            store.delete(path)
        else:
            store.shards(fault.table).delete([fault.name])


def _verify_table(table: str, recipe: Recipe, store: Store) -> TableReport:
    shards, plan = shards_of(table, store), plan_of(table, recipe, store)
    listing = Listing(frozenset(shards.row_files()), frozenset(shards.manifest_files()))
    planned = {shard.name for shard in plan.shards}
    others = sorted((listing.rows | listing.manifests) - planned)
    foreign, checked = [], list(plan.shards)
    if plan.unknown:
        checked += [Planned(name) for name in others]
    else:
        foreign = [Fault("foreign", table, name, "no such shard is planned") for name in others]
    with ThreadPoolExecutor(_READERS) as pool:
        results = list(pool.map(partial(check_shard, shards, listing), checked))
    faults = [fault for _, fault in results if fault is not None]
    return TableReport(
        table,
        shards=len(checked) - len(faults),
        rows=sum(rows for rows, _ in results),
        faults=[*faults, *foreign, *_leftovers(shards)],
        unknown=plan.unknown,
    )


def _leftovers(shards: Shards) -> list[Fault]:
    """Return what writers leave in a local folder when they are killed."""
    return [
        Fault("torn", shards.stage, name, "a process was killed while it wrote this file")
        for name in shards.unfinished_files()
    ]
