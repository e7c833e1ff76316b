# DiNAT-L from the published COCO model, of the same 150 queries, or from one
# trained by its config: 150_16_dinat_l_oneformer_coco_100ep.pth, converted as
# docs/published_weights.md tells.
_base_ = './oneformer_dinat-l-k11-384-in22k_8xb2-160k_ade20k-1280x1280.py'

load_from = 'checkpoints/oneformer_dinat-l_coco.pth'
custom_hooks = [dict(type='NewClassesHook', keep_text_mapper=True)]

model = dict(backbone=dict(init_cfg=None), panoptic_head=dict(num_queries=150))
