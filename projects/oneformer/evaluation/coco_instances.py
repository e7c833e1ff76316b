"""Ground truth of mask AP from a COCO instance JSON."""
from typing import Dict, List

from ..datasets.coco_json import load_instance_json
from ..datasets.metainfo import match_categories
from .ground_truth import check_keys, check_size


class InstanceAnnotation:
    """The annotations of a COCO instance JSON, image by image.

    They are used as COCO's own evaluation uses them: overlapping as they may
    be, with the areas that they state, and with their crowds. Images that are
    not asked for play no part.

    Args:
        ann_file: The JSON. Its categories are found among the thing classes
            by name or else by id, see `match_categories`; the names of
            ADE20K's instance annotation are often not those of the panoptic
            one.
        dataset_meta: Of the evaluated data set.

    Raises:
        FileNotFoundError: If there is no such file.
        ValueError: If it is no such JSON, or has a category that is no thing
            class of the data set.
    """

    def __init__(self, ann_file: str, dataset_meta: dict) -> None:
        content = load_instance_json(ann_file)
        categories = [{'isthing': 1, **c} for c in content['categories']]
        label_of = match_categories(categories, dataset_meta, ann_file)
        self.ann_file = ann_file
        self.images = {image['id']: image for image in content['images']}
        self.annotations: Dict[object, List[dict]] = {}
        for annotation in content['annotations']:
            self._check(annotation, label_of)
            self.annotations.setdefault(annotation['image_id'], []).append(
                dict(
                    category_id=label_of[annotation['category_id']],
                    segmentation=annotation['segmentation'],
                    area=annotation['area'],
                    iscrowd=int(annotation.get('iscrowd', 0))))

    def _check(self, annotation: dict, label_of: Dict[int, int]) -> None:
        """Refuse an annotation that COCO's evaluation could not use."""
        where = f'{self.ann_file}: annotation {annotation.get("id")}'
        for field in ('image_id', 'category_id', 'segmentation', 'area'):
            if field not in annotation:
                raise ValueError(f'{where} lacks {field!r}, which mask AP '
                                 'needs')
        if annotation['category_id'] not in label_of:
            raise ValueError(f'{where} has the category_id '
                             f'{annotation["category_id"]}, which no category '
                             'has')

    def of_sample(self, data_sample: dict) -> List[dict]:
        """The annotations of a sample in COCO's form, labels for categories.

        Args:
            data_sample: A sample as dict, with ``img_id``, the id of its
                image in the JSON, and ``ori_shape``.

        Raises:
            KeyError: If the sample lacks one of these.
            ValueError: If the JSON has no such image or another size for it.
        """
        check_keys(data_sample, ('img_id', 'ori_shape'))
        image = self.images.get(data_sample['img_id'])
        if image is None:
            raise ValueError(
                f'{self.ann_file} has no image with the id '
                f'{data_sample["img_id"]!r} of {data_sample.get("img_path")}: '
                'it must annotate the images that are evaluated')
        check_size(f'image {image["file_name"]} of {self.ann_file}',
                   (image['height'], image['width']), data_sample)
        return self.annotations.get(data_sample['img_id'], [])
