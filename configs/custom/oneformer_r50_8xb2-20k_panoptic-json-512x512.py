# Your own data with a COCO panoptic JSON: all three tasks. The tree is that of
# data/README.md in data/my_dataset/; classes are read from the JSON.
_base_ = [
    '../_base_/models/oneformer_r50.py',
    '../_base_/datasets/coco_panoptic_json.py',
    '../_base_/schedules/schedule_20k.py', '../_base_/default_runtime.py'
]
