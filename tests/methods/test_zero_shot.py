import pytest
import torch
from open_clip import OPENAI_IMAGENET_TEMPLATES

from t2ipal.method_settings import ZeroShotSettings
from t2ipal.methods.zero_shot import ensemble
from tests.methods import formulas
from tests.methods.given import array, arrays, assert_scores, images
from tests.tiny_clip import tiny_backbone
from tests.tuning.tiny_set import NAMES, tiny_method, tiny_settings

ENSEMBLE = ("a photo of a {}", "the red {}", "{} and house")
SETTINGS = tiny_settings(
    zero_shot={"template": "the {}", "ensemble": ENSEMBLE, "scale": 3.0, "k": 9.0, "mix": 0.3}
)


def sentences(template):
    return array(tiny_backbone("resnet").sentences([template.replace("{}", name) for name in NAMES]).whole)


def test_one_sentence_and_the_global_feature():
    method, seen = tiny_method("zero_shot", SETTINGS), images()
    expected = formulas.global_scores(array(seen.whole), sentences("the {}"), 3)
    assert_scores(method.parts(seen), {"global": expected})
    assert_scores({"answer": method.scores(seen)}, {"answer": expected})
    heat = torch.einsum("bpd,cd->bcp", seen.patches.double(), torch.from_numpy(sentences("the {}")))
    assert_scores({"heatmap": method.heatmap(seen)}, {"heatmap": array(heat)})


def test_the_mean_feature_of_many_sentences():
    method, seen = tiny_method("zero_shot_ensemble", SETTINGS), images()
    mean = formulas.unit(sum(sentences(template) for template in ENSEMBLE) / 3)
    expected = formulas.global_scores(array(seen.whole), mean, 3)
    assert_scores(method.parts(seen), {"global": expected})
    assert_scores({"answer": method.scores(seen)}, {"answer": expected})


def test_dense_scores_as_tai_dpt_fuses_them():
    method, x = tiny_method("zero_shot_dense", SETTINGS), arrays(images())
    text = sentences("the {}")
    whole = formulas.global_scores(x.whole, text, 3)
    local = formulas.local_scores(x.patches, text, 9, 3)
    assert_scores(method.parts(images()), {"global": whole, "local": local})
    assert_scores({"answer": method.scores(images())}, {"answer": 0.3 * whole + 0.7 * local})


def test_the_ensemble_is_that_of_openai_unless_the_recipe_has_its_own():
    assert ensemble(ZeroShotSettings(ensemble=ENSEMBLE)) == ENSEMBLE
    templates = ensemble(ZeroShotSettings())
    assert len(templates) == len(set(templates)) == 80
    assert [each.replace("{}", "cat") for each in templates] == [t("cat") for t in OPENAI_IMAGENET_TEMPLATES]


@pytest.mark.parametrize("name", ["zero_shot", "zero_shot_ensemble", "zero_shot_dense"])
def test_nothing_is_tuned(name):
    method = tiny_method(name, SETTINGS)
    assert not list(method.parameters())
    assert list(method.phases()) == []
    with pytest.raises(ValueError, match="no phase 'tune'"):
        method(None, "tune")


def test_without_parameters_the_device_is_that_of_the_features():
    method = tiny_method("zero_shot", SETTINGS)
    assert method.device.type == "cpu"
    assert method.to("meta").device.type == "meta"
