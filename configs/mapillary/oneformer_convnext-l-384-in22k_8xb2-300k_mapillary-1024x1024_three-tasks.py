# ConvNeXt-L from ImageNet-22k, then 1k; all three tasks are drawn, for the
# Cityscapes row that starts from it.
_base_ = [
    '../_base_/models/oneformer_convnext-l.py',
    '../_base_/datasets/mapillary_panoptic_three_tasks.py',
    '../_base_/schedules/schedule_300k.py', '../_base_/default_runtime.py'
]

model = dict(
    num_things_classes=37,
    num_stuff_classes=28,
    test_cfg=dict(tasks=('panoptic', 'semantic')))
