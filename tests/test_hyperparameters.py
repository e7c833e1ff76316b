"""The configs of published rows against the settings of the official code.

Facts stand here as the paper (section 4) and the official configuration files
have them, not as they are derived in configs/.
"""
from types import SimpleNamespace

import numpy as np
import pytest
from mmdet.registry import METRICS, TRANSFORMS
from mmengine.config import Config
from mmengine.registry import init_default_scope

from projects.oneformer.apis import augment_test_data, complete_config
from projects.oneformer.checkpoints import build_on_meta

ALL = ('panoptic', 'instance', 'semantic')
THIRDS = dict(semantic=0.33, instance=0.33, panoptic=0.34)
HALVES = dict(semantic=0.5, panoptic=0.5)

DATA = dict(
    ade20k=dict(
        classes=(100, 50),
        batch=16,
        iterations=160000,
        interval=5000,
        score=0.5,
        tasks=THIRDS,
        jitter=True,
        metrics=['panoptic', 'instance', 'semantic']),
    cityscapes=dict(
        classes=(8, 11),
        batch=16,
        iterations=90000,
        interval=5000,
        score=0.8,
        tasks=THIRDS,
        short_edges=[
            512, 614, 716, 819, 921, 1024, 1126, 1228, 1331, 1433, 1536, 1638,
            1740, 1843, 1945, 2048
        ],
        long_edge=4096,
        crop=(1024, 512),
        padded=False,
        test=(2048, 1024),
        jitter=True,
        metrics=['panoptic', 'instance', 'semantic'],
        further=['cityscapes']),
    coco=dict(
        classes=(80, 53),
        batch=16,
        interval=5000,
        score=0.8,
        tasks=THIRDS,
        scale=(1024, 1024),
        ratios=(0.1, 2.0),
        crop=(1024, 1024),
        padded=True,
        test=(1333, 800),
        jitter=False,
        metrics=['panoptic', 'instance', 'instance_original', 'semantic']),
    mapillary=dict(
        classes=(37, 28),
        batch=16,
        iterations=300000,
        interval=30000,
        score=0.8,
        tasks=HALVES,
        short_edges=[
            1024, 1228, 1433, 1638, 1843, 2048, 2252, 2457, 2662, 2867, 3072,
            3276, 3481, 3686, 3891, 4096
        ],
        long_edge=8192,
        crop=(1024, 1024),
        padded=True,
        test=(2048, 2048),
        jitter=True,
        metrics=['panoptic', 'semantic']))

#: ADE20K: short edges of training by the crop's side.
SHORT_EDGES = {
    512: [
        256, 307, 358, 409, 460, 512, 563, 614, 665, 716, 768, 819, 870, 921,
        972, 1024
    ],
    640: [
        320, 384, 448, 512, 576, 640, 704, 768, 832, 896, 960, 1024, 1088,
        1152, 1216, 1280
    ],
    896: [
        448, 537, 627, 716, 806, 896, 985, 1075, 1164, 1254, 1344, 1433, 1523,
        1612, 1702, 1792
    ],
    1280: [
        640, 768, 896, 1024, 1152, 1280, 1408, 1536, 1664, 1792, 1920, 2048,
        2176, 2304, 2432, 2560
    ]
}

#: Fields of the backbone's config; ``weights`` ends the file it starts from.
SWIN_L = dict(
    type='OneFormerSwinTransformer',
    embed_dims=192,
    depths=[2, 2, 18, 2],
    num_heads=[6, 12, 24, 48],
    window_size=12,
    pretrain_img_size=384,
    drop_path_rate=0.3)
DINAT_L = dict(
    type='DiNAT',
    embed_dims=192,
    depths=[3, 4, 18, 5],
    num_heads=[6, 12, 24, 48],
    mlp_ratio=2.,
    drop_path_rate=0.3)
DILATIONS = [[1, 20, 1], [1, 5, 1, 10],
             [1, 2, 1, 3, 1, 4, 1, 5, 1, 2, 1, 3, 1, 4, 1, 5, 1, 5],
             [1, 2, 1, 2, 1]]
DILATIONS_1280 = [[1, 28, 1], [1, 7, 1, 14],
                  [1, 3, 1, 5, 1, 5, 1, 7, 1, 3, 1, 5, 1, 5, 1, 7, 1, 7],
                  [1, 3, 1, 3, 1]]
DILATIONS_K7 = [[1, 18, 1], [1, 5, 1, 9],
                [1, 2, 1, 3, 1, 4, 1, 2, 1, 3, 1, 4, 1, 2, 1, 3, 1, 4],
                [1, 2, 1, 2, 1]]
BACKBONES = {
    'r50':
    dict(
        type='ResNet',
        depth=50,
        frozen_stages=-1,
        norm_cfg=dict(type='BN', requires_grad=False),
        norm_eval=True,
        weights='torchvision://resnet50'),
    'r50, trained norm':
    dict(
        type='ResNet',
        depth=50,
        frozen_stages=-1,
        norm_cfg=dict(type='SyncBN', requires_grad=True),
        norm_eval=False,
        weights='torchvision://resnet50'),
    'swin-t':
    dict(
        type='OneFormerSwinTransformer',
        embed_dims=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        drop_path_rate=0.3,
        weights='/swin_tiny_patch4_window7_224.pth'),
    'swin-l':
    dict(SWIN_L, weights='/swin_large_patch4_window12_384_22kto1k.pth'),
    'swin-l, 22k':
    dict(SWIN_L, weights='/swin_large_patch4_window12_384_22k.pth'),
    'convnext-l':
    dict(
        type='mmpretrain.ConvNeXt',
        arch='large',
        drop_path_rate=0.4,
        weights='convnext-large_in21k-pre-3rdparty_in1k-384px_'
        '20221219-6d38dd66.pth'),
    'convnext-xl':
    dict(
        type='mmpretrain.ConvNeXt',
        arch='xlarge',
        drop_path_rate=0.4,
        weights='convnext-xlarge_in21k-pre-3rdparty_in1k-384px_'
        '20221219-b161bc14.pth'),
    'dinat-l':
    dict(
        DINAT_L,
        kernel_size=11,
        dilations=DILATIONS,
        weights='/dinat_large_in22k_in1k_384_11x11.pth'),
    'dinat-l, 1280':
    dict(
        DINAT_L,
        kernel_size=11,
        dilations=DILATIONS_1280,
        weights='/dinat_large_in22k_in1k_384_11x11.pth'),
    'dinat-l, k7':
    dict(
        DINAT_L,
        kernel_size=7,
        dilations=DILATIONS_K7,
        weights='/dinat_large_in22k_224.pth'),
}

ADE20K = 'ade20k/oneformer_{}_8xb2-160k_ade20k-{}x{}.py'
CITYSCAPES = 'cityscapes/oneformer_{}_8xb2-90k_cityscapes-512x1024.py'
COCO = 'coco/oneformer_{}_8xb2-lsj-{}e_coco-panoptic.py'
MAPILLARY = 'mapillary/oneformer_{}_8xb2-300k_mapillary-1024x1024{}.py'
SWIN_T_NAME = 'swin-t-p4-w7-224'
SWIN_NAME = 'swin-l-p4-w12-384-in22k'
CONVNEXT_NAME = 'convnext-l-384-in22k'
CONVNEXT_XL_NAME = 'convnext-xl-384-in22k'
DINAT_NAME = 'dinat-l-k11-384-in22k'
DROPS_50 = (368750, [327778, 355092])


def ade20k(name, size, backbone, queries=250, **settings):
    return ADE20K.format(name, size, size), dict(
        DATA['ade20k'],
        backbone=backbone,
        queries=queries,
        short_edges=SHORT_EDGES[size],
        long_edge=4 * size,
        crop=(size, size),
        padded=True,
        test=(4 * size, size),
        **settings)


def row(path, backbone, queries=250, **settings):
    data = DATA[path.partition('/')[0]]
    return path, dict(data, **{
        'backbone': backbone,
        'queries': queries,
        **settings
    })


FLOAT32 = dict(mixed=False)
FROM_COCO = dict(start='checkpoints/oneformer_dinat-l_coco.pth')
ROWS = dict([
    ade20k('r50', 512, 'r50', 150),
    ade20k(SWIN_T_NAME, 512, 'swin-t', 150),
    ade20k(SWIN_NAME, 640, 'swin-l'),
    ade20k(SWIN_NAME, 896, 'swin-l, 22k'),
    ade20k(SWIN_NAME, 1280, 'swin-l'),
    ade20k(CONVNEXT_NAME, 640, 'convnext-l'),
    ade20k(CONVNEXT_XL_NAME, 640, 'convnext-xl'),
    ade20k(DINAT_NAME, 640, 'dinat-l', **FLOAT32),
    ade20k(DINAT_NAME, 896, 'dinat-l', **FLOAT32),
    ade20k(DINAT_NAME, 1280, 'dinat-l, 1280', **FLOAT32),
    ade20k(DINAT_NAME + '-coco', 1280, 'dinat-l, 1280', 150, **FLOAT32,
           **FROM_COCO),
    row(CITYSCAPES.format('r50'), 'r50, trained norm', 150),
    row(CITYSCAPES.format(SWIN_T_NAME), 'swin-t', 150),
    row(CITYSCAPES.format(SWIN_NAME), 'swin-l'),
    row(CITYSCAPES.format(CONVNEXT_NAME), 'convnext-l'),
    row(CITYSCAPES.format(CONVNEXT_XL_NAME), 'convnext-xl'),
    row(CITYSCAPES.format('dinat-l-k7-224-in22k'), 'dinat-l, k7', **FLOAT32),
    row(CITYSCAPES.format(CONVNEXT_NAME + '-mapillary'),
        'convnext-l',
        start='checkpoints/oneformer_convnext-l_mapillary_three-tasks.pth'),
    row(CITYSCAPES.format(CONVNEXT_XL_NAME + '-mapillary'),
        'convnext-xl',
        start='checkpoints/oneformer_convnext-xl_mapillary_three-tasks.pth'),
    row(COCO.format('r50', 50), 'r50', 150, drops=DROPS_50),
    row(COCO.format(SWIN_T_NAME, 50), 'swin-t', 150, drops=DROPS_50),
    row(COCO.format(SWIN_NAME, 100),
        'swin-l',
        150,
        drops=(737500, [655556, 735184]),
        **FLOAT32),
    row(COCO.format(DINAT_NAME, 100),
        'dinat-l',
        150,
        drops=(737500, [655556, 710184]),
        **FLOAT32),
    row(MAPILLARY.format('r50', ''), 'r50, trained norm', 150),
    row(MAPILLARY.format(SWIN_T_NAME, ''), 'swin-t', 150),
    row(MAPILLARY.format(SWIN_NAME, ''), 'swin-l'),
    row(MAPILLARY.format(CONVNEXT_NAME, ''), 'convnext-l'),
    row(MAPILLARY.format(DINAT_NAME, ''), 'dinat-l', **FLOAT32),
    row(MAPILLARY.format(CONVNEXT_NAME, '_three-tasks'),
        'convnext-l',
        tasks=THIRDS),
    row(MAPILLARY.format(CONVNEXT_XL_NAME, '_three-tasks'),
        'convnext-xl',
        tasks=THIRDS),
])


@pytest.fixture(autouse=True)
def mmdet_scope():
    init_default_scope('mmdet')


def load(root, path):
    return complete_config(Config.fromfile(root / 'configs' / path))


@pytest.fixture(params=ROWS, scope='module')
def published(request, root):
    """The config of a row, and its facts."""
    return load(root, request.param), SimpleNamespace(**ROWS[request.param])


@pytest.fixture(scope='module')
def model(published):
    return build_on_meta(published[0].model)


def steps(pipeline):
    """The steps of a pipeline by the name of their type."""
    assert len({step.type for step in pipeline}) == len(pipeline)
    return {step.type: step for step in pipeline}


def test_every_published_row_is_here(root):
    found = {
        str(path.relative_to(root / 'configs'))
        for data in DATA
        for path in (root / 'configs' / data).glob('oneformer_*.py')
    }
    assert found == set(ROWS)


def test_optimization(published):
    cfg, facts = published
    optim = cfg.optim_wrapper
    assert optim.optimizer == dict(
        type='AdamW', lr=1e-4, weight_decay=0.05, fused=True)
    assert optim.constructor == 'OneFormerOptimWrapperConstructor'
    assert optim.paramwise_cfg == dict(backbone_lr_mult=0.1)
    assert 'clip_grad' not in optim
    mixed = getattr(facts, 'mixed', True)
    assert optim.type == ('AmpOptimWrapper' if mixed else 'OptimWrapper')
    assert cfg.default_hooks.finite_gradients.type == 'FiniteGradientsHook'

    schedule = cfg.param_scheduler
    iterations, milestones = getattr(facts, 'drops', (None, None))
    if milestones is None:
        iterations = facts.iterations
        assert schedule == dict(
            type='PolyLR',
            power=0.9,
            eta_min=0,
            begin=0,
            end=iterations,
            by_epoch=False)
    else:
        assert schedule.type == 'MultiStepLR'
        assert (schedule.milestones, schedule.gamma) == (milestones, 0.1)
    assert cfg.train_cfg.max_iters == schedule.end == iterations
    assert cfg.train_cfg.val_interval == facts.interval
    # eight processes
    assert 8 * cfg.train_dataloader.batch_size == facts.batch
    assert cfg.auto_scale_lr.base_batch_size == facts.batch
    assert cfg.train_dataloader.sampler == dict(
        type='InfiniteSampler', shuffle=True)
    assert cfg.train_dataloader.dataset.get('filter_cfg') is None


def test_initial_weights(published):
    cfg, facts = published
    start = getattr(facts, 'start', None)
    assert cfg.load_from == start
    init_cfg = cfg.model.backbone.init_cfg
    if start is None:
        assert init_cfg.checkpoint.endswith(
            BACKBONES[facts.backbone]['weights'])
        assert 'custom_hooks' not in cfg
    else:
        assert init_cfg is None
        assert cfg.custom_hooks == [
            dict(type='NewClassesHook', keep_text_mapper=True)
        ]


def test_training_images(published):
    cfg, facts = published
    pipeline = steps(cfg.train_dataloader.dataset.pipeline)
    if hasattr(facts, 'scale'):
        resize = pipeline['RandomResize']
        assert (resize.scale, resize.ratio_range) == (facts.scale,
                                                      facts.ratios)
    else:
        resize = pipeline['RandomChoiceResize']
        assert resize.scales == [(facts.long_edge, edge)
                                 for edge in facts.short_edges]
    assert resize.keep_ratio
    # as officially, a crop of one category is as good as any other
    assert dict(pipeline['RandomCrop']) == dict(
        type='RandomCrop', crop_size=facts.crop)
    flip = TRANSFORMS.build(pipeline['RandomFlip'])
    assert (flip.prob, flip.direction) == (0.5, 'horizontal')
    assert ('Pad' in pipeline) == facts.padded
    if facts.padded:
        assert pipeline['Pad'].size == facts.crop
        assert pipeline['Pad'].pad_val == dict(img=(128, 128, 128), seg=0)
    assert ('mmseg.PhotoMetricDistortion' in pipeline) == facts.jitter
    if facts.jitter:
        jitter = TRANSFORMS.build(pipeline['mmseg.PhotoMetricDistortion'])
        assert (jitter.brightness_delta, jitter.hue_delta) == (32, 18)
        assert (jitter.contrast_lower, jitter.contrast_upper) == (0.5, 1.5)
        assert (jitter.saturation_lower, jitter.saturation_upper) == (0.5, 1.5)
    order = [step for step in pipeline if 'Random' not in step]
    middle = ['mmseg.PhotoMetricDistortion'] * facts.jitter
    middle += ['Pad'] * facts.padded
    assert order == [
        'LoadImageFromFile', 'LoadPanopticMap', *middle, 'TaskSampling',
        'PackDetInputs'
    ]


def test_tasks_and_texts(published):
    cfg, facts = published
    sampling = TRANSFORMS.build(
        steps(cfg.train_dataloader.dataset.pipeline)['TaskSampling'])
    assert dict(sampling.probabilities) == facts.tasks
    assert sampling.text_template == 'a photo with a {cls}'


def test_test_images_and_metrics(published):
    cfg, facts = published
    for split in ('val', 'test'):
        pipeline = cfg[f'{split}_dataloader'].dataset.pipeline
        assert [step.type for step in pipeline
                ] == ['LoadImageFromFile', 'Resize', 'PackDetInputs']
        assert pipeline[1].scale == facts.test
        assert pipeline[1].keep_ratio
        # resizing officially is Pillow's, with its averaging
        assert pipeline[1].backend == 'pillow'
        names = [
            metric.get('prefix',
                       METRICS.get(metric.type).default_prefix)
            for metric in cfg[f'{split}_evaluator']
        ]
        further = getattr(facts, 'further', []) if split == 'test' else []
        assert names == facts.metrics + further
    thresholds = cfg.model.test_cfg
    assert thresholds.object_mask_thr == facts.score
    assert thresholds.iou_thr == 0.8
    assert list(
        thresholds.tasks) == [task for task in ALL if task in facts.metrics]


def test_backbone(published):
    cfg, facts = published
    expected = dict(BACKBONES[facts.backbone])
    expected.pop('weights')
    backbone = cfg.model.backbone
    assert {key: backbone[key] for key in expected} == expected


def test_model(published, model):
    cfg, facts = published
    preprocessor = cfg.model.data_preprocessor
    assert preprocessor.mean == [123.675, 116.28, 103.53]
    assert preprocessor.std == [58.395, 57.12, 57.375]
    assert preprocessor.bgr_to_rgb and preprocessor.pad_size_divisor == 32

    head, query = model.panoptic_head, model.panoptic_head.query_formation
    assert (model.num_things_classes, model.num_stuff_classes) == facts.classes
    assert head.num_queries == facts.queries
    assert model.test_cfg.max_per_image == facts.queries
    assert query.initial_queries == 'task'
    assert len(query.transformer.layers) == 2
    assert len(head.pixel_decoder.encoder.layers) == 6
    assert len(head.transformer_decoder.layers) == 9
    attention = [layer.self_attn.attn for layer in query.transformer.layers]
    assert {(a.num_heads, a.embed_dim, a.dropout)
            for a in attention} == {(8, 256, 0.1)}
    attention = [
        layer.cross_attn.attn for layer in head.transformer_decoder.layers
    ]
    assert {(a.num_heads, a.embed_dim, a.dropout)
            for a in attention} == {(8, 256, 0.)}
    widths = {
        layer.ffn.feedforward_channels
        for transformer in (query.transformer, head.transformer_decoder)
        for layer in transformer.layers
    }
    assert widths == {2048}

    mapper = head.text_mapper
    assert (mapper.num_context, mapper.num_texts) == (16, facts.queries - 16)
    assert len(mapper.encoder.layers) == 6
    assert mapper.context.embedding_dim == 256
    assert mapper.encoder.token_embedding.weight.shape == (49408, 256)
    assert mapper.encoder.positional_embedding.shape == (77, 256)


def test_losses(published, model):
    cfg, _ = published
    head = model.panoptic_head
    losses = (head.loss_cls, head.loss_mask, head.loss_dice,
              head.loss_contrastive)
    assert [loss.loss_weight for loss in losses] == [2., 5., 5., 0.5]
    assert head.class_weight[-1] == 0.1 and set(head.class_weight[:-1]) == {1.}
    assert (head.num_points, head.oversample_ratio,
            head.importance_sample_ratio) == (12544, 3., 0.75)
    costs = [cost.weight for cost in head.assigner.match_costs]
    assert costs == [2., 5., 5.]
    assert cfg.model.panoptic_head.loss_contrastive.get('temperature',
                                                        0.07) == 0.07


@pytest.mark.parametrize(
    'path, edges',
    [
        (ADE20K.format('r50', 512, 512), [256, 384, 512, 640, 768, 896]),
        (ADE20K.format(SWIN_NAME, 640, 640), [320, 480, 640, 800, 960, 1120]),
        # 678 officially in place of 672, which continues the list
        (ADE20K.format(SWIN_NAME, 896, 896), [448, 672, 896, 1120, 1344, 1568]
         ),
        (ADE20K.format(SWIN_NAME, 1280,
                       1280), [640, 960, 1280, 1600, 1920, 2240]),
        (CITYSCAPES.format('r50'), [512, 768, 1024, 1280, 1536, 1792]),
        (MAPILLARY.format('r50', ''), [512, 768, 1024, 1280, 1536, 1792]),
    ])
def test_short_edges_of_multi_scale_testing(root, path, edges):
    cfg = load(root, path)
    augment_test_data(cfg)
    _, resize, views = cfg.test_dataloader.dataset.pipeline
    image = dict(img=np.zeros((75, 100, 3), np.uint8))
    tested = TRANSFORMS.build(resize)(image)
    scales, flips, packed = views.transforms
    shapes = [
        TRANSFORMS.build(step)(dict(tested))['img'].shape for step in scales
    ]
    assert [min(shape[:2]) for shape in shapes] == edges
    assert [flip.prob for flip in flips] == [0., 1.]
    assert {step.backend for step in scales} == {'pillow'}
    assert packed[0].type == 'PackDetInputs'


def test_small_crops_are_padded_with_grey_and_void(root):
    cfg = load(root, ADE20K.format('r50', 512, 512))
    pad = TRANSFORMS.build(steps(cfg.train_dataloader.dataset.pipeline)['Pad'])
    image = np.zeros((300, 200, 3), np.uint8)
    id_map = np.full((300, 200), 70000, np.int32)
    results = pad(dict(img=image, gt_seg_map=id_map))
    assert results['img'].shape == (512, 512, 3)
    assert (results['img'][:300, :200] == 0).all()
    assert (results['img'][300:] == 128).all()
    assert (results['img'][:, 200:] == 128).all()
    assert (results['gt_seg_map'][:300, :200] == 70000).all()
    assert results['gt_seg_map'].sum() == 70000 * 300 * 200


def test_jitter_of_the_hue_is_as_wide_as_the_official_one(root):
    """18 of 180 steps of the colour wheel; MMDetection's are 18 of 360."""
    cfg = load(root, CITYSCAPES.format('r50'))
    jitter = TRANSFORMS.build(
        steps(cfg.train_dataloader.dataset.pipeline)
        ['mmseg.PhotoMetricDistortion'])
    orange = np.full((1, 1, 3), (0, 100, 200), np.uint8)  # BGR, at 30 degrees
    angles = [_degrees(jitter.hue(orange)[0, 0]) for _ in range(200)]
    assert -8 < min(angles) < 0 and 58 < max(angles) < 68


def _degrees(pixel):
    """Hue of a BGR pixel that is mostly red, -60 to 120 degrees."""
    blue, green, red = pixel.astype(float)
    low, high = min(blue, green, red), max(blue, green, red)
    if high == red:
        return 60 * (green - blue) / (high - low)
    return 60 * (2 + (blue - red) / (high - low))
