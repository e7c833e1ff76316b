"""Any folders of images and label PNGs, as MMSegmentation reads them.

It trains the semantic task alone. A derived config names the classes, as
`categories` of the data sets, in the order of their values in the PNGs, and
asks the model for this task: model.test_cfg.tasks = ('semantic', ).
"""
_base_ = './coco_panoptic_json.py'

data_root = 'data/my_dataset/'

train_pipeline = [
    _base_.train_pipeline[0],
    dict(type='LoadSemanticMap'),
    *_base_.train_pipeline[2:-2],
    dict(type='TaskSampling', probabilities=dict(semantic=1)),
    _base_.train_pipeline[-1],
]
# Metrics read the label PNG.
test_pipeline = [
    *_base_.test_pipeline[:-1],
    dict(
        type='PackDetInputs',
        meta_keys=('img_id', 'img_path', 'ori_shape', 'img_shape',
                   'scale_factor', 'semantic_map_path', 'semantic_labels'))
]

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SemanticDataset',
        data_root=data_root,
        data_prefix=dict(img='train/', sem='semantic_train/'),
        pipeline=train_pipeline))
val_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='SemanticDataset',
        data_root=data_root,
        data_prefix=dict(img='val/', sem='semantic_val/'),
        test_mode=True,
        pipeline=test_pipeline))
test_dataloader = val_dataloader

val_evaluator = [dict(type='SemanticMetric')]
test_evaluator = val_evaluator
