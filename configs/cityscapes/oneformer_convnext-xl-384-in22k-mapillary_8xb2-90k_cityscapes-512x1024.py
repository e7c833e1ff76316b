# From the published Mapillary Vistas model of all three tasks
# (mapillary_pretrain_250_16_convnext_xl_oneformer_mapillary_300k.pth) or one
# trained by its config; docs/published_weights.md tells how to convert it.
_base_ = './oneformer_convnext-xl-384-in22k_8xb2-90k_cityscapes-512x1024.py'

load_from = 'checkpoints/oneformer_convnext-xl_mapillary_three-tasks.pth'
custom_hooks = [dict(type='NewClassesHook', keep_text_mapper=True)]

model = dict(backbone=dict(init_cfg=None))
