"""Cityscapes as MMSegmentation reads it, with the official sizes."""
load = dict(type='LoadImageFromFile')
# Pillow averages where it makes smaller, as officially; OpenCV does not.
resize = dict(
    type='Resize', scale=(2048, 1024), keep_ratio=True, backend='pillow')
annotate = [dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
test_pipeline = [load, resize, *annotate]
# The official scales and flips.
tta_pipeline = [
    load,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(resize, scale=(4096, short_edge))
                for short_edge in range(512, 1793, 256)
            ],
            [
                dict(type='RandomFlip', prob=prob, direction='horizontal')
                for prob in (0., 1.)
            ],
            annotate[:1],
            annotate[1:],
        ])
]

test_dataloader = dict(
    batch_size=1,
    num_workers=4,
    persistent_workers=True,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(
        type='CityscapesDataset',
        data_root='data/cityscapes/',
        data_prefix=dict(
            img_path='leftImg8bit/val', seg_map_path='gtFine/val'),
        pipeline=test_pipeline))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
