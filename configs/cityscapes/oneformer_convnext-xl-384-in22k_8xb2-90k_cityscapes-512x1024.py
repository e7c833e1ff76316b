# ConvNeXt-XL from ImageNet-22k, then 1k.
_base_ = [
    '../_base_/models/oneformer_convnext-xl.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedules/schedule_90k.py', '../_base_/default_runtime.py'
]

model = dict(num_things_classes=8, num_stuff_classes=11)
