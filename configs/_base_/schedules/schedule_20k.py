"""Own data: 20k iterations of 16 images, polynomial decay."""
_base_ = './adamw.py'

max_iters = 20000
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=2000)
param_scheduler = dict(
    type='PolyLR',
    power=0.9,
    eta_min=0,
    begin=0,
    end=max_iters,
    by_epoch=False)
