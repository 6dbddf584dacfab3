import pytest
import torch

from lmc.data.augment import KINDS, PADDING, augment

STACK, BATCH = 3, 17


def images(channels=3, height=6, width=5, dtype=torch.float64):
    count = STACK * BATCH * channels * height * width
    return torch.arange(count, dtype=dtype).view(STACK, BATCH, channels, height, width)


def generators(*seeds):
    return [torch.Generator().manual_seed(seed) for seed in seeds or range(STACK)]


def one_by_one(x, kind, generators, fill):
    """Each image for itself, pixel by pixel; the same draws in the same order."""
    result = torch.empty_like(x)
    stack, batch, _, height, width = x.shape
    for k in range(stack):
        flips = torch.randint(2, (batch,), generator=generators[k]) if "flip" in kind else torch.zeros(batch)
        middle = torch.full((2, batch), PADDING)
        down, right = torch.randint(9, (2, batch), generator=generators[k]) if "crop" in kind else middle
        for b in range(batch):
            for i in range(height):
                for j in range(width):
                    row = i + int(down[b]) - PADDING
                    column = (width - 1 - j if flips[b] else j) + int(right[b]) - PADDING
                    inside = 0 <= row < height and 0 <= column < width
                    result[k, b, :, i, j] = x[k, b, :, row, column] if inside else fill
    return result


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("shape", [(3, 6, 5), (1, 8, 8)])
def test_batches_are_what_single_images_are(kind, shape):
    x, fill = images(*shape), -torch.arange(1.0, shape[0] + 1, dtype=torch.float64)
    before = x.clone()
    found = augment(x, kind, generators(), fill)
    assert torch.equal(found, one_by_one(x, kind, generators(), fill)) and torch.equal(x, before)
    assert found.dtype == x.dtype and found.shape == x.shape


def test_every_flip_and_every_offset_occurs():
    x = torch.zeros(1, 3000, 1, 9, 9)
    x[..., 4, 4] = 1
    x[..., 4, 3] = 2
    found = augment(x, "flip_crop", generators(0), torch.tensor([0.0]))[0, :, 0]
    at = [(image == 1).nonzero()[0].tolist() for image in found]
    left = [i for i, (row, column) in enumerate(at) if column > 0 and found[i, row, column - 1] == 2]
    seen = {tuple(place) for place in at}
    assert seen == {(row, column) for row in range(9) for column in range(9)}
    inner = sum(column not in (0, 8) for _, column in at)
    assert abs(sum(0 < at[i][1] < 8 for i in left) / inner - 0.5) < 0.05


def test_a_networks_images_do_not_depend_on_its_neighbours():
    x = images(dtype=torch.float32)
    together = augment(x, "flip_crop", generators(5, 6, 7), torch.zeros(3))
    alone = augment(x[1:2], "flip_crop", generators(6), torch.zeros(3))
    assert torch.equal(together[1:2], alone)
    other = augment(x.flip(0), "flip_crop", generators(8, 6, 9), torch.zeros(3))
    assert torch.equal(other[1], together[1])


def test_the_generators_go_on():
    x, ours = images(), generators()
    first, second = (augment(x, "crop", ours, torch.zeros(3)) for _ in range(2))
    assert not torch.equal(first, second)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_the_device_changes_nothing():
    x, fill = images(dtype=torch.float32), torch.ones(3)
    on_gpu = augment(x.cuda(), "flip_crop", generators(), fill.cuda())
    assert torch.equal(on_gpu.cpu(), augment(x, "flip_crop", generators(), fill))


def test_what_is_no_augmentation_is_refused():
    with pytest.raises(ValueError, match="unknown augmentation 'rotate'; choose one of: none, flip, crop, flip_crop"):
        augment(images(), "rotate", generators(), torch.zeros(3))
    with pytest.raises(ValueError, match="3 networks need as many generators, not 2"):
        augment(images(), "flip", generators(0, 1), torch.zeros(3))
