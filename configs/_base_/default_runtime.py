"""What every run shares: hooks, logging, environment."""
default_scope = 'mmdet'
custom_imports = dict(
    imports=['projects.oneformer'], allow_failed_imports=False)

default_hooks = dict(
    timer=dict(type='IterTimerHook'),
    logger=dict(type='LoggerHook', interval=50),
    param_scheduler=dict(type='ParamSchedulerHook'),
    checkpoint=dict(
        type='AtomicCheckpointHook',
        by_epoch=False,
        interval=5000,
        max_keep_ckpts=3),
    # NaN and infinite gradients are replaced, as officially.
    finite_gradients=dict(type='FiniteGradientsHook'),
    sampler_seed=dict(type='DistSamplerSeedHook'),
    visualization=dict(type='DetVisualizationHook'))

env_cfg = dict(
    cudnn_benchmark=False,
    # Workers share the annotations of the parent, and OpenCV's threads would
    # multiply with them.
    mp_cfg=dict(mp_start_method='fork', opencv_num_threads=0),
    dist_cfg=dict(backend='nccl'))
# None draws a seed, which is logged and kept in the checkpoints.
randomness = dict(seed=None)

vis_backends = [dict(type='LocalVisBackend')]
visualizer = dict(
    type='TaskVisualizer', vis_backends=vis_backends, name='visualizer')
log_processor = dict(type='LogProcessor', window_size=50, by_epoch=False)
log_level = 'INFO'

load_from = None
resume = False
