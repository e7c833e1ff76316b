"""Mixed precision, as published models were trained.

All but DiNAT-L, and Swin-L on COCO: their configs name `OptimWrapper`.
"""
_base_ = './adamw.py'

optim_wrapper = dict(type='AmpOptimWrapper')
