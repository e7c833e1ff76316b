"""Mapillary Vistas 1.2, as downloaded, on crops of 1024 x 1024.

No AP is published for it, and the instance task is neither trained nor asked.
mIoU is measured on the label maps.
"""
_base_ = './coco_panoptic_json.py'

data_root = 'data/mapillary_vistas/'
short_edge = 2048
long_edge = 4 * short_edge
crop_size = (1024, 1024)  # width, height

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
    dict(type='Pad', size=crop_size, pad_val=dict(img=(128, ) * 3, seg=0)),
    dict(type='TaskSampling', probabilities=dict(panoptic=0.5, semantic=0.5)),
    _base_.train_pipeline[-1],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(
        type='Resize',
        scale=(short_edge, short_edge),
        keep_ratio=True,
        backend='pillow'),
    _base_.test_pipeline[-1],
]
# The official short edges, which are not those of other data sets in units of
# the test size.
tta_pipeline = [
    *test_pipeline[:-1],
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(test_pipeline[1], scale=(4096, edge))
                for edge in range(512, 1793, 256)
            ],
            [dict(type='RandomFlip', prob=prob) for prob in (0., 1.)],
            [
                dict(
                    test_pipeline[-1],
                    meta_keys=(*test_pipeline[-1]['meta_keys'], 'flip',
                               'flip_direction'))
            ],
        ])
]

train_dataloader = dict(
    num_workers=10,
    dataset=dict(
        data_root=data_root,
        categories='mapillary',
        ann_file='training/panoptic/panoptic_2018.json',
        data_prefix=dict(img='training/images/', seg='training/panoptic/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        categories='mapillary',
        ann_file='validation/panoptic/panoptic_2018.json',
        data_prefix=dict(
            img='validation/images/',
            seg='validation/panoptic/',
            sem='validation/labels/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='PanopticQualityMetric'),
    dict(type='SemanticMetric')
]
test_evaluator = val_evaluator
