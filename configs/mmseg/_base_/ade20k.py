"""ADE20K as MMSegmentation reads it; sizes as trained on 512 x 512."""
short_edge = 512

load = dict(type='LoadImageFromFile')
# Pillow averages where it makes smaller, as officially; OpenCV does not.
resize = dict(
    type='Resize',
    scale=(4 * short_edge, short_edge),
    keep_ratio=True,
    backend='pillow')
annotate = [dict(type='LoadAnnotations'), dict(type='PackSegInputs')]
test_pipeline = [load, resize, *annotate]
# The official scales and flips.
tta_pipeline = [
    load,
    dict(
        type='TestTimeAug',
        transforms=[
            [
                dict(resize, scale=(7 * short_edge, short_edge * i // 4))
                for i in range(2, 8)
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
        type='ADE20KDataset',
        data_root='data/ADEChallengeData2016/',
        data_prefix=dict(
            img_path='images/validation',
            seg_map_path='annotations/validation'),
        pipeline=test_pipeline))
test_evaluator = dict(type='IoUMetric', iou_metrics=['mIoU'])
