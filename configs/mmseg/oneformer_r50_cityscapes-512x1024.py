# For checkpoints of the config of that name in configs/cityscapes.
_base_ = [
    '../_base_/models/oneformer_r50_syncbn.py', './_base_/cityscapes.py',
    './_base_/runtime.py'
]

model = dict(type='OneFormerSegmentor', categories='cityscapes')
