# OneFormer with ConvNeXt-XL, its weights from ImageNet-22k, then 1k, at 384.
_base_ = './oneformer_convnext-l.py'

pretrained = 'https://mmassets.onedl.ai/mmclassification/v0/convnext/convnext-xlarge_in21k-pre-3rdparty_in1k-384px_20221219-b161bc14.pth'  # noqa: E501

model = dict(
    backbone=dict(arch='xlarge', init_cfg=dict(checkpoint=pretrained)),
    panoptic_head=dict(in_channels=[256, 512, 1024, 2048]))
