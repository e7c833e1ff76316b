# Mask2Former trained jointly: the same task sampling, but learnt queries that
# know no task, and no texts (paper, table 7).
_base_ = './oneformer_swin-l-p4-w12-384-in22k_8xb2-160k_ade20k-640x640.py'

model = dict(
    panoptic_head=dict(
        query_formation=dict(_delete_=True, type='LearntQueries'),
        text_mapper=None,
        loss_contrastive=None))
