# OneFormer with ConvNeXt-L, its weights from ImageNet-22k, then 1k, at 384.
# Large models have 250 queries (150 on COCO).
_base_ = './oneformer_r50.py'

pretrained = 'https://mmassets.onedl.ai/mmclassification/v0/convnext/convnext-large_in21k-pre-3rdparty_in1k-384px_20221219-6d38dd66.pth'  # noqa: E501

model = dict(
    backbone=dict(
        _delete_=True,
        type='mmpretrain.ConvNeXt',
        arch='large',
        drop_path_rate=0.4,
        out_indices=[0, 1, 2, 3],
        gap_before_final_norm=False,
        init_cfg=dict(
            type='Pretrained', checkpoint=pretrained, prefix='backbone.')),
    panoptic_head=dict(in_channels=[192, 384, 768, 1536], num_queries=250))
