import shutil

import numpy as np
import pytest
import torch

from t2ipal.errors import UserError
from t2ipal.images.painter import Painter
from t2ipal.images.pipelines import call_arguments, load_pipeline
from t2ipal.images_recipe import ImagesRecipe
from tests.tiny_pipelines import save_pipeline

CAPTIONS = ["a red fish", "two houses", "the moon"]
# What a recipe says of each family beyond the model and the steps.
FAMILIES = {
    "stable-diffusion": {"guidance": 5.0, "negative_prompt": "blurred"},
    "stable-diffusion-xl": {"guidance": 0.0},  # as for SDXL-Turbo
    "stable-diffusion-3": {
        "guidance": 4.0,
        "negative_prompt": "blurred",
        "options": {"max_sequence_length": 32},
    },
    "flux": {"guidance": 3.5, "options": {"max_sequence_length": 32}},
    "pixart": {"guidance": 4.5, "options": {"use_resolution_binning": False, "clean_caption": False}},
}


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    folders = {}

    def folder(family):
        if family not in folders:
            folders[family] = save_pipeline(family, tmp_path_factory.mktemp(family))
        return folders[family]

    return folder


def recipe(model, **settings):
    return ImagesRecipe(**{"model": model, "steps": 2, "guidance": 4.0, "size": 32} | settings)


def paint(recipe, seeds=range(3)):
    return np.stack([np.asarray(each.image, int) for each in Painter(recipe).paint(CAPTIONS, list(seeds))])


@pytest.mark.parametrize("family", FAMILIES)
def test_a_pipeline_of_each_family_differs_in_its_recipe_only(model, family):
    settings = FAMILIES[family] | {"size": (32, 48)}
    images = paint(recipe(model(family), **settings))
    assert images.shape == (3, 32, 48, 3)
    assert not np.array_equal(images, paint(recipe(model(family), **settings), seeds=[7, 8, 9]))
    alone = paint(recipe(model(family), **settings, batch=1))
    assert np.abs(images - alone).max() <= 1  # an image is its seed's, whatever its batch
    assert (images != alone).mean() < 1e-3


@pytest.mark.parametrize("family", FAMILIES)
def test_dtype_is_that_of_the_weights(model, family):
    pipeline = load_pipeline(recipe(model(family), dtype="bfloat16"), "cpu")
    assert {part.dtype for part in pipeline.components.values() if isinstance(part, torch.nn.Module)} == {
        torch.bfloat16
    }


def test_what_a_call_does_not_take_is_refused_and_the_nearest_name_told(model):
    pipeline = load_pipeline(recipe(model("stable-diffusion")), "cpu")
    with pytest.raises(UserError, match=r"images\.options\.clipskip: .*; did you mean clip_skip"):
        call_arguments(pipeline, recipe("m", options={"clipskip": 1}))
    # Its call has **kwargs, which would pass over this one.
    with pytest.raises(UserError, match="StableDiffusionPipeline does not take max_sequence_length"):
        call_arguments(pipeline, recipe("m", options={"max_sequence_length": 77}))
    with pytest.raises(UserError, match="StableDiffusionPipeline does not take kwargs"):
        call_arguments(pipeline, recipe("m", options={"kwargs": 1}))
    with pytest.raises(UserError, match=r"images\.negative_prompt: the call of Plain does not take"):
        call_arguments(Plain(), recipe("m", guidance=None, negative_prompt="blurred"))
    with pytest.raises(UserError, match=r"images\.guidance: .* does not take guidance_scale") as refused:
        call_arguments(Plain(), recipe("m"))
    assert refused.value.remedy == "set it to null"


class Plain:
    def __call__(self, prompt, generator, num_inference_steps, height, width, steps_of=(1, 2)):
        raise NotImplementedError


def test_only_what_is_set_is_given():
    given = call_arguments(Plain(), recipe("m", guidance=None, size=(16, 32), options={"steps_of": [3, 4]}))
    assert given == {"num_inference_steps": 2, "height": 16, "width": 32, "steps_of": (3, 4)}


def test_a_pipeline_that_is_not_for_text_is_refused():
    class Unconditional:
        def __call__(self, batch_size, generator, num_inference_steps):
            raise NotImplementedError

    with pytest.raises(UserError, match=r"images\.model: the call of Unconditional does not take prompt"):
        call_arguments(Unconditional(), recipe("m"))


def test_micro_conditions_of_sdxl_are_lists_in_a_recipe(model):
    options = {"original_size": [64, 64], "target_size": [32, 32]}
    settings = {"guidance": 0.0}
    plain = paint(recipe(model("stable-diffusion-xl"), **settings))
    assert not np.array_equal(plain, paint(recipe(model("stable-diffusion-xl"), **settings, options=options)))


def test_a_variant_of_the_weights(model, tmp_path):
    pipeline = load_pipeline(recipe(model("stable-diffusion")), "cpu")
    pipeline.save_pretrained(tmp_path, variant="fp16")
    with pytest.raises(OSError, match="no file named"):
        load_pipeline(recipe(str(tmp_path)), "cpu")
    assert np.array_equal(
        paint(recipe(str(tmp_path), variant="fp16")), paint(recipe(model("stable-diffusion")))
    )


@pytest.mark.parametrize(("decoding", "wanted"), [("slices", "use_slicing"), ("tiles", "use_tiling")])
def test_decoding_in_parts(model, decoding, wanted):
    whole, parts = (recipe(model("stable-diffusion"), decoding=each) for each in ("whole", decoding))
    assert getattr(load_pipeline(parts, "cpu").vae, wanted)
    assert not getattr(load_pipeline(whole, "cpu").vae, wanted)
    assert np.abs(paint(parts) - paint(whole)).max() <= 1  # one tile holds so small an image


@pytest.mark.skipif(shutil.which("g++") is None, reason="torch.compile needs a compiler")
def test_a_compiled_denoiser_paints_the_same(model):
    settings = {"guidance": 1.0, "steps": 1}
    folder = model("stable-diffusion-3")  # of all of them it takes the least time to compile
    plain, compiled = (recipe(folder, **settings, compile=each) for each in (False, True))
    expected, before = paint(plain), torch._dynamo.utils.counters["stats"]["unique_graphs"]
    difference = np.abs(paint(compiled) - expected)
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] > before
    assert difference.max() <= 2
    assert (difference > 0).mean() < 0.01
