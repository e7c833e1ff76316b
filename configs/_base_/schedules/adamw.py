"""The optimizer of all published models, and the loops."""
optim_wrapper = dict(
    type='OptimWrapper',
    constructor='OneFormerOptimWrapperConstructor',
    optimizer=dict(type='AdamW', lr=1e-4, weight_decay=0.05, fused=True),
    # The official code is configured to clip the norm of all gradients at
    # 0.01, but its iterator over the parameters is used up before it clips:
    # the published models were trained without. To clip, add
    # clip_grad=dict(max_norm=0.01).
    paramwise_cfg=dict(backbone_lr_mult=0.1))
auto_scale_lr = dict(enable=False, base_batch_size=16)

val_cfg = dict(type='ValLoop')
test_cfg = dict(type='TestLoop')
