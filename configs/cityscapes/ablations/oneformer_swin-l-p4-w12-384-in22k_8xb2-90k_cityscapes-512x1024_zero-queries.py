# Queries start from zeros in place of the task token, which is still appended.
_base_ = '../oneformer_swin-l-p4-w12-384-in22k_8xb2-90k_cityscapes-512x1024.py'

model = dict(panoptic_head=dict(query_formation=dict(initial_queries='zero')))
