"""Short runs on a CPU: warm-up, polynomial decay, clipped gradients."""
_base_ = './adamw.py'

max_iters = 1200
optim_wrapper = dict(
    optimizer=dict(lr=7e-4, fused=True), clip_grad=dict(max_norm=1.))
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=max_iters)
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
