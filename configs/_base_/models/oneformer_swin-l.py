# OneFormer with Swin-L, its weights from ImageNet-22k, then 1k, at 384. Large
# models have 250 queries (150 on COCO).
_base_ = './oneformer_r50.py'

pretrained = 'https://github.com/SwinTransformer/storage/releases/download/v1.0.0/swin_large_patch4_window12_384_22kto1k.pth'  # noqa: E501

model = dict(
    backbone=dict(
        _delete_=True,
        type='OneFormerSwinTransformer',
        pretrain_img_size=384,
        embed_dims=192,
        depths=[2, 2, 18, 2],
        num_heads=[6, 12, 24, 48],
        window_size=12,
        drop_path_rate=0.3,
        out_indices=(0, 1, 2, 3),
        convert_weights=True,
        init_cfg=dict(type='Pretrained', checkpoint=pretrained)),
    panoptic_head=dict(in_channels=[192, 384, 768, 1536], num_queries=250))
