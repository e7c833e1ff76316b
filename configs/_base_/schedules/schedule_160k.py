"""ADE20K: 160k iterations of 16 images, polynomial decay."""
_base_ = './schedule_90k.py'

train_cfg = dict(max_iters=160000)
param_scheduler = dict(end=160000)
