"""The mean over pictures of COCO, of which the published figures are means."""
from mmcv.image import rescale_size
from mmengine.config import Config

from .complexity import Complexity, MultiplyAdds, complexity

#: Share of the pictures by height and width: 408 pictures of val2017, each
#: put to the nearest of these shapes. Nearly all have a long edge of 640.
COCO_VAL2017 = {
    (427, 640): 0.36,
    (480, 640): 0.30,
    (640, 480): 0.12,
    (640, 427): 0.10,
    (640, 640): 0.07,
    (360, 640): 0.05,
}
#: Longest and short edge in pixels of test images on COCO.
TEST_SCALE = (1333, 800)


def coco_complexity(cfg: Config) -> Complexity:
    """`complexity` of the mean picture of COCO val2017.

    Each is resized as the models of COCO are tested; results have the size of
    the picture. The official figures are means over 100 of the pictures, but
    which is not known; here it is the distribution `COCO_VAL2017`.

    Args, Raises: See `complexity`.
    """
    counts = []
    for height, width in COCO_VAL2017:
        wide, high = rescale_size((width, height), TEST_SCALE)
        counts.append(complexity(cfg, (high, wide), (height, width)))
    shares = list(COCO_VAL2017.values())

    def mean(numbers) -> int:
        return round(sum(x * share for x, share in zip(numbers, shares)))

    ways = {
        way: MultiplyAdds(*map(mean, zip(*(getattr(c, way) for c in counts))))
        for way in ('official', 'one_task', 'three_tasks')
    }
    return counts[0]._replace(
        **ways,
        deformable_sampling=mean(c.deformable_sampling for c in counts),
        neighborhood_attention=mean(c.neighborhood_attention for c in counts))
