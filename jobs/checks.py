"""What a job looks at before an engine spends minutes to find out less clearly."""

import os
from collections.abc import Mapping, Sequence

from serve.deploy import check_port
from t2ipal.captions import annotated
from t2ipal.captions.prior import check_corpus
from t2ipal.captions_recipe import AnnotatedCaptionsRecipe, CaptionsRecipe
from t2ipal.errors import UserError
from t2ipal.model_folder import check_model_folder
from t2ipal.picturebook.weights import SCHEME, resolve
from t2ipal.recipe import Recipe
from t2ipal.stages import captions, images, page
from t2ipal.vocabulary import Vocabulary

BACKBONE_FILES = ("open_clip_config.json",)


def joins_cluster() -> bool:
    """Say whether this process belongs to a Ray cluster, as within `ray job submit`.

    With the address of the job server (http://...) in RAY_ADDRESS it is one that submits jobs elsewhere.
    """
    address = os.environ.get("RAY_ADDRESS", "")
    return bool(address) and not address.startswith(("http://", "https://"))


def check_models(
    recipe: Recipe, pending: Mapping[str, Sequence[str]], serves: bool = False, counted: bool = False
) -> None:
    """Raise UserError unless the local model folders, and the files of captions, that the unfinished stages
    need are there and whole, and the model takes what the section images sets.

    `pending` holds the missing shards by stage; a model whose work is done may be gone, but the endpoint
    needs the backbone. Nor is a corpus needed that is `counted`: what it tells is in the run.
    """
    source = recipe.caption_source
    if pending.get(captions.STAGE) and not counted:
        _check_files(source)
        _check_sentences(recipe)
    written = []
    if isinstance(source, CaptionsRecipe):
        if source.endpoint is None:
            written = [(("captions",), "captions.model", source.model, captions.MODEL_FILES)]
        elif pending.get(captions.STAGE):
            source.endpoint.api_key()
    needs = (
        *written,
        (("images",), "images.model", recipe.images.model, images.MODEL_FILES),
        (
            ("features", "tune", "evaluate", "bundle", "deploy"),
            "backbone.model",
            recipe.backbone.model,
            BACKBONE_FILES,
        ),
    )
    for stages, key, model, files in needs:
        if any(pending.get(stage) for stage in stages) or (serves and "deploy" in stages):
            check_model_folder(resolve(model), key, files)
            # Importing open_clip takes seconds, and has nothing to say about folders and hubs.
            if key == "backbone.model" and ":" not in model and not os.path.isdir(model):
                _check_backbone_name(recipe)
    if pending.get(images.STAGE):
        images.check_settings(recipe.images)


def _check_files(source: CaptionsRecipe | AnnotatedCaptionsRecipe) -> None:
    for key, path in source.files().items():
        if not os.path.isfile(path):
            raise UserError(f"{key}: there is no file {path!r}", "correct the path, or put the file there")


def _check_sentences(recipe: Recipe) -> None:
    """Read the file that captions, or their prior, are made from: what is wrong with it is known by then."""
    source, vocabulary = recipe.caption_source, Vocabulary.load(recipe.vocabulary)
    if isinstance(source, AnnotatedCaptionsRecipe):
        annotated.check(source, vocabulary)
    elif source.prior is not None:
        check_corpus(source.prior, vocabulary)


def _check_backbone_name(recipe: Recipe) -> None:
    from t2ipal.clip.backbone import check_name

    check_name(recipe.backbone)


def check_order(stages: Sequence[str], pending: Mapping[str, Sequence[str]]) -> None:
    """Raise UserError when a stage is asked for without what comes before it.

    `pending` holds the missing shards of all stages, in the order of the pipeline. Nothing needs the report.
    """
    earlier: list[str] = []
    for stage in (*pending, "deploy"):
        if stage in stages and (missing := [name for name in earlier if name not in stages]):
            raise UserError(
                f"the stage {stage!r} needs the stage {missing[0]!r}, which is not complete",
                f"run {missing[0]!r} first, or leave out --stages",
            )
        if pending.get(stage) and stage != page.STAGE:
            earlier.append(stage)


def check_endpoint(recipe: Recipe) -> None:
    """Raise UserError unless the endpoint's port is free; on a cluster, Ray Serve may already hold it."""
    if not joins_cluster():
        check_port(recipe.serve.host, recipe.serve.port)


def models_are_local(recipe: Recipe) -> bool:
    """Say whether no model has to come from a hub."""
    writes = recipe.captions is not None and recipe.captions.endpoint is None
    writers = [recipe.captions.model] if recipe.captions is not None and writes else []
    sources = (*writers, recipe.images.model, recipe.backbone.model)
    return all(source.startswith(SCHEME) or os.path.isdir(source) for source in sources)


def check_run_uri(uri: str, what: str = "run folder", argument: str = "--run") -> None:
    """Refuse a relative path on a cluster: other nodes have another working directory, and that of a
    submitted job is Ray's copy, which goes away. `what` it is, and the `argument` that gives it, are told.
    """
    if joins_cluster() and "://" not in uri and not os.path.isabs(os.path.expanduser(uri)):
        raise UserError(
            f"the {what} {uri!r} is relative, and a cluster's machines share no working directory",
            f"give {argument} an absolute path that all nodes share, or an s3:// or gs:// URI",
        )
