import pytest
import torch
from torch.nn import functional

from t2ipal.clip.vision import image_features, resize_positions
from t2ipal.errors import UserError
from tests.tiny_clip import EMBED_DIM, TOWERS, tiny_backbone

STRIDE = {"resnet": 32, "vit": 16}


def pixels(*size):
    return torch.randn(2, 3, *size, generator=torch.Generator().manual_seed(1))


@pytest.mark.parametrize("tower", TOWERS)
def test_the_global_feature_is_open_clips_own(tower):
    backbone, image = tiny_backbone(tower, pool_positions=True), pixels(64, 64)
    expected = functional.normalize(backbone._model.encode_image(image), dim=-1)
    torch.testing.assert_close(backbone.pixels(image).whole, expected, atol=1e-5, rtol=0)


@pytest.mark.parametrize("size", [(64, 64), (96, 160)])
@pytest.mark.parametrize("positions", [False, True])
@pytest.mark.parametrize("tower", TOWERS)
def test_features_at_any_resolution_are_normalised(tower, positions, size):
    features = tiny_backbone(tower, pool_positions=positions).pixels(pixels(*size))
    grid = (size[0] // STRIDE[tower], size[1] // STRIDE[tower])
    assert features.grid == grid
    assert features.whole.shape == (2, EMBED_DIM)
    assert features.patches.shape == (2, grid[0] * grid[1], EMBED_DIM)
    for each in (features.whole, features.patches):
        torch.testing.assert_close(each.norm(dim=-1), torch.ones(each.shape[:-1]))


def test_resnet_pools_equal_cells_to_their_own_feature():
    # Attention over equal values returns that value, whatever the weights: so pooling and the dense path
    # agree.
    backbone = tiny_backbone("resnet")
    features = backbone.pixels(pixels(32, 32))
    assert features.grid == (1, 1)
    torch.testing.assert_close(features.whole, features.patches[:, 0])
    many = backbone.pixels(pixels(64, 64))
    assert (many.whole[:, None] - many.patches).abs().max() > 0.01


def test_resnet_positions_change_the_global_feature_only():
    without, with_ = (tiny_backbone("resnet", pool_positions=p).pixels(pixels(64, 64)) for p in (False, True))
    assert (without.whole - with_.whole).abs().max() > 0.01
    assert torch.equal(without.patches, with_.patches)


def test_vit_patches_take_the_value_path_of_the_last_block():
    backbone, image = tiny_backbone("vit"), pixels(64, 64)
    tower = backbone._model.visual
    cells = tower.conv1(image).flatten(2).transpose(1, 2)
    first = tower.class_embedding.expand(2, 1, -1)
    tokens = tower.ln_pre(torch.cat([first, cells], dim=1) + tower.positional_embedding)
    tokens = tower.transformer.resblocks[0](tokens)
    last, width = tower.transformer.resblocks[1], tokens.shape[-1]
    value = functional.linear(
        last.ln_1(tokens), last.attn.in_proj_weight[2 * width :], last.attn.in_proj_bias[2 * width :]
    )
    hidden = tokens + last.attn.out_proj(value)
    hidden = hidden + last.mlp(last.ln_2(hidden))
    expected = functional.normalize((tower.ln_post(hidden) @ tower.proj)[:, 1:], dim=-1)
    torch.testing.assert_close(backbone.pixels(image).patches, expected, atol=1e-5, rtol=0)


def test_a_patch_follows_its_place_in_the_image():
    # One bright corner changes its own cell more than the opposite one.
    for tower in TOWERS:
        dark = torch.zeros(1, 3, 128, 128)
        bright = dark.clone()
        bright[:, :, :32, :32] = 3.0
        before, after = (tiny_backbone(tower).pixels(image).patches[0] for image in (dark, bright))
        change = (after - before).norm(dim=-1)
        assert change[0] > 2 * change[-1]


def test_positions_are_kept_at_their_own_grid_and_interpolated_elsewhere():
    positions = torch.randn(1 + 4, 8)
    assert resize_positions(positions, (2, 2)) is positions
    resized = resize_positions(positions, (3, 5))
    assert resized.shape == (1 + 15, 8)
    assert torch.equal(resized[0], positions[0])
    flat = torch.cat([positions[:1], torch.full((4, 8), 2.0)])
    torch.testing.assert_close(resize_positions(flat, (3, 5))[1:], torch.full((15, 8), 2.0))


def test_another_kind_of_tower_is_refused_by_name():
    with pytest.raises(UserError, match=r"(?s)Linear.*ModifiedResNet"):
        image_features(torch.nn.Linear(2, 2), pixels(32, 32), False)
