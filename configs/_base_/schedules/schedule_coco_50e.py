"""COCO: 50 epochs of 16 images a step, two drops to a tenth, no warm-up."""
_base_ = './adamw_amp.py'

train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=368750, val_interval=5000)
param_scheduler = dict(
    type='MultiStepLR',
    milestones=[327778, 355092],
    gamma=0.1,
    begin=0,
    end=368750,
    by_epoch=False)
