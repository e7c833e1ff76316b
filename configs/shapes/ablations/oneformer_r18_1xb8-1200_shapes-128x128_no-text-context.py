# No learnt text context: all text queries come from the list of texts.
_base_ = '../oneformer_r18_1xb8-1200_shapes-128x128.py'

model = dict(panoptic_head=dict(text_mapper=dict(num_context=0)))
