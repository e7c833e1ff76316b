# Street scenes at half resolution on two CPU cores, from ImageNet weights:
# python tools/model_converters/efficientnet_lite0_to_timm.py makes their file.
_base_ = [
    '../_base_/models/oneformer_small.py',
    '../_base_/datasets/camvid_panoptic.py',
    '../_base_/schedules/schedule_short.py', '../_base_/default_runtime.py'
]

model = dict(
    num_things_classes=3,
    num_stuff_classes=8,
    data_preprocessor=dict(mean=[127.5] * 3, std=[127.5] * 3),
    backbone=dict(
        _delete_=True,
        type='mmpretrain.TIMMBackbone',
        model_name='tf_efficientnet_lite0',
        features_only=True,
        out_indices=(1, 2, 3, 4),
        init_cfg=dict(
            type='Pretrained',
            checkpoint='data/pretrained/efficientnet_lite0.pth')),
    panoptic_head=dict(in_channels=[24, 40, 112, 320], num_queries=60),
    train_cfg=dict(num_points=2048))

train_dataloader = dict(batch_size=4)
max_iters = 1400
optim_wrapper = dict(optimizer=dict(lr=5e-4))
train_cfg = dict(max_iters=max_iters, val_interval=max_iters)
param_scheduler = _base_.param_scheduler
param_scheduler[-1].end = max_iters
default_hooks = dict(checkpoint=dict(interval=200), logger=dict(interval=20))
randomness = dict(seed=0)
