"""`shapes`, made by tools/dataset_converters/shapes.py.

Images have 128 to 160 pixels on a side. Training takes crops of the smallest
size, so that batches need no padding; no class depends on which way is up.
"""
_base_ = './coco_panoptic_json.py'

data_root = 'data/shapes/'
crop_size = (128, 128)  # width, height

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticMap'),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(
        type='RandomFlip',
        prob=[0.25, 0.25, 0.25],
        direction=['horizontal', 'vertical', 'diagonal']),
    dict(type='TaskSampling'),
    _base_.train_pipeline[-1],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    _base_.test_pipeline[-1],
]

train_dataloader = dict(
    batch_size=8, dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = val_dataloader
