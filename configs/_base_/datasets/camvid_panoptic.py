"""CamVid in COCO panoptic format, trained and tested at half resolution.

The images are 480 x 360. Predictions are resized to that size before they
are measured, whatever `short_edge` is; 360 is full resolution.
"""
_base_ = './coco_panoptic_json.py'
short_edge = 180

data_root = 'data/camvid/'
long_edge = 4 * short_edge
crop_size = (short_edge * 4 // 3, short_edge)  # width, height

train_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='LoadPanopticMap'),
    dict(
        type='RandomChoiceResize',
        scales=[(long_edge, short_edge * i // 10) for i in range(5, 21)],
        keep_ratio=True),
    dict(type='RandomCrop', crop_size=crop_size),
    dict(type='PhotoMetricDistortion', swap_channels=False),
    dict(type='RandomFlip', prob=0.5),
    dict(type='TaskSampling'),
    _base_.train_pipeline[-1],
]
test_pipeline = [
    dict(type='LoadImageFromFile'),
    dict(type='Resize', scale=(long_edge, short_edge), keep_ratio=True),
    _base_.test_pipeline[-1],
]

train_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(data_root=data_root, pipeline=test_pipeline))
test_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file='panoptic_test.json',
        data_prefix=dict(img='test/', seg='panoptic_test/'),
        pipeline=test_pipeline))
