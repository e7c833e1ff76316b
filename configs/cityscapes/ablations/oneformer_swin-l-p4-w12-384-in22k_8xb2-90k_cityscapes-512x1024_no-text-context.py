# No learnt text context: all text queries come from the list of texts.
_base_ = '../oneformer_swin-l-p4-w12-384-in22k_8xb2-90k_cityscapes-512x1024.py'

model = dict(panoptic_head=dict(text_mapper=dict(num_context=0)))
