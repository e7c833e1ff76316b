"""Cityscapes: 90k iterations of 16 images, polynomial decay."""
_base_ = './adamw_amp.py'

train_cfg = dict(type='IterBasedTrainLoop', max_iters=90000, val_interval=5000)
param_scheduler = dict(
    type='PolyLR', power=0.9, eta_min=0, begin=0, end=90000, by_epoch=False)
