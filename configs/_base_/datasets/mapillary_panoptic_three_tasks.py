"""Mapillary Vistas with all three tasks, to go on with Cityscapes."""
_base_ = './mapillary_panoptic.py'

train_pipeline = _base_.train_pipeline
for transform in train_pipeline:
    if transform['type'] == 'TaskSampling':
        transform['probabilities'] = dict(
            panoptic=0.34, instance=0.33, semantic=0.33)
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
