"""Visualizer that draws each task's answer in a picture of its own."""
from typing import Dict, List, Optional, Sequence

import mmcv
import numpy as np
from mmdet.registry import VISUALIZERS
from mmdet.structures import INSTANCE_OFFSET, DetDataSample
from mmdet.visualization import DetLocalVisualizer, get_palette
from mmengine.dist import master_only
from mmengine.structures import InstanceData

from ..datasets.id_map import read_id_map
from ..encoded_masks import DecodedMasks
from .drawing import DEFAULT_ALPHA, draw_segments
from .names import short_names
from .segments import (Segments, encoded_segments, instance_segments,
                       panoptic_segments, semantic_segments)
from .sheet import panel_size, resize_image, sheet_with_legend


def predicted_segments(data_sample: DetDataSample,
                       num_classes: int,
                       score_thr: float = 0.3) -> Dict[str, Segments]:
    """The answers on a data sample, by task; those it does not hold are out.

    Args:
        data_sample: With ``pred_panoptic_seg``, ``pred_instances`` (with
            masks) or ``pred_sem_seg``, on the CPU.
        num_classes: Number of classes.
        score_thr: Instances with a lower score are left out.
    """
    answers = {}
    if 'pred_panoptic_seg' in data_sample:
        answers['panoptic'] = encoded_segments(
            np.asarray(data_sample.pred_panoptic_seg.sem_seg)[0], num_classes,
            INSTANCE_OFFSET)
    if 'masks' in data_sample.get('pred_instances', ()):
        answers['instance'] = _predicted_instances(data_sample.pred_instances,
                                                   score_thr)
    if 'pred_sem_seg' in data_sample:
        answers['semantic'] = semantic_segments(
            np.asarray(data_sample.pred_sem_seg.sem_seg)[0], num_classes)
    return answers


def _predicted_instances(instances: InstanceData,
                         score_thr: float) -> Segments:
    """Instances of some score; their masks are a tensor or RLEs."""
    encoded = isinstance(instances.masks, list)
    shape = instances.masks[0]['size'] if encoded else \
        instances.masks.shape[1:]
    instances = instances[instances.scores >= score_thr]
    masks = DecodedMasks(instances.masks) if encoded else \
        np.asarray(instances.masks)
    return instance_segments(masks, instances.labels, instances.scores, shape)


def annotated_segments(data_sample: DetDataSample) -> Optional[Segments]:
    """The annotation of a data sample, or None where it has none.

    It is taken from ``gt_instances``, as of training samples, or else from
    the panoptic PNG at ``seg_map_path`` with its ``segments_info``.
    """
    if 'masks' in data_sample.get('gt_instances', ()):
        instances = data_sample.gt_instances
        masks = instances.masks
        return instance_segments(
            masks.to_ndarray(),
            instances.labels,
            shape=(masks.height, masks.width))
    path = data_sample.metainfo.get('seg_map_path')
    if path is None or 'segments_info' not in data_sample.metainfo:
        return None
    return panoptic_segments(read_id_map(path), data_sample.segments_info)


@VISUALIZERS.register_module()
class TaskVisualizer(DetLocalVisualizer):
    """Draws the answers of a data sample, one task per picture.

    One answer alone is drawn over the image at the image's size. Several
    answers, or an answer and its annotation, make a sheet of titled panels
    with a legend. ``DetLocalVisualizer`` draws all of them on top of one
    another, and fails on a map that is all void.

    Args:
        name: Of the instance.
        image: As in ``DetLocalVisualizer``.
        vis_backends: As in ``DetLocalVisualizer``.
        save_dir: As in ``DetLocalVisualizer``.
        alpha: Opacity of the segments.
        smallest_panel: Panels of a sheet are enlarged until their longer
            side has this many pixels.
        largest_panel: And reduced to this many.
    """
    #: The picture drawn last.
    _picture: Optional[np.ndarray] = None

    def __init__(self,
                 name: str = 'visualizer',
                 image: Optional[np.ndarray] = None,
                 vis_backends: Optional[List[dict]] = None,
                 save_dir: Optional[str] = None,
                 alpha: float = DEFAULT_ALPHA,
                 smallest_panel: int = 480,
                 largest_panel: int = 1600) -> None:
        super().__init__(
            name=name,
            image=image,
            vis_backends=vis_backends,
            save_dir=save_dir,
            alpha=alpha)
        self.smallest_panel = smallest_panel
        self.largest_panel = largest_panel

    def set_image(self, image: np.ndarray) -> None:
        """Start a drawing by MMEngine's own functions."""
        self._picture = None
        super().set_image(image)

    def get_image(self) -> np.ndarray:
        """The picture drawn last, (H, W, 3) uint8, RGB.

        It does not go through matplotlib's canvas, which takes 16 bytes a
        pixel and more, and may resample.
        """
        return super().get_image() if self._picture is None else self._picture

    @master_only
    def add_datasample(self,
                       name: str,
                       image: np.ndarray,
                       data_sample: Optional[DetDataSample] = None,
                       draw_gt: bool = True,
                       draw_pred: bool = True,
                       show: bool = False,
                       wait_time: float = 0,
                       out_file: Optional[str] = None,
                       pred_score_thr: float = 0.3,
                       step: int = 0) -> None:
        """Draw a data sample, and show it, save it or hand it to backends.

        Args:
            name: Of the picture.
            image: (H, W, 3), RGB.
            data_sample: With the answers, see `predicted_segments`, and the
                annotation, see `annotated_segments`.
            draw_gt: Whether to draw the annotation, beside the image.
            draw_pred: Whether to draw the answers.
            show: Whether to open a window.
            wait_time: Seconds until the window closes; 0 waits for a key.
            out_file: Where to save the picture; without it, backends get it.
            pred_score_thr: Instances with a lower score are not drawn.
            step: Of the training, for the backends.
        """
        image = image.clip(0, 255).astype(np.uint8)
        drawn = {}
        if data_sample is not None:
            data_sample = data_sample.cpu()
            annotation = annotated_segments(data_sample) if draw_gt else None
            if annotation is not None:
                drawn['annotation'] = annotation
            if draw_pred:
                drawn.update(
                    predicted_segments(data_sample, len(self._classes()),
                                       pred_score_thr))
        self._picture = self._draw(image, drawn)
        if show:
            self.show(self._picture, win_name=name, wait_time=wait_time)
        if out_file is not None:
            mmcv.imwrite(self._picture[..., ::-1], out_file)
        else:
            self.add_image(name, self._picture, step)

    def _classes(self) -> Sequence[str]:
        classes = (self.dataset_meta or {}).get('classes')
        if not classes:
            raise ValueError(
                'the visualizer knows no class names: set its dataset_meta '
                "to the dataset's metainfo")
        return classes

    def _draw(self, image: np.ndarray, drawn: Dict[str,
                                                   Segments]) -> np.ndarray:
        """One picture, or a sheet, of all segments to draw."""
        if not drawn:
            return image
        classes = self._classes()
        palette = get_palette(self.dataset_meta.get('palette'), len(classes))
        style = dict(classes=classes, palette=palette, alpha=self.alpha)
        if len(drawn) == 1 and 'annotation' not in drawn:
            return draw_segments(image, *drawn.values(), **style)
        size = panel_size(*image.shape[:2], self.smallest_panel,
                          self.largest_panel)
        image = resize_image(image, *size)
        panels = dict(image=image) if 'annotation' in drawn else {}
        for title, segments in drawn.items():
            panels[title] = draw_segments(image, segments.resized(*size),
                                          **style)
        seen = np.unique(
            np.concatenate([segments.labels
                            for segments in drawn.values()])).astype(int)
        names = short_names(classes)
        return sheet_with_legend(
            list(panels.values()), [title.capitalize() for title in panels],
            [names[label] for label in seen],
            [palette[label] for label in seen])
