# ResNet-50 from ImageNet-1k; crops of 512 x 512.
_base_ = [
    '../_base_/models/oneformer_r50.py',
    '../_base_/datasets/ade20k_panoptic.py',
    '../_base_/schedules/schedule_160k.py', '../_base_/default_runtime.py'
]

model = dict(
    num_things_classes=100,
    num_stuff_classes=50,
    test_cfg=dict(object_mask_thr=0.5))
