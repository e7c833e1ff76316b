# Three data sets in one run: data/my_dataset/ with a COCO panoptic JSON, and
# more images with instance annotation and with label PNGs alone. Each image
# draws the tasks that its annotation can answer.
_base_ = [
    '../_base_/models/oneformer_r50.py',
    '../_base_/datasets/coco_panoptic_json.py',
    '../_base_/schedules/schedule_20k.py', '../_base_/default_runtime.py'
]

# Annotations are matched with these by name, see docs/your_data.md.
categories = [
    dict(name='person', isthing=1),
    dict(name='car', isthing=1),
    dict(name='road', isthing=0),
    dict(name='sky', isthing=0)
]

load = _base_.train_pipeline[0]
augment = _base_.train_pipeline[2:]
panoptic = _base_.train_dataloader.dataset
instances = dict(
    type='InstanceDataset',
    data_root='data/my_instances/',
    ann_file='instances_train.json',
    data_prefix=dict(img='train/'),
    pipeline=[load, dict(type='LoadInstanceMap'), *augment])
semantic = dict(
    type='SemanticDataset',
    data_root='data/my_semantic/',
    data_prefix=dict(img='train/', sem='semantic_train/'),
    # its own values; what they leave out is void
    values=dict(road=[0, 1], sky=7, car=13),
    pipeline=[load, dict(type='LoadSemanticMap'), *augment])

train_dataloader = dict(
    dataset=dict(
        _delete_=True,
        type='MixedDataset',
        categories=categories,
        datasets=[
            panoptic,
            # seen twice as often as there are images
            dict(type='RepeatDataset', times=2, dataset=instances),
            semantic
        ]))
val_dataloader = dict(dataset=dict(categories=categories))
test_dataloader = val_dataloader
