# DiNAT-L of kernel 7, from ImageNet-22k at 224.
_base_ = [
    '../_base_/models/oneformer_dinat-l.py',
    '../_base_/datasets/cityscapes_panoptic.py',
    '../_base_/schedules/schedule_90k.py', '../_base_/default_runtime.py'
]

pretrained = 'https://shi-labs.com/projects/dinat/checkpoints/imagenet22k/dinat_large_in22k_224.pth'  # noqa: E501
model = dict(
    num_things_classes=8,
    num_stuff_classes=11,
    backbone=dict(
        kernel_size=7,
        dilations=[[1, 18, 1], [1, 5, 1, 9],
                   [1, 2, 1, 3, 1, 4, 1, 2, 1, 3, 1, 4, 1, 2, 1, 3, 1, 4],
                   [1, 2, 1, 2, 1]],
        init_cfg=dict(checkpoint=pretrained)))
optim_wrapper = dict(type='OptimWrapper')  # float32
