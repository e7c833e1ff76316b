# Small enough for two CPU cores: 1200 iterations take about ten minutes.
_base_ = [
    '../_base_/models/oneformer_small.py',
    '../_base_/datasets/shapes_panoptic.py',
    '../_base_/schedules/schedule_short.py', '../_base_/default_runtime.py'
]

model = dict(
    num_things_classes=6,
    num_stuff_classes=5,
    # after so few iterations scores are lower than published models' are
    test_cfg=dict(object_mask_thr=0.5))

# the backbone starts from random weights
optim_wrapper = dict(paramwise_cfg=dict(backbone_lr_mult=1.))
# evaluation is left to tools/test.py
train_cfg = dict(val_begin=_base_.max_iters + 1)
default_hooks = dict(checkpoint=dict(interval=200), logger=dict(interval=20))
randomness = dict(seed=0)
