# DiNAT-L from ImageNet-22k, then 1k; 150 queries.
_base_ = [
    '../_base_/models/oneformer_dinat-l.py',
    '../_base_/datasets/coco_panoptic.py',
    '../_base_/schedules/schedule_coco_100e.py', '../_base_/default_runtime.py'
]

model = dict(
    num_things_classes=80,
    num_stuff_classes=53,
    panoptic_head=dict(num_queries=150))
optim_wrapper = dict(type='OptimWrapper')  # float32
param_scheduler = dict(milestones=[655556, 710184])
