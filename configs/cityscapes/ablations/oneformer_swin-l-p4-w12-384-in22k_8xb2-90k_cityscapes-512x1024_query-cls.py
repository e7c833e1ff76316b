# A classification loss on the queries in place of the contrastive loss.
_base_ = './oneformer_swin-l-p4-w12-384-in22k_8xb2-90k_cityscapes-512x1024_no-contrastive.py'  # noqa: E501

model = dict(
    panoptic_head=dict(
        loss_query_cls=dict(type='CrossEntropyLoss', loss_weight=0.5)))
