"""ADE20K as MMSegmentation reads it; sizes as trained on 640 x 640."""
_base_ = './ade20k.py'

short_edge = 640
resize = dict(scale=(4 * short_edge, short_edge))
test_pipeline = [_base_.load, dict(_base_.resize, **resize), *_base_.annotate]
tta_pipeline = _base_.tta_pipeline
tta_pipeline[1]['transforms'][0] = [
    dict(_base_.resize, scale=(7 * short_edge, short_edge * i // 4))
    for i in range(2, 8)
]

test_dataloader = dict(dataset=dict(pipeline=test_pipeline))
