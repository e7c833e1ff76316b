# No contrastive loss, and so no text mapper.
_base_ = '../oneformer_r18_1xb8-1200_shapes-128x128.py'

model = dict(panoptic_head=dict(text_mapper=None, loss_contrastive=None))
