"""ADE20K on crops of 640 x 640."""
_base_ = './ade20k_panoptic.py'

short_edge = 640
long_edge = 4 * short_edge
crop_size = (short_edge, short_edge)
sizes = dict(
    RandomChoiceResize=dict(scales=[(long_edge, short_edge * i // 10)
                                    for i in range(5, 21)]),
    RandomCrop=dict(crop_size=crop_size),
    Pad=dict(size=crop_size),
    Resize=dict(scale=(long_edge, short_edge)))

train_pipeline = [
    dict(step, **sizes.get(step.type, {})) for step in _base_.train_pipeline
]
test_pipeline = [
    dict(step, **sizes.get(step.type, {})) for step in _base_.test_pipeline
]
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
val_dataloader = dict(dataset=dict(pipeline=test_pipeline))
test_dataloader = val_dataloader
