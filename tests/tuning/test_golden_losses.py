import pytest

from t2ipal.method_names import NAMES, UNTUNED
from tests.tuning.golden_losses import FOLDER, METHODS, TOLERANCE, TOLERANCES, golden, losses


def furthest(found, expected):
    """The largest relative difference of any epoch's loss."""
    assert {phase: len(each) for phase, each in found.items()} == {
        phase: len(each) for phase, each in expected.items()
    }
    pairs = [pair for phase in found for pair in zip(found[phase], expected[phase], strict=True)]
    return max(abs(ours - theirs) / abs(theirs) for ours, theirs in pairs)


def tolerance(name):
    return TOLERANCES.get(name, TOLERANCE)


def test_every_method_that_is_tuned_has_its_losses():
    assert set(METHODS) == set(NAMES) - set(UNTUNED)
    assert {path.stem for path in FOLDER.glob("*.json")} == set(METHODS)


@pytest.mark.parametrize("name", METHODS)
def test_losses_are_what_they_are_meant_to_be(name):
    assert furthest(losses(name), golden(name)) < tolerance(name)


@pytest.mark.parametrize(
    ("name", "changes"),
    [
        # Margin of the ranking loss, temperatures of similarities and of the heatmap, learning rates.
        ("tai_dpt", {"margin": 1.01}),
        ("tai_dpt", {"scale": 4.04}),
        ("tai_dpt", {"k_train": 51.0}),
        ("tai_dpt", {"prompt_lr": 0.00101}),
        ("t2i_pal", {"margin": 1.01}),
        ("t2i_pal", {"k_train": 52.0}),
        ("t2i_pal", {"alpha": 0.202}),
        ("t2i_pal", {"head_lr": 0.00202}),
        ("supervised", {"scale": 4.04}),
        ("pvp", {"margin": 1.05}),
        ("pvp", {"scale": 4.2}),
        ("t2i_pal_pvp", {"doubt": 0.15}),
        ("dual_coop", {"scale": 20.2}),
        ("dual_coop", {"k": 5.05}),
        ("dual_coop", {"gamma_negative": 2.02}),
    ],
)
def test_a_slight_change_of_what_is_learned_shows(name, changes):
    assert furthest(losses(name, **changes), golden(name)) > 2 * tolerance(name)
