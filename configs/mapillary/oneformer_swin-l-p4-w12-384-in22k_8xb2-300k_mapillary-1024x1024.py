# Swin-L from ImageNet-22k, then 1k.
_base_ = [
    '../_base_/models/oneformer_swin-l.py',
    '../_base_/datasets/mapillary_panoptic.py',
    '../_base_/schedules/schedule_300k.py', '../_base_/default_runtime.py'
]

model = dict(
    num_things_classes=37,
    num_stuff_classes=28,
    test_cfg=dict(tasks=('panoptic', 'semantic')))
