# OneFormer with DiNAT-L, its weights from ImageNet-22k, then 1k, at 384.
# Kernel and dilations are those for ADE20K at 640 and 896, COCO and Mapillary
# Vistas. Large models have 250 queries (150 on COCO).
_base_ = './oneformer_r50.py'

pretrained = 'https://shi-labs.com/projects/dinat/checkpoints/imagenet1k/dinat_large_in22k_in1k_384_11x11.pth'  # noqa: E501

model = dict(
    backbone=dict(
        _delete_=True,
        type='DiNAT',
        embed_dims=192,
        depths=[3, 4, 18, 5],
        num_heads=[6, 12, 24, 48],
        kernel_size=11,
        dilations=[[1, 20, 1], [1, 5, 1, 10],
                   [1, 2, 1, 3, 1, 4, 1, 5, 1, 2, 1, 3, 1, 4, 1, 5, 1, 5],
                   [1, 2, 1, 2, 1]],
        mlp_ratio=2.,
        drop_path_rate=0.3,
        out_indices=(0, 1, 2, 3),
        init_cfg=dict(type='Pretrained', checkpoint=pretrained)),
    panoptic_head=dict(in_channels=[192, 384, 768, 1536], num_queries=250))
