# Your own data with label PNGs: the semantic task. Images are in
# data/my_dataset/{train,val}/, PNGs of the same names in
# semantic_{train,val}/ beside them.
_base_ = [
    '../_base_/models/oneformer_r50.py', '../_base_/datasets/semantic_maps.py',
    '../_base_/schedules/schedule_20k.py', '../_base_/default_runtime.py'
]

categories = ['road', 'building', 'sky']  # values 0, 1, 2; 255 is void

model = dict(test_cfg=dict(tasks=('semantic', )))
train_dataloader = dict(dataset=dict(categories=categories))
val_dataloader = dict(dataset=dict(categories=categories))
test_dataloader = val_dataloader
