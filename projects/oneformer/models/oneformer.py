"""Detector that answers all three tasks from one encoding of the image."""
from typing import Dict, List, Optional

import torch
from mmdet.models.backbones import SwinTransformer
from mmdet.models.detectors import MaskFormer
from mmdet.registry import MODELS
from mmdet.structures import SampleList
from mmdet.utils import ConfigType, OptConfigType
from mmengine.config import ConfigDict
from torch import Tensor

from ..tasks import TASKS, check_task, check_tasks
from .linear import use_onednn
from .oneformer_fusion_head import Result

#: Where the result of a task stands on a data sample.
RESULT_FIELDS = dict(
    panoptic='pred_panoptic_seg',
    instance='pred_instances',
    semantic='pred_sem_seg')


@MODELS.register_module()
class OneFormer(MaskFormer):
    """OneFormer: one transformer to rule universal image segmentation.

    The class counts are stated here alone and handed to both heads. At test
    time the backbone and the pixel decoder run once per image, then the
    queries of each asked task are decoded.

    ``test_cfg`` holds, besides what `OneFormerFusionHead` reads (here
    ``max_per_image`` is by default the number of queries, as officially):

    - ``tasks``: the tasks to answer, all three by default. ``task`` in the
      metainfo of a data sample asks for that task alone.
    - ``task_token``: when given, every result is decoded under this one task
      token in place of its own (paper, table 8).

    Args:
        backbone (dict): Config of the backbone.
        panoptic_head (dict): Config of `OneFormerHead`.
        panoptic_fusion_head (dict): Config of `OneFormerFusionHead`.
        num_things_classes (int): Number of thing classes.
        num_stuff_classes (int): Number of stuff classes.
        **kwargs: Of ``MaskFormer``.

    Raises:
        ValueError: If a class count is missing or a task unknown.
    """

    def __init__(self,
                 backbone: ConfigType,
                 panoptic_head: ConfigType,
                 panoptic_fusion_head: ConfigType,
                 num_things_classes: int = None,
                 num_stuff_classes: int = None,
                 test_cfg: OptConfigType = None,
                 **kwargs) -> None:
        if num_things_classes is None or num_stuff_classes is None:
            raise ValueError(
                'num_things_classes and num_stuff_classes of the model are '
                'not set: state them in the config, or fill them from its '
                'data set with projects.oneformer.apis.complete_config')
        counts = dict(
            num_things_classes=num_things_classes,
            num_stuff_classes=num_stuff_classes)
        panoptic_head = panoptic_head.copy()
        panoptic_head.update(counts)
        panoptic_fusion_head = panoptic_fusion_head.copy()
        panoptic_fusion_head.update(counts)
        test_cfg = ConfigDict(test_cfg or {})
        test_cfg.setdefault('max_per_image', panoptic_head['num_queries'])
        check_tasks(test_cfg.get('tasks', TASKS))
        check_task(test_cfg.get('task_token') or TASKS[0])
        super().__init__(
            backbone,
            panoptic_head=panoptic_head,
            panoptic_fusion_head=panoptic_fusion_head,
            test_cfg=test_cfg,
            **kwargs)
        use_onednn(self)

    def compile(self, **kwargs) -> None:
        """Compile what works on tensors of few shapes, in place.

        That is the backbone, the pixel decoder and both decoders. Texts,
        matching, losses and post-processing follow the content of an image
        and stay as they are. The second image size makes graphs for any size;
        but Swin and DiNAT are compiled for each of the first 8 sizes, and run
        as they are for others. `CompileHook` calls this in a run.

        Args:
            **kwargs: Of ``torch.compile``.
        """
        head = self.panoptic_head
        if next(self.parameters()).device.type == 'cpu':
            kwargs = _keep_layouts(**kwargs)
        # tracing the windows of a map of any size does not come to an end
        is_swin = isinstance(self.backbone, SwinTransformer)
        self.backbone.compile(
            **(dict(kwargs, dynamic=False) if is_swin else kwargs))
        for part in (head.pixel_decoder, head.query_formation):
            part.compile(**kwargs)
        head.decode = torch.compile(head.decode, **kwargs)

    def asked_tasks(self, data_sample) -> List[str]:
        """The tasks to answer for a data sample."""
        asked = data_sample.metainfo.get('task')
        return list(check_tasks(asked or self.test_cfg.get('tasks', TASKS)))

    def predict(self,
                batch_inputs: Tensor,
                batch_data_samples: SampleList,
                rescale: bool = True) -> SampleList:
        """Answer the asked tasks for a batch of images.

        Args:
            batch_inputs (Tensor): Normalised images, shape (B, 3, H, W).
            batch_data_samples (list[DetDataSample]): Their data samples.
            rescale (bool): Whether results have the original image size.

        Returns:
            list[DetDataSample]: With ``pred_panoptic_seg``,
            ``pred_instances`` and ``pred_sem_seg`` where asked; see
            `OneFormerFusionHead` for their contents.
        """
        outputs = [self.asked_tasks(sample) for sample in batch_data_samples]
        token = self.test_cfg.get('task_token')
        tokens = [[token] for _ in outputs] if token else outputs
        features = self.extract_feat(batch_inputs)
        mask_cls, mask_logits = self.panoptic_head.predict(features, tokens)
        results = []
        for i, sample in enumerate(batch_data_samples):
            # queries of one token, or of none, answer all tasks
            last = mask_cls.shape[1] - 1
            places = {
                task: min(place, last)
                for place, task in enumerate(outputs[i])
            }
            results.append(
                self.panoptic_fusion_head.predict(
                    {
                        t: mask_cls[i, p]
                        for t, p in places.items()
                    }, {
                        t: mask_logits[i, p]
                        for t, p in places.items()
                    }, sample.metainfo, rescale))
        return self.add_pred_to_datasample(batch_data_samples, results)

    def add_pred_to_datasample(
            self, data_samples: SampleList,
            results_list: List[Dict[str, Result]]) -> SampleList:
        """Set the fields of `RESULT_FIELDS` that have a result.

        ``MaskFormer`` refuses semantic results.
        """
        for sample, results in zip(data_samples, results_list):
            for task, result in results.items():
                setattr(sample, RESULT_FIELDS[task], result)
        return data_samples


def _keep_layouts(backend: str = 'inductor',
                  mode: Optional[str] = None,
                  options: Optional[dict] = None,
                  **kwargs) -> dict:
    """Options of ``torch.compile`` with which a graph serves any image size.

    On a CPU, Inductor puts the channels of convolutions last, for which the
    gradients of PyTorch 2.12 take the sizes of one image as constants: each
    size would be compiled anew, and the pixel decoder not at all.
    """
    if backend != 'inductor':
        return dict(kwargs, backend=backend, mode=mode, options=options)
    chosen = torch._inductor.list_mode_options(mode) if mode else {}
    chosen.update(layout_optimization=False)
    return dict(kwargs, options=dict(chosen, **(options or {})))
