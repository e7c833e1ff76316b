# No contrastive loss, and so no text mapper.
_base_ = '../oneformer_swin-l-p4-w12-384-in22k_8xb2-90k_cityscapes-512x1024.py'

model = dict(panoptic_head=dict(text_mapper=None, loss_contrastive=None))
