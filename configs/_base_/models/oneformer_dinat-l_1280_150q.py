# As on ADE20K at 1280 x 1280, starting from the COCO model: 150 queries.
_base_ = './oneformer_dinat-l_1280.py'

num_queries = 150
num_context = 16

model = dict(
    panoptic_head=dict(
        num_queries=num_queries,
        text_mapper=dict(num_texts=num_queries - num_context)),
    test_cfg=dict(max_per_image=num_queries))
