"""Names and shapes of the official tensors, written down from their sizes.

Independent of the name rules; checked against the recorded small models.
"""
from typing import Dict, List, Sequence, Tuple

Layout = Dict[str, Tuple[int, ...]]


def _linear(name: str, outputs: int, inputs: int, *kernel: int) -> Layout:
    return {
        f'{name}.weight': (outputs, inputs, *kernel),
        f'{name}.bias': (outputs, )
    }


def _norm(name: str, width: int) -> Layout:
    return {f'{name}.weight': (width, ), f'{name}.bias': (width, )}


def _attention(name: str, width: int) -> Layout:
    return {
        f'{name}.in_proj_weight': (3 * width, width),
        f'{name}.in_proj_bias': (3 * width, ),
        **_linear(f'{name}.out_proj', width, width)
    }


def _below(prefix: str, *layouts: Layout) -> Layout:
    return {
        prefix + name: shape
        for layout in layouts
        for name, shape in layout.items()
    }


def _output_norms(widths: Sequence[int]) -> Layout:
    return _below('backbone.',
                  *(_norm(f'norm{k}', w) for k, w in enumerate(widths)))


def swin(width: int, depths: Sequence[int], heads: Sequence[int],
         window: int) -> Layout:
    """Swin, its width doubling from stage to stage."""
    widths = [width * 2**k for k in range(4)]
    layout = _below(
        'backbone.patch_embed.',
        _linear('proj', width, 3, 4, 4),
        _norm('norm', width),
    )
    for stage, (c, depth, head) in enumerate(zip(widths, depths, heads)):
        for block in range(depth):
            layout.update(
                _below(
                    f'backbone.layers.{stage}.blocks.{block}.',
                    _norm('norm1', c), {
                        'attn.relative_position_bias_table':
                        ((2 * window - 1)**2, head),
                        'attn.relative_position_index': (window**2, window**2),
                    }, _linear('attn.qkv',
                               3 * c, c), _linear('attn.proj', c, c),
                    _norm('norm2', c), _linear('mlp.fc1', 4 * c, c),
                    _linear('mlp.fc2', c, 4 * c)))
        if stage < 3:
            prefix = f'backbone.layers.{stage}.downsample.'
            layout[prefix + 'reduction.weight'] = (2 * c, 4 * c)
            layout.update(_below(prefix, _norm('norm', 4 * c)))
    return {**layout, **_output_norms(widths)}


def dinat(width: int, depths: Sequence[int], heads: Sequence[int],
          kernel: int) -> Layout:
    """DiNAT with an MLP ratio of 2."""
    widths = [width * 2**k for k in range(4)]
    layout = _below(
        'backbone.patch_embed.',
        _linear('proj.0', width // 2, 3, 3, 3),
        _linear('proj.1', width, width // 2, 3, 3),
        _norm('norm', width),
    )
    for stage, (c, depth, head) in enumerate(zip(widths, depths, heads)):
        for block in range(depth):
            layout.update(
                _below(f'backbone.levels.{stage}.blocks.{block}.',
                       _norm('norm1', c),
                       {'attn.rpb': (head, 2 * kernel - 1, 2 * kernel - 1)},
                       _linear('attn.qkv',
                               3 * c, c), _linear('attn.proj', c, c),
                       _norm('norm2', c), _linear('mlp.fc1', 2 * c, c),
                       _linear('mlp.fc2', c, 2 * c)))
        if stage < 3:
            prefix = f'backbone.levels.{stage}.downsample.'
            layout[prefix + 'reduction.weight'] = (2 * c, c, 3, 3)
            layout.update(_below(prefix, _norm('norm', 2 * c)))
    return {**layout, **_output_norms(widths)}


def convnext(widths: Sequence[int], depths: Sequence[int]) -> Layout:
    """ConvNeXt."""
    layout = _below('backbone.downsample_layers.0.',
                    _linear('0', widths[0], 3, 4, 4), _norm('1', widths[0]))
    for stage in range(1, 4):
        layout.update(
            _below(f'backbone.downsample_layers.{stage}.',
                   _norm('0', widths[stage - 1]),
                   _linear('1', widths[stage], widths[stage - 1], 2, 2)))
    for stage, (c, depth) in enumerate(zip(widths, depths)):
        for block in range(depth):
            layout.update(
                _below(f'backbone.stages.{stage}.{block}.', {'gamma': (c, )},
                       _linear('dwconv', c, 1, 7, 7), _norm('norm', c),
                       _linear('pwconv1', 4 * c, c),
                       _linear('pwconv2', c, 4 * c)))
    return {**layout, **_output_norms(widths)}


def resnet50(stem: int, bottleneck: int, width: int) -> Layout:
    """ResNet-50 of detectron2, widths given at its first stage."""

    def conv(name: str, outputs: int, inputs: int, kernel: int) -> Layout:
        return {
            f'{name}.weight': (outputs, inputs, kernel, kernel),
            f'{name}.norm.num_batches_tracked': (),
            **{
                f'{name}.norm.{part}': (outputs, )
                for part in ('weight', 'bias', 'running_mean', 'running_var')
            }
        }

    layout = _below('backbone.stem.', conv('conv1', stem, 3, 7))
    inputs = stem
    for stage, depth in enumerate((3, 4, 6, 3)):
        inner, outputs = bottleneck * 2**stage, width * 2**stage
        for block in range(depth):
            parts = [
                conv('conv1', inner, inputs, 1),
                conv('conv2', inner, inner, 3),
                conv('conv3', outputs, inner, 1)
            ]
            if block == 0:
                parts.append(conv('shortcut', outputs, inputs, 1))
            layout.update(_below(f'backbone.res{stage + 2}.{block}.', *parts))
            inputs = outputs
    return layout


def pixel_decoder(inputs: Sequence[int], width: int, layers: int) -> Layout:
    """Of 8 heads, 3 levels and 4 points; ``inputs`` from stride 4 to 32."""
    points = 8 * 3 * 4
    layout: Layout = {'transformer.level_embed': (3, width)}
    for k, channels in enumerate(reversed(inputs[1:])):
        layout.update(_linear(f'input_proj.{k}.0', width, channels, 1, 1))
        layout.update(_norm(f'input_proj.{k}.1', width))
    for k in range(layers):
        layout.update(
            _below(f'transformer.encoder.layers.{k}.',
                   _linear('self_attn.sampling_offsets', 2 * points, width),
                   _linear('self_attn.attention_weights', points, width),
                   _linear('self_attn.value_proj', width, width),
                   _linear('self_attn.output_proj', width, width),
                   _norm('norm1', width), _linear('linear1', 1024, width),
                   _linear('linear2', width, 1024), _norm('norm2', width)))
    layout.update(_linear('mask_features', width, width, 1, 1))
    layout['adapter_1.weight'] = (width, inputs[0], 1, 1)
    layout['layer_1.weight'] = (width, width, 3, 3)
    layout.update(_norm('adapter_1.norm', width))
    layout.update(_norm('layer_1.norm', width))
    return _below('sem_seg_head.pixel_decoder.', layout)


def predictor(width: int, ffn: int, layers: int, queries: int,
              classes: int) -> Layout:
    """Query formation, of 2 layers, and mask decoder."""
    layout: Layout = {
        'query_embed.weight': (queries, width),
        'level_embed.weight': (3, width)
    }
    for k in range(2):
        layout.update(
            _below(f'class_transformer.decoder.layers.{k}.',
                   _attention('self_attn', width),
                   _attention('multihead_attn', width),
                   _linear('linear1', ffn, width),
                   _linear('linear2', width, ffn),
                   *(_norm(f'norm{n}', width) for n in (1, 2, 3))))
    layout.update(_norm('class_transformer.decoder.norm', width))
    for k in range(layers):
        parts: List[Tuple[str, Layout]] = [
            ('self_attention', _attention('self_attn', width)),
            ('cross_attention', _attention('multihead_attn', width)),
            ('ffn', {
                **_linear('linear1', ffn, width),
                **_linear('linear2', width, ffn)
            }),
        ]
        for kind, part in parts:
            layout.update(
                _below(f'transformer_{kind}_layers.{k}.', part,
                       _norm('norm', width)))
    layout.update(_norm('decoder_norm', width))
    layout.update(_linear('class_input_proj', width, width, 1, 1))
    layout.update(_linear('class_embed', classes + 1, width))
    for k in range(3):
        layout.update(_linear(f'mask_embed.layers.{k}', width, width))
    return _below('sem_seg_head.predictor.', layout)


def text_and_task(width: int, text_width: int, layers: int,
                  context: int) -> Layout:
    """Task MLP, text mapper and contrastive temperature."""
    layout = {
        **_linear('task_mlp.layers.0', width, 77),
        **_linear('task_mlp.layers.1', width, width),
        **_linear('text_projector.layers.0', width, text_width),
        **_linear('text_projector.layers.1', width, width),
        **_norm('text_encoder.ln_final', text_width),
        'text_encoder.positional_embedding': (77, text_width),
        'text_encoder.token_embedding.weight': (49408, text_width),
        'prompt_ctx.weight': (context, width),
        'criterion.logit_scale': (),
    }
    for k in range(layers):
        layout.update(
            _below(f'text_encoder.transformer.resblocks.{k}.',
                   _attention('attn', text_width), _norm('ln_1', text_width),
                   _norm('ln_2', text_width),
                   _linear('mlp.c_fc', 4 * text_width, text_width),
                   _linear('mlp.c_proj', text_width, 4 * text_width)))
    return layout


def oneformer(backbone: Layout, channels: Sequence[int], width: int, ffn: int,
              pixel_layers: int, mask_layers: int, queries: int, classes: int,
              text: Tuple[int, int, int]) -> Layout:
    """A whole model; ``text`` is width, layers, context embeddings."""
    return {
        **backbone,
        **pixel_decoder(channels, width, pixel_layers),
        **predictor(width, ffn, mask_layers, queries, classes),
        **text_and_task(width, *text), 'criterion.empty_weight':
        (classes + 1, )
    }


def small(variant: str) -> Layout:
    """The recorded models."""
    backbone, channels = dict(
        r50=(resnet50(16, 16, 32), (32, 64, 128, 256)),
        swin=(swin(24, (2, 2, 2, 2), (3, 3, 6, 12), 5), (24, 48, 96, 192)),
        convnext=(convnext((16, 32, 48, 64), (1, 1, 2, 1)), (16, 32, 48, 64)),
        dinat=(dinat(24, (1, 2, 2, 1), (2, 3, 4, 6),
                     5), (24, 48, 96, 192)))[variant]
    return oneformer(backbone, channels, 64, 128, 2, 4, 20, 7, (64, 2, 4))


def full(variant: str, queries: int, classes: int, kernel: int = 11) -> Layout:
    """The published models; ``kernel`` is that of DiNAT."""
    doubling = (192, 384, 768, 1536)
    layout, channels = {
        'r50':
        lambda: (resnet50(64, 64, 256), (256, 512, 1024, 2048)),
        'swin-t':
        lambda: (swin(96, (2, 2, 6, 2), (3, 6, 12, 24), 7),
                 (96, 192, 384, 768)),
        'swin-l':
        lambda: (swin(192, (2, 2, 18, 2), (6, 12, 24, 48), 12), doubling),
        'convnext-l':
        lambda: (convnext(doubling, (3, 3, 27, 3)), doubling),
        'convnext-xl':
        lambda: (convnext((256, 512, 1024, 2048), (3, 3, 27, 3)),
                 (256, 512, 1024, 2048)),
        'dinat-l':
        lambda: (dinat(192, (3, 4, 18, 5), (6, 12, 24, 48), kernel), doubling),
    }[variant]()
    return oneformer(layout, channels, 256, 2048, 6, 9, queries, classes,
                     (256, 6, 16))
