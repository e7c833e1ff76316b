"""The ``config.json`` of Hugging Face's OneFormer, from a config and back."""
import inspect
from typing import Dict, List

from mmdet.registry import MODELS
from mmengine.config import Config

from .class_order import ClassOrder
from .structure import CheckpointError

#: What decides results beyond tensor shapes, and the default of
#: ``OneFormerConfig`` where a file leaves it out.
_DEFAULTS: Dict[str, object] = dict(
    num_queries=150,
    strides=[4, 8, 16, 32],
    task_seq_len=77,
    conv_dim=256,
    mask_dim=256,
    hidden_dim=256,
    encoder_feedforward_dim=1024,
    norm='GN',
    encoder_layers=6,
    decoder_layers=10,
    use_task_norm=True,
    num_attention_heads=8,
    dim_feedforward=2048,
    pre_norm=False,
    enforce_input_proj=False,
    query_dec_layers=2,
    common_stride=4,
    layer_norm_eps=1e-5)
_BACKBONE_DEFAULTS: Dict[str, Dict[str, object]] = dict(
    swin=dict(
        patch_size=4,
        embed_dim=96,
        depths=[2, 2, 6, 2],
        num_heads=[3, 6, 12, 24],
        window_size=7,
        mlp_ratio=4.0,
        qkv_bias=True,
        hidden_act='gelu',
        use_absolute_embeddings=False,
        layer_norm_eps=1e-5),
    dinat=dict(
        patch_size=4,
        embed_dim=64,
        depths=[3, 4, 6, 5],
        num_heads=[2, 4, 8, 16],
        kernel_size=7,
        dilations=[[1, 8, 1], [1, 4, 1, 4], [1, 2, 1, 2, 1, 2],
                   [1, 1, 1, 1, 1]],
        mlp_ratio=3.0,
        qkv_bias=True,
        hidden_act='gelu',
        layer_scale_init_value=0.0,
        layer_norm_eps=1e-5))


def class_names(config: dict) -> List[str]:
    """The names of the classes, [] if the file only numbers them.

    Args:
        config (dict): Content of ``config.json``.
    """
    id2label = config.get('id2label') or {}
    names = [id2label[key] for key in sorted(id2label, key=int)]
    numbered = [f'LABEL_{i}' for i in range(len(names))]
    return [] if names == numbered else names


def huggingface_config(cfg: Config, order: ClassOrder,
                       is_training: bool) -> dict:
    """Content of ``config.json`` for the model of a config.

    Args:
        cfg (Config): Its backbone is a Swin or DiNAT.
        order (ClassOrder): For the names of the classes.
        is_training (bool): Whether the text mapper belongs to the model.

    Raises:
        CheckpointError: If Hugging Face's OneFormer cannot express it.
    """
    names = {str(i): name for i, name in enumerate(order.names)}
    config = dict(
        _structure(cfg),
        model_type='oneformer',
        architectures=['OneFormerForUniversalSegmentation'],
        backbone_config=_backbone(cfg.model.backbone),
        dropout=0.1,
        is_training=is_training,
        id2label=names,
        label2id={
            name: int(i)
            for i, name in names.items()
        },
        torch_dtype='float32')
    text_mapper = cfg.model.panoptic_head.get('text_mapper')
    if is_training and text_mapper:
        config.update(_text(text_mapper))
    return config


def check_config(config: dict, cfg: Config, source: str) -> None:
    """Check that a ``config.json`` describes the model of a config.

    Tensor shapes do not tell the number of heads, the dilations of DiNAT and
    the like.

    Args:
        config (dict): Content of ``config.json``.
        cfg (Config): Of the model here.
        source (str): Where the file comes from, for errors.

    Raises:
        CheckpointError: If it describes something else, with all that
            differs.
    """
    if config.get('model_type') != 'oneformer':
        raise CheckpointError(
            f'{source}: config.json describes a '
            f'{config.get("model_type")!r} model, expected \'oneformer\'')
    backbone = config.get('backbone_config') or {}
    wanted = _backbone(cfg.model.backbone)
    kind = backbone.get('model_type', 'swin')
    if kind != wanted['model_type']:
        raise CheckpointError(
            f'{source}: the backbone is a {kind!r}, that of the config a '
            f'{wanted["model_type"]!r}')
    differing = _compare(config, _structure(cfg), _DEFAULTS, '')
    differing += _compare(backbone, wanted, _BACKBONE_DEFAULTS[kind],
                          'backbone ')
    if differing:
        raise CheckpointError('\n'.join(
            [f'{source} does not fit the config:', *differing]))


def _compare(found: dict, wanted: dict, defaults: dict,
             prefix: str) -> List[str]:
    lines = []
    for key, default in defaults.items():
        value = found.get(key, default)
        if key in wanted and _plain(value) != _plain(wanted[key]):
            lines.append(f'  {prefix}{key.replace("_", " ")}: {value} in '
                         f'config.json, {wanted[key]} in the config')
    return lines


def _plain(value):
    """Lists for tuples, to compare and to write."""
    if isinstance(value, (list, tuple)):
        return [_plain(item) for item in value]
    return value


def _structure(cfg: Config) -> dict:
    """What `_DEFAULTS` lists, as the model of a config has it."""
    head = cfg.model.panoptic_head
    pixel_encoder = head.pixel_decoder.encoder
    layer = head.transformer_decoder.layer_cfg
    width = head.feat_channels
    heads = {
        part.num_heads
        for part in (pixel_encoder.layer_cfg.self_attn_cfg,
                     layer.self_attn_cfg, layer.cross_attn_cfg,
                     *(head.query_formation.transformer.layer_cfg[part]
                       for part in ('self_attn_cfg', 'cross_attn_cfg')))
    }
    if len(heads) > 1:
        raise CheckpointError(f'attention heads differ ({sorted(heads)}): '
                              "Hugging Face's OneFormer has one number")
    return dict(
        num_queries=head.num_queries,
        strides=[4, 8, 16, 32],
        task_seq_len=77,
        conv_dim=width,
        mask_dim=head.out_channels,
        hidden_dim=width,
        encoder_feedforward_dim=pixel_encoder.layer_cfg.ffn_cfg.
        feedforward_channels,
        norm='GN',
        encoder_layers=pixel_encoder.num_layers,
        # it counts the prediction before the first layer
        decoder_layers=head.transformer_decoder.num_layers + 1,
        use_task_norm=True,
        num_attention_heads=heads.pop(),
        dim_feedforward=layer.ffn_cfg.feedforward_channels,
        pre_norm=False,
        enforce_input_proj=False,
        query_dec_layers=head.query_formation.transformer.num_layers,
        common_stride=4,
        layer_norm_eps=1e-5)


def _text(text_mapper: dict) -> dict:
    """The sizes of the text mapper."""
    given = _arguments(text_mapper)
    width = given['width']
    if given['num_heads'] != width // 64:
        raise CheckpointError(
            f'the text mapper has {given["num_heads"]} heads: Hugging Face\'s '
            f'has {width // 64} at a width of {width}')
    return dict(
        text_encoder_width=width,
        text_encoder_num_layers=given['num_layers'],
        text_encoder_n_ctx=given['num_context'],
        text_encoder_context_length=77,
        text_encoder_vocab_size=49408,
        text_encoder_proj_layers=2,
        max_seq_len=77)


def _arguments(config: dict) -> dict:
    """A config with the defaults of what it builds."""
    given = {}
    for kind in reversed(inspect.getmro(MODELS.get(config['type']))):
        parameters = inspect.signature(kind.__init__).parameters
        given.update((name, p.default) for name, p in parameters.items())
    return {**given, **config}


def _backbone(config: dict) -> dict:
    """The backbone in terms of ``SwinConfig`` or ``DinatConfig``."""
    given = _arguments(config)
    common = dict(
        patch_size=4,
        depths=_plain(given['depths']),
        num_heads=_plain(given['num_heads']),
        mlp_ratio=float(given['mlp_ratio']),
        hidden_act='gelu',
        layer_norm_eps=1e-5,
        out_features=[f'stage{k}'
                      for k in range(1, 5)]) if 'depths' in given else {}
    if config['type'] in ('SwinTransformer', 'OneFormerSwinTransformer'):
        return dict(
            common,
            model_type='swin',
            embed_dim=given['embed_dims'],
            window_size=given['window_size'],
            qkv_bias=given['qkv_bias'],
            drop_path_rate=given['drop_path_rate'],
            image_size=given['pretrain_img_size'],
            use_absolute_embeddings=given['use_abs_pos_embed'])
    if config['type'] == 'DiNAT':
        return dict(
            common,
            model_type='dinat',
            embed_dim=given['embed_dims'],
            kernel_size=given['kernel_size'],
            dilations=_plain(given['dilations']),
            qkv_bias=True,
            drop_path_rate=given['drop_path_rate'],
            layer_scale_init_value=0.0)
    raise CheckpointError(
        f'backbone {config["type"]} has no counterpart in Hugging Face\'s '
        'OneFormer: choose from OneFormerSwinTransformer, DiNAT')
