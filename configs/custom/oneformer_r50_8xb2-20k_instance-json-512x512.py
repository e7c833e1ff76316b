# Your own data with COCO instance annotation: the instance task. Images are in
# data/my_dataset/{train,val}/, annotation in instances_{train,val}.json beside
# them; classes are read from it.
_base_ = [
    '../_base_/models/oneformer_r50.py',
    '../_base_/datasets/coco_instance_json.py',
    '../_base_/schedules/schedule_20k.py', '../_base_/default_runtime.py'
]

model = dict(test_cfg=dict(tasks=('instance', )))
