# No task token: the queries are learnt, and no task enters anywhere.
_base_ = '../oneformer_r18_1xb8-1200_shapes-128x128.py'

model = dict(
    panoptic_head=dict(query_formation=dict(initial_queries='learnt')))
