"""ADE20K: panoptic training, and its own annotation of all three tasks.

Crops of 512 x 512; other sizes stand in the files beside this one.
"""
_base_ = './coco_panoptic_json.py'

data_root = 'data/ADEChallengeData2016/'
short_edge = 512
long_edge = 4 * short_edge
crop_size = (short_edge, short_edge)  # width, height

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticMap'),
    dict(
        type='RandomChoiceResize',
        scales=[(long_edge, short_edge * i // 10) for i in range(5, 21)],
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    # MMSegmentation's jitter of the hue is the official one, that of
    # MMDetection half as wide.
    dict(type='mmseg.PhotoMetricDistortion'),
    dict(type='RandomFlip', prob=0.5),
    dict(type='Pad', size=crop_size, pad_val=dict(img=(128, ) * 3, seg=0)),
    dict(
        type='TaskSampling',
        probabilities=dict(panoptic=0.34, instance=0.33, semantic=0.33)),
    _base_.train_pipeline[-1],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    # Pillow averages where it makes smaller, as officially; OpenCV does not.
    dict(
        type='Resize',
        scale=(long_edge, short_edge),
        keep_ratio=True,
        backend='pillow'),
    _base_.test_pipeline[-1],
]

train_dataloader = dict(
    num_workers=4,
    dataset=dict(
        data_root=data_root,
        categories='ade20k',
        ann_file='ade20k_panoptic_train.json',
        data_prefix=dict(img='images/training/', seg='ade20k_panoptic_train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        categories='ade20k',
        ann_file='ade20k_panoptic_val.json',
        data_prefix=dict(
            img='images/validation/',
            seg='ade20k_panoptic_val/',
            sem='annotations_detectron2/validation/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQualityMetric'),
    dict(
        type='InstanceMetric',
        ann_file=data_root + 'ade20k_instance_val.json'),
    dict(type='SemanticMetric')
]
test_evaluator = val_evaluator
