# Mask2Former trained jointly: the same task sampling, but learnt queries that
# know no task, and no texts (paper, table 7).
_base_ = '../oneformer_r18_1xb8-1200_shapes-128x128.py'

model = dict(
    panoptic_head=dict(
        query_formation=dict(_delete_=True, type='LearntQueries'),
        text_mapper=None,
        loss_contrastive=None))
