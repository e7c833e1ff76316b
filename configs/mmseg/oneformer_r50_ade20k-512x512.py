# For checkpoints of the config of that name in configs/ade20k.
_base_ = [
    '../_base_/models/oneformer_r50.py', './_base_/ade20k.py',
    './_base_/runtime.py'
]

model = dict(type='OneFormerSegmentor', categories='ade20k')
