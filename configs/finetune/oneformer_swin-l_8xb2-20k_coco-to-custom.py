# Fine-tuning on classes of your own, from the model trained on COCO: all of it
# but the classifier and the text mapper. The checkpoint is made from the
# published one (docs/published_weights.md); class counts come from your JSON.
_base_ = [
    '../_base_/models/oneformer_swin-l_150q.py',
    '../_base_/datasets/coco_panoptic_json.py', '../_base_/schedules/adamw.py',
    '../_base_/default_runtime.py'
]

load_from = 'checkpoints/oneformer_swin-l_coco.pth'
custom_hooks = [dict(type='NewClassesHook')]

model = dict(backbone=dict(init_cfg=None))

max_iters = 20000
train_cfg = dict(
    type='IterBasedTrainLoop', max_iters=max_iters, val_interval=2000)
param_scheduler = dict(
    type='PolyLR',
    power=0.9,
    eta_min=0,
    begin=0,
    end=max_iters,
    by_epoch=False)
default_hooks = dict(checkpoint=dict(interval=2000))
