# Swin-L from ImageNet-22k alone, as the official file of this row says; crops
# of 896 x 896.
_base_ = [
    '../_base_/models/oneformer_swin-l.py',
    '../_base_/datasets/ade20k_panoptic_896.py',
    '../_base_/schedules/schedule_160k.py', '../_base_/default_runtime.py'
]

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22k.pth'  # noqa: E501
model = dict(
    backbone=dict(init_cfg=dict(checkpoint=pretrained)),
    num_things_classes=100,
    num_stuff_classes=50,
    test_cfg=dict(object_mask_thr=0.5))
