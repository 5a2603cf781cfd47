"""A run's tables, read back shard by shard and compared with their manifests and with the recipe.

A few shards at a time are in memory, whatever the size of the run; keys are compared with those that the plan
gives their shard, so that none can be there twice and no list of all is needed.
"""

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

from pydantic import ValidationError

from t2ipal.errors import DamagedFileError, UserError
from t2ipal.recipe import Recipe, load_recipe
from t2ipal.run_files import CAPTION_DRAFTS
from t2ipal.shard_names import written_shards
from t2ipal.shards import Shards
from t2ipal.stages import features
from t2ipal.store import RUN_FILE, Store
from t2ipal.validation import describe
from t2ipal.verification.fault import Fault
from t2ipal.verification.shard import Listing, Planned, check_shard
from t2ipal.verification.tables import READS, TablePlan, is_begun, plan_of, shards_of

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
    except DamagedFileError as error:
        raise UserError(error.problem, "nothing else says what it is to hold; give another run") from error
    except (ValueError, KeyError, TypeError) as error:  # ValidationError is a ValueError
        reason = "; ".join(describe(error, Recipe)) if isinstance(error, ValidationError) else repr(error)
        raise UserError(
            f"{RUN_FILE} in {uri!r} holds no recipe of this version: {reason}",
            "give the recipe's file with --recipe",
        ) from error


def verify(recipe: Recipe, store: Store, under_way: bool = False) -> Iterator[TableReport]:
    """Yield what is found in each table that was begun, or that a later one was made from.

    While a job is `under_way`, drafts say nothing, and are passed over.
    """
    begun = {table for table in READS if is_begun(table, recipe, store)}
    for table in READS:
        if under_way and table == CAPTION_DRAFTS:
            continue
        if table in begun or any(table in READS[later] for later in begun):
            yield _verify_table(table, recipe, store)


def repair(store: Store, faults: list[Fault]) -> None:
    """Remove what is wrong, so that the next run of the job makes it again."""
    for fault in faults:
        if fault.remove is None:
            store.shards(fault.table).delete([fault.name])
        for name in fault.remove or ():
            if store.exists(name):
                store.delete(name)


def _verify_table(table: str, recipe: Recipe, store: Store) -> TableReport:
    shards, plan = shards_of(table, store), plan_of(table, recipe, store)
    listing = _listing(shards)
    checked, foreign = _to_check(shards, plan, listing)
    with ThreadPoolExecutor(_READERS) as pool:
        results = list(pool.map(partial(check_shard, shards, listing), checked))
    faults = [fault for _, fault in results if fault is not None]
    if faults:
        # A job may have written or removed shards since they were listed: these are looked at again.
        before, listing = listing, _listing(shards)
        changed = {fault.name for fault in faults if listing.state(fault.name) != before.state(fault.name)}
        plan = plan_of(table, recipe, store) if changed else plan
        checked, foreign = _to_check(shards, plan, listing)
        again = [check_shard(shards, listing, each) for each in checked if each.name in changed]
        results = [each for each in results if each[1] is None or each[1].name not in changed] + again
        faults = [fault for _, fault in results if fault is not None]
    return TableReport(
        table,
        shards=len(results) - len(faults),
        rows=sum(rows for rows, _ in results),
        faults=[*faults, *foreign],
        unknown=plan.unknown,
    )


def _listing(shards: Shards) -> Listing:
    return Listing(shards.row_files(), shards.manifest_files())


def _to_check(shards: Shards, plan: TablePlan, listing: Listing) -> tuple[list[Planned], list[Fault]]:
    """Return the shards to look at, and faults for those that are not planned."""
    there = written_shards(shards.stage, listing.rows, listing.manifests)
    others = sorted(there - {shard.name for shard in plan.shards})
    if plan.unknown:
        return [*plan.shards, *(Planned(name) for name in others)], []
    return plan.shards, [Fault("foreign", shards.stage, name, "no such shard is planned") for name in others]
