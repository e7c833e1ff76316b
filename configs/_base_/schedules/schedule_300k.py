"""Mapillary Vistas: 300k iterations of 16 images, polynomial decay."""
_base_ = './schedule_90k.py'

train_cfg = dict(max_iters=300000, val_interval=30000)
param_scheduler = dict(end=300000)
