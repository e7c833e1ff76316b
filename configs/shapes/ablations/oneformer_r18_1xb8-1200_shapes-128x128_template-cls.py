# Texts that are the class name alone.
_base_ = '../oneformer_r18_1xb8-1200_shapes-128x128.py'

train_pipeline = _base_.train_pipeline
for transform in train_pipeline:
    if transform['type'] == 'TaskSampling':
        transform['text_template'] = '{cls}'
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
