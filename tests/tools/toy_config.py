"""A run of a few seconds on the repository's own runtime and schedule."""
_base_ = [
    '../../configs/_base_/default_runtime.py',
    '../../configs/_base_/schedules/schedule_160k.py'
]
custom_imports = dict(
    imports=['projects.oneformer', 'toy'], allow_failed_imports=False)

model = dict(
    type='ToyModel', num_things_classes=2, num_stuff_classes=1, test_cfg={})
train_dataloader = dict(
    batch_size=2,
    num_workers=0,
    sampler=dict(type='InfiniteSampler', shuffle=True),
    dataset=dict(type='ToyDataset'))
test_dataloader = dict(
    batch_size=2,
    sampler=dict(type='DefaultSampler', shuffle=False),
    dataset=dict(type='ToyDataset'))
test_evaluator = [
    dict(type='ToyPanoptic'),
    dict(type='ToyOther'),
    dict(type='ToyInstance'),
    dict(type='ToySemantic')
]
val_cfg = None

optim_wrapper = dict(optimizer=dict(lr=0.01))
train_cfg = dict(max_iters=10)
param_scheduler = dict(end=10)
default_hooks = dict(
    logger=dict(interval=1), checkpoint=dict(interval=2, max_keep_ckpts=1))
custom_hooks = [dict(type='ToyTraceHook')]
