"""COCO: 100 epochs, with the milestones of Swin-L."""
_base_ = './schedule_coco_50e.py'

train_cfg = dict(max_iters=737500)
param_scheduler = dict(milestones=[655556, 735184], end=737500)
