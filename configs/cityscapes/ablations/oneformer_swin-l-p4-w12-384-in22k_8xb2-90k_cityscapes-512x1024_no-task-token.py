# No task token: the queries are learnt, and no task enters anywhere.
_base_ = '../oneformer_swin-l-p4-w12-384-in22k_8xb2-90k_cityscapes-512x1024.py'

model = dict(
    panoptic_head=dict(query_formation=dict(initial_queries='learnt')))
