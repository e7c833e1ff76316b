"""Test-time augmentation on scores."""
from typing import List

from mmseg.models.segmentors import SegTTAModel
from mmseg.registry import MODELS
from mmseg.structures import SegDataSample


@MODELS.register_module()
class OneFormerTTAModel(SegTTAModel):
    """Averages scores over scales and flips, as the official code does.

    `SegTTAModel` takes them for logits and applies a softmax, and keeps those
    of all views at once, which takes gigabytes for a large image.
    """

    def test_step(self, data: dict) -> List[SegDataSample]:
        """Test a batch of images.

        Args:
            data (dict): ``inputs`` and ``data_samples``: for each view, a
                list of those of the images.

        Returns:
            list[SegDataSample]: ``seg_logits`` holds the mean scores.
        """
        views = [dict(zip(data, values)) for values in zip(*data.values())]
        merged = self.module.test_step(views[0])
        for view in views[1:]:
            for sample, other in zip(merged, self.module.test_step(view)):
                sample.seg_logits.data += other.seg_logits.data
        for sample in merged:
            sample.seg_logits.data /= len(views)
            sample.pred_sem_seg.data = sample.seg_logits.data.argmax(
                dim=0, keepdim=True)
        return merged
