# A OneFormer small enough to train on two CPU cores: all parts of the method,
# half as wide, with a backbone that starts without pretrained weights.
_base_ = './oneformer_r50.py'

width = 128

positional_encoding = dict(num_feats=width // 2)
attention = dict(
    embed_dims=width,
    attn_drop=0.,
    dropout_layer=dict(type='Dropout', drop_prob=0.))
layer = dict(
    self_attn_cfg=attention,
    cross_attn_cfg=attention,
    ffn_cfg=dict(
        embed_dims=width, feedforward_channels=4 * width, ffn_drop=0.))

model = dict(
    backbone=dict(
        _delete_=True,
        type='ResNet',
        depth=18,
        base_channels=32,
        num_stages=4,
        out_indices=(0, 1, 2, 3),
        norm_cfg=dict(type='BN'),
        norm_eval=False,
        style='pytorch'),
    panoptic_head=dict(
        in_channels=[32, 64, 128, 256],
        feat_channels=width,
        out_channels=width,
        num_queries=40,
        pixel_decoder=dict(
            encoder=dict(
                num_layers=2,
                layer_cfg=dict(
                    self_attn_cfg=dict(embed_dims=width, dropout=0.),
                    ffn_cfg=dict(
                        embed_dims=width,
                        feedforward_channels=4 * width,
                        ffn_drop=0.))),
            positional_encoding=positional_encoding),
        positional_encoding=positional_encoding,
        query_formation=dict(
            transformer=dict(layer_cfg=layer),
            positional_encoding=positional_encoding),
        transformer_decoder=dict(num_layers=3, layer_cfg=layer),
        text_mapper=dict(num_context=8, width=width)),
    train_cfg=dict(num_points=1024),
    test_cfg=dict(max_per_image=100))
