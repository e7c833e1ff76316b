# For checkpoints of the config of that name in configs/ade20k.
_base_ = [
    '../_base_/models/oneformer_swin-l.py', './_base_/ade20k_640.py',
    './_base_/runtime.py'
]

model = dict(type='OneFormerSegmentor', categories='ade20k')
