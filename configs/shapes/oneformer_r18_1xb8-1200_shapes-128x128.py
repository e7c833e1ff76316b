# Small enough for two CPU cores: 1200 iterations take about ten minutes.
_base_ = [
    '../_base_/models/oneformer_small.py',
    '../_base_/datasets/shapes_panoptic.py', '../_base_/schedules/adamw.py',
    '../_base_/default_runtime.py'
]

model = dict(
    num_things_classes=6,
    num_stuff_classes=5,
    # after so few iterations scores are lower than published models' are
    test_cfg=dict(object_mask_thr=0.5))

max_iters = 1200
optim_wrapper = dict(
    optimizer=dict(lr=7e-4, fused=True),
    paramwise_cfg=dict(backbone_lr_mult=1.),
    clip_grad=dict(max_norm=1.))
train_cfg = dict(
    type='IterBasedTrainLoop',
    max_iters=max_iters,
    val_begin=max_iters + 1,  # left to tools/test.py
    val_interval=max_iters)
param_scheduler = [
    dict(type='LinearLR', start_factor=0.01, by_epoch=False, begin=0, end=50),
    dict(
        type='PolyLR',
        power=0.9,
        eta_min=0,
        by_epoch=False,
        begin=50,
        end=max_iters)
]
default_hooks = dict(checkpoint=dict(interval=200), logger=dict(interval=20))
randomness = dict(seed=0)
