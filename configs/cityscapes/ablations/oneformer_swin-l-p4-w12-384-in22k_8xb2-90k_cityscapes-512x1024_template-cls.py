# Texts that are the class name alone.
_base_ = '../oneformer_swin-l-p4-w12-384-in22k_8xb2-90k_cityscapes-512x1024.py'

train_pipeline = _base_.train_pipeline
for transform in train_pipeline:
    if transform['type'] == 'TaskSampling':
        transform['text_template'] = '{cls}'
train_dataloader = dict(dataset=dict(pipeline=train_pipeline))
