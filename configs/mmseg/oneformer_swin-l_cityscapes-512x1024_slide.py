# In windows of 1024 x 1024, which need less memory than the whole image.
_base_ = './oneformer_swin-l_cityscapes-512x1024.py'

model = dict(
    test_cfg=dict(mode='slide', crop_size=(1024, 1024), stride=(768, 768)))
