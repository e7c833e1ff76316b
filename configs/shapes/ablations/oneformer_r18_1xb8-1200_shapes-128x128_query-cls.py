# A classification loss on the queries in place of the contrastive loss.
_base_ = './oneformer_r18_1xb8-1200_shapes-128x128_no-contrastive.py'

model = dict(
    panoptic_head=dict(
        loss_query_cls=dict(type='CrossEntropyLoss', loss_weight=0.5)))
