# ResNet-50 from ImageNet-1k.
_base_ = [
    '../_base_/models/oneformer_r50.py', '../_base_/datasets/coco_panoptic.py',
    '../_base_/schedules/schedule_coco_50e.py', '../_base_/default_runtime.py'
]

model = dict(num_things_classes=80, num_stuff_classes=53)
