"""Any data set with COCO instance annotation: only its files are named.

It trains the instance task alone; all classes are things. A derived config
asks the model for it: model.test_cfg.tasks = ('instance', ).
"""
_base_ = './coco_panoptic_json.py'

data_root = 'data/my_dataset/'

train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='LoadInstanceMap'),
    *_base_.train_pipeline[2:-2],
    dict(type='TaskSampling', probabilities=dict(instance=1)),
    _base_.train_pipeline[-1],
]
# Metrics find the annotation of an image by its id.
test_pipeline = [
    *_base_.test_pipeline[:-1],
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor'))
]

train_dataloader = dict(
    dataset=dict(
        type='InstanceDataset',
        ann_file='instances_train.json',
        data_prefix=dict(_delete_=True, img='train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        type='InstanceDataset',
        ann_file='instances_val.json',
        data_prefix=dict(_delete_=True, img='val/'),
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [
    dict(type='InstanceMetric', ann_file=data_root + 'instances_val.json')
]
test_evaluator = val_evaluator
