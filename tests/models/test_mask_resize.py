"""Resizing by tiles equals resizing twice at full size."""
import pytest
import torch
import torch.nn.functional as F

from projects.oneformer.models import mask_resize
from projects.oneformer.models.mask_resize import MaskResizer


def plain(masks, padded, image, output):
    """Resize to the padded input, cut to the image, resize to the output."""
    masks = F.interpolate(masks[None].float(), padded, mode='bilinear')
    masks = masks[..., :image[0], :image[1]]
    return F.interpolate(masks, output, mode='bilinear')[0]


def assemble(resizer, masks):
    """The tiles put together; each pixel must come exactly once."""
    result = torch.zeros(len(masks), *resizer.output_size)
    count = torch.zeros(resizer.output_size)
    for rows, columns, logits in resizer.tiles(masks):
        result[:, rows, columns] = logits
        count[rows, columns] += 1
    assert count.eq(1).all()
    return result


@pytest.mark.parametrize(
    'mask, padded, image, output',
    [
        ((16, 24), (64, 96), (61, 83), (122, 166)),  # up twice
        ((16, 24), (64, 96), (61, 83), (33, 47)),  # up, then down
        ((16, 24), (64, 96), (64, 96), (64, 96)),  # up alone
        ((16, 24), (8, 12), (7, 12), (5, 9)),  # down
        ((7, 9), (27, 35), (27, 1), (41, 1)),  # odd sizes, one column
        ((16, 24), (64, 96), (64, 96), (1, 1)),
        ((1, 1), (32, 32), (20, 31), (50, 77)),
        ((8, 200), (32, 800), (30, 799), (3, 1601)),  # extreme aspect
        ((200, 8), (800, 32), (799, 2), (1500, 300)),
    ])
@pytest.mark.parametrize('tile_values', [1, 1 << 12, 1 << 21])
def test_equals_resizing_twice(mask, padded, image, output, tile_values,
                               monkeypatch):
    monkeypatch.setattr(mask_resize, 'TILE_VALUES', tile_values)
    masks = torch.randn(3, *mask) * 10
    resizer = MaskResizer(mask, padded, image, output)
    torch.testing.assert_close(
        assemble(resizer, masks),
        plain(masks, padded, image, output),
        rtol=1e-5,
        atol=1e-4)


def test_any_part_of_the_output():
    masks = torch.randn(2, 8, 12)
    sizes = (32, 48), (30, 41), (77, 55)
    whole = plain(masks, *sizes)
    resizer = MaskResizer((8, 12), *sizes)
    rows, columns = slice(13, 14), slice(20, 55)
    torch.testing.assert_close(
        resizer.tile(masks, rows, columns),
        whole[:, rows, columns],
        rtol=1e-5,
        atol=1e-5)


def test_tiles_are_bounded(monkeypatch):
    monkeypatch.setattr(mask_resize, 'TILE_VALUES', 10 * 40 * 40)
    resizer = MaskResizer((32, 64), (128, 256), (128, 256), (200, 330))
    sizes = [
        tile[2].numel() for tile in resizer.tiles(torch.randn(10, 32, 64))
    ]
    assert max(sizes) == 10 * 40 * 40 and len(sizes) == 5 * 9


class TestBoundedTiles:
    SIZES = (16, 24), (64, 96), (61, 83), (122, 166)

    @pytest.fixture(autouse=True)
    def small_tiles(self, monkeypatch):
        monkeypatch.setattr(mask_resize, 'SMALLEST_SIDE', 25)

    def test_cover_the_output_once_within_bounds(self):
        masks = torch.randn(5, 16, 24) * 30
        resizer = MaskResizer(*self.SIZES)
        count = torch.zeros(resizer.output_size)
        for tile in resizer.bounded_tiles(masks):
            count[tile.rows, tile.columns] += 1
            logits = resizer.tile(masks, tile.rows, tile.columns)
            assert logits.shape[1:] == tile.shape
            values = logits.flatten(1)
            assert torch.all(tile.lowest <= values.amin(dim=1))
            assert torch.all(tile.highest >= values.amax(dim=1))
            # not wider than the sources allow
            assert torch.all(tile.highest <= masks.amax() + 0.01)
        assert count.eq(1).all()

    def test_some_masks_and_some_pixels_of_a_tile(self):
        masks = torch.randn(5, 16, 24)
        resizer = MaskResizer(*self.SIZES)
        index = torch.tensor([3, 0])
        for tile in resizer.bounded_tiles(masks):
            whole = resizer.tile(masks, tile.rows, tile.columns)
            some = resizer.tile(masks, tile.rows, tile.columns, index)
            torch.testing.assert_close(some, whole[index])
            for number in (1, 4, 60):
                pixels = torch.randint(whole[0].numel(), (number, ))
                torch.testing.assert_close(
                    resizer.pixels(masks, tile, pixels),
                    whole.flatten(1)[:, pixels],
                    rtol=1e-5,
                    atol=1e-5)

    def test_no_mask_gives_no_tile(self):
        resizer = MaskResizer(*self.SIZES)
        assert not list(resizer.bounded_tiles(torch.zeros(0, 16, 24)))


def test_no_mask_gives_empty_tiles():
    resizer = MaskResizer((8, 8), (32, 32), (30, 30), (60, 40))
    assert assemble(resizer, torch.zeros(0, 8, 8)).shape == (0, 60, 40)


@pytest.mark.parametrize('dtype', [torch.float16, torch.bfloat16])
def test_half_precision_masks_are_resized_in_float32(dtype):
    masks = torch.randn(2, 8, 8).to(dtype)
    sizes = (32, 32), (30, 31), (45, 50)
    actual = assemble(MaskResizer((8, 8), *sizes), masks)
    torch.testing.assert_close(actual, plain(masks, *sizes))
