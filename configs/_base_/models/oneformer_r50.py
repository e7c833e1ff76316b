# OneFormer with a ResNet-50, its weights from ImageNet-1k (paper, section 4).
# BatchNorm is frozen, as on ADE20K and COCO. The class counts
# (model.num_things_classes, model.num_stuff_classes) come with the data set.
data_preprocessor = dict(
    type='DetDataPreprocessor',
    mean=[123.675, 116.28, 103.53],
    std=[58.395, 57.12, 57.375],
    bgr_to_rgb=True,
    pad_size_divisor=32,
    pad_mask=True,
    mask_pad_value=0,
    pad_seg=False)

positional_encoding = dict(num_feats=128, normalize=True)
query_layer = dict(
    self_attn_cfg=dict(
        embed_dims=256,
        num_heads=8,
        attn_drop=0.1,
        dropout_layer=dict(type='Dropout', drop_prob=0.1)),
    cross_attn_cfg=dict(
        embed_dims=256,
        num_heads=8,
        attn_drop=0.1,
        dropout_layer=dict(type='Dropout', drop_prob=0.1)),
    ffn_cfg=dict(embed_dims=256, feedforward_channels=2048, ffn_drop=0.1))
mask_layer = dict(
    self_attn_cfg=dict(embed_dims=256, num_heads=8),
    cross_attn_cfg=dict(embed_dims=256, num_heads=8),
    ffn_cfg=dict(embed_dims=256, feedforward_channels=2048))

model = dict(
    type='OneFormer',
    data_preprocessor=data_preprocessor,
    backbone=dict(
        type='ResNet',
        depth=50,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        style='pytorch',
        init_cfg=dict(type='Pretrained', checkpoint='torchvision://resnet50')),
    panoptic_head=dict(
        type='OneFormerHead',
        in_channels=[256, 512, 1024, 2048],
        feat_channels=256,
        out_channels=256,
        num_queries=150,
        num_transformer_feat_level=3,
        pixel_decoder=dict(
            type='OneFormerPixelDecoder',
            num_outs=3,
            norm_cfg=dict(type='GN', num_groups=32),
            act_cfg=dict(type='ReLU'),
            encoder=dict(
                num_layers=6,
                layer_cfg=dict(
                    self_attn_cfg=dict(
                        embed_dims=256,
                        num_heads=8,
                        num_levels=3,
                        num_points=4,
                        dropout=0.1,
                        batch_first=True),
                    ffn_cfg=dict(
                        embed_dims=256,
                        feedforward_channels=1024,
                        num_fcs=2,
                        ffn_drop=0.1,
                        act_cfg=dict(type='ReLU', inplace=True)))),
            positional_encoding=positional_encoding),
        positional_encoding=positional_encoding,
        query_formation=dict(
            type='QueryFormation',
            transformer=dict(num_layers=2, layer_cfg=query_layer),
            positional_encoding=positional_encoding),
        transformer_decoder=dict(num_layers=9, layer_cfg=mask_layer),
        text_mapper=dict(type='TextMapper', num_context=16),
        loss_contrastive=dict(type='QueryTextContrastiveLoss'),
        loss_cls=dict(type='CrossEntropyLoss', loss_weight=2.0),
        loss_mask=dict(
            type='CrossEntropyLoss', use_sigmoid=True, loss_weight=5.0),
        loss_dice=dict(
            type='DiceLoss', naive_dice=True, eps=1.0, loss_weight=5.0)),
    panoptic_fusion_head=dict(type='OneFormerFusionHead'),
    train_cfg=dict(
        num_points=12544,
        oversample_ratio=3.0,
        importance_sample_ratio=0.75,
        assigner=dict(
            type='BatchHungarianAssigner',
            match_costs=[
                dict(type='ClassificationCost', weight=2.0),
                dict(type='MaskPointCost', weight=5.0),
                dict(type='DiceCost', weight=5.0, pred_act=True, eps=1.0)
            ])),
    test_cfg=dict(
        tasks=('panoptic', 'instance', 'semantic'),
        object_mask_thr=0.8,
        iou_thr=0.8))
