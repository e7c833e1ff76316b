"""Cityscapes on crops of 512 x 1024.

All three tasks are measured on the panoptic annotation, whose instances and
classes are those of the fine one. AP is COCO's; tests add that of
cityscapesscripts, an optional package, which the paper reports.
"""
_base_ = './coco_panoptic_json.py'

data_root = 'data/cityscapes/'
short_edge = 1024
long_edge = 4 * short_edge
crop_size = (1024, 512)  # width, height

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticMap'),
    dict(
        type='RandomChoiceResize',
        scales=[(long_edge, short_edge * i // 10) for i in range(5, 21)],
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='RandomFlip', prob=0.5),
    dict(
        type='TaskSampling',
        probabilities=dict(panoptic=0.34, instance=0.33, semantic=0.33)),
    _base_.train_pipeline[-1],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='Resize',
        scale=(2048, short_edge),
        keep_ratio=True,
        backend='pillow'),
    _base_.test_pipeline[-1],
]

train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        data_root=data_root,
        categories='cityscapes',
        ann_file='gtFine/cityscapes_panoptic_train.json',
        data_prefix=dict(
            img='leftImg8bit/train/', seg='gtFine/cityscapes_panoptic_train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        categories='cityscapes',
        ann_file='gtFine/cityscapes_panoptic_val.json',
        data_prefix=dict(
            img='leftImg8bit/val/', seg='gtFine/cityscapes_panoptic_val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

test_evaluator = [
    *_base_.val_evaluator,
    dict(type='CityscapesInstanceMetric'),
]
