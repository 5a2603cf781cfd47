import numpy as np
import pytest
import torch

from t2ipal.errors import UserError
from t2ipal.images.lost_device import DeviceLostError
from t2ipal.images.painter import MOST_FAILED, Painter, out_of_memory
from t2ipal.images_recipe import ImagesRecipe
from tests.tiny_pipelines import save_pipeline

CAPTIONS = ["a red fish", "two houses", "a red fish", "a tree and a cat", "the moon"]
BAD = "\ud800"  # half of a character, which no tokenizer takes


@pytest.fixture(scope="module")
def model(tmp_path_factory):
    return save_pipeline("stable-diffusion", tmp_path_factory.mktemp("painter"))


def painter_of(model, **settings):
    standard = {"model": model, "steps": 2, "guidance": 4.0, "size": 32, "batch": 5}
    return Painter(ImagesRecipe(**standard | settings))


def paint(model, captions=CAPTIONS, seeds=range(5), **settings):
    return pixels(painter_of(model, **settings).paint(captions, list(seeds)))


def pixels(paintings):
    return [np.asarray(painting.image, int) for painting in paintings]


def assert_same_pictures(found, expected):
    # Another batch size means other loops in the matrix products: a value on the edge of rounding may fall
    # either way.
    difference = np.abs(np.stack(found) - np.stack(expected))
    assert difference.max() <= 1
    assert (difference > 0).mean() < 1e-3


def short_of_memory_above(painter, batch):
    """Let the allocator itself refuse what a denoiser asks for when it works on more images than `batch`."""
    seen = []

    def refuse(module, args):
        images = len(args[0]) // 2  # with guidance each is there twice
        seen.append(images)
        if images > batch:
            torch.empty(2**60)

    painter._pipeline.unet.register_forward_pre_hook(refuse)
    return seen


def test_one_image_for_each_caption_in_order(model):
    images = paint(model)
    assert [image.shape for image in images] == [(32, 32, 3)] * 5
    assert_same_pictures(images[3:4], paint(model, CAPTIONS[3:4], [3]))


def test_an_image_depends_on_its_caption_and_its_seed(model):
    first, _, third, *_ = paint(model)
    assert not np.array_equal(first, third)  # the same caption, another seed
    other = paint(model, ["the moon"], [0])[0]
    assert not np.array_equal(first, other)  # the same seed, another caption


def test_the_same_call_gives_the_same_pixels(model):
    assert np.array_equal(paint(model), paint(model))


@pytest.mark.parametrize("batch", [1, 2, 3])
def test_an_image_does_not_depend_on_its_batch(model, batch):
    assert_same_pictures(paint(model, batch=batch), paint(model))


@pytest.mark.parametrize(
    "settings",
    [
        {"scheduler": "DPMSolverMultistepScheduler"},
        {"guidance": 1.0},
        {"guidance": None},  # the pipeline's own 7.5
        {"negative_prompt": "blurred"},
        {"dtype": "bfloat16"},
        {"steps": 3},
        {"options": {"guidance_rescale": 0.7}},
    ],
)
def test_every_setting_has_an_effect(model, settings):
    assert not np.array_equal(paint(model, **settings), paint(model))


def test_height_and_width(model):
    assert [image.shape for image in paint(model, size=(32, 48))] == [(32, 48, 3)] * 5


def test_nothing_to_paint(model):
    assert paint(model, [], []) == []


@pytest.mark.parametrize(("most", "batches"), [(3, {5, 3, 2}), (2, {5, 3, 2, 1}), (1, {5, 3, 2, 1})])
def test_a_batch_for_which_memory_is_short_is_halved_and_stays_so(model, most, batches):
    painter = painter_of(model)
    seen = short_of_memory_above(painter, most)
    assert_same_pictures(pixels(painter.paint(CAPTIONS, range(5))), paint(model))
    assert set(seen) == batches
    assert painter.batch <= most
    seen.clear()
    assert_same_pictures(pixels(painter.paint(CAPTIONS, range(5))), paint(model))
    assert max(seen) <= most


def test_a_batch_that_became_smaller_stays_so_whatever_its_other_half_needs(model):
    painter = painter_of(model, guidance=1.0, batch=8)
    # Batches of 8, 4 and 2, not those of 1, 1 and 2 with their two steps, then the other 4.
    refused = iter([True] * 3 + [False] * 6 + [True])

    def refuse(module, args):
        if next(refused, False):
            torch.empty(2**60)

    painter._pipeline.unet.register_forward_pre_hook(refuse)
    assert len(list(painter.paint(["a fish"] * 8, range(8)))) == 8
    assert painter.batch == 1


def test_an_image_that_memory_is_too_short_for_is_told(model):
    painter = painter_of(model)
    short_of_memory_above(painter, 0)
    paintings = list(painter.paint(CAPTIONS, range(5)))
    assert [painting.image for painting in paintings] == [None] * 5
    assert all("can't allocate memory" in painting.failure for painting in paintings)


@pytest.mark.parametrize("at", [0, 2, 4])
def test_a_caption_that_fails_is_found_and_its_neighbours_are_painted(model, at):
    captions = [*CAPTIONS[:at], BAD, *CAPTIONS[at + 1 :]]
    painter = painter_of(model)
    paintings = list(painter.paint(captions, range(5)))
    assert [i for i, painting in enumerate(paintings) if painting.image is None] == [at]
    assert "Error: " in paintings[at].failure
    others = [i for i in range(5) if i != at]
    assert_same_pictures(pixels(paintings[i] for i in others), [paint(model)[i] for i in others])
    assert painter.batch == 5  # memory was not short


def test_failures_between_which_something_is_painted_are_those_of_their_captions(model):
    captions = [BAD] * (MOST_FAILED - 1) + ["a fish"] + [BAD] * (MOST_FAILED - 1)
    paintings = list(painter_of(model).paint(captions, range(len(captions))))
    assert [painting.image is not None for painting in paintings] == [text == "a fish" for text in captions]
    with pytest.raises(UserError, match="failed on 16 captions in a row"):
        list(painter_of(model).paint([BAD] * MOST_FAILED, range(MOST_FAILED)))


def test_a_device_that_is_lost_is_nobodys_fault(model):
    painter = painter_of(model)

    def lose(module, args):
        raise torch.AcceleratorError("CUDA error: device-side assert triggered", 710)

    painter._pipeline.unet.register_forward_pre_hook(lose)
    with pytest.raises(DeviceLostError, match="device-side assert"):
        list(painter.paint(CAPTIONS, range(5)))


def test_what_being_short_of_memory_looks_like():
    with pytest.raises(RuntimeError) as of_the_cpu:
        torch.empty(2**60)
    assert out_of_memory(of_the_cpu.value)
    assert out_of_memory(torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 2.00 GiB."))
    assert out_of_memory(torch.AcceleratorError("CUDA error: out of memory", 2))
    assert out_of_memory(MemoryError())
    assert not out_of_memory(RuntimeError("mat1 and mat2 shapes cannot be multiplied"))


def test_an_image_of_one_colour_is_blank(model):
    painter = painter_of(model)
    painter._pipeline.vae.decoder.conv_out.weight.data.fill_(float("nan"))  # as overflow leaves it
    with np.errstate(invalid="ignore"):
        paintings = list(painter.paint(CAPTIONS[:1], [0]))
    assert [painting.blank for painting in paintings] == ["all of one colour"]
    assert [painting.blank for painting in painter_of(model).paint(CAPTIONS, range(5))] == [""] * 5
