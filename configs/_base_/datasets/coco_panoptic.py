"""COCO 2017 on crops of 1024 x 1024 after large-scale jitter.

AP is measured on the instances of the panoptic annotation, and under
`instance_original` on those of the instance annotation.
"""
_base_ = './coco_panoptic_json.py'

data_root = 'data/coco/'
crop_size = (1024, 1024)  # width, height

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticMap'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='RandomResize',
        scale=crop_size,
        ratio_range=(0.1, 2.0),
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='Pad', size=crop_size, pad_val=dict(img=(128, ) * 3, seg=0)),
    dict(
        type='TaskSampling',
        probabilities=dict(panoptic=0.34, instance=0.33, semantic=0.33)),
    _base_.train_pipeline[-1],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(1333, 800), keep_ratio=True, backend='pillow'),
    _base_.test_pipeline[-1],
]

train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        data_root=data_root,
        categories='coco',
        ann_file='annotations/panoptic_train2017.json',
        data_prefix=dict(
            img='train2017/', seg='annotations/panoptic_train2017/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        categories='coco',
        ann_file='annotations/panoptic_val2017.json',
        data_prefix=dict(img='val2017/', seg='annotations/panoptic_val2017/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQualityMetric'),
    dict(type='InstanceMetric'),
    dict(
        type='InstanceMetric',
        ann_file=data_root + 'annotations/instances_val2017.json',
        prefix='instance_original'),
    dict(type='SemanticMetric')
]
test_evaluator = val_evaluator
