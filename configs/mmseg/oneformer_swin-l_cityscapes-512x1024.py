# For checkpoints of the config of that name in configs/cityscapes.
_base_ = [
    '../_base_/models/oneformer_swin-l.py', './_base_/cityscapes.py',
    './_base_/runtime.py'
]

model = dict(type='OneFormerSegmentor', categories='cityscapes')
