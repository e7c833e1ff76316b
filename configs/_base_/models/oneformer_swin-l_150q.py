# As on COCO: 150 queries.
_base_ = './oneformer_swin-l.py'

num_queries = 150
num_context = 16

model = dict(
    panoptic_head=dict(
        num_queries=num_queries,
        text_mapper=dict(num_texts=num_queries - num_context)),
    test_cfg=dict(max_per_image=num_queries))
