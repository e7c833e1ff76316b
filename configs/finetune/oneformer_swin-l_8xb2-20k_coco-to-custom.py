# Fine-tuning on classes of your own, from the model trained on COCO: all of it
# but the classifier and the text mapper. The checkpoint is made from the
# published one (docs/published_weights.md); class counts come from your JSON.
_base_ = [
    '../_base_/models/oneformer_swin-l.py',
    '../_base_/datasets/coco_panoptic_json.py',
    '../_base_/schedules/schedule_20k.py', '../_base_/default_runtime.py'
]

load_from = 'checkpoints/oneformer_swin-l_coco.pth'
custom_hooks = [dict(type='NewClassesHook')]

model = dict(backbone=dict(init_cfg=None), panoptic_head=dict(num_queries=150))
default_hooks = dict(checkpoint=dict(interval=2000))
