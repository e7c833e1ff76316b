# As on Cityscapes and Mapillary Vistas: BatchNorm is trained, over all GPUs.
_base_ = './oneformer_r50.py'

model = dict(
    backbone=dict(
        norm_cfg=dict(type='SyncBN', requires_grad=True), norm_eval=False))
