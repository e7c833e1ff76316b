"""DiNAT against the official tensors and Hugging Face's implementation."""
import json
import re

import pytest
import torch
from mmdet.registry import MODELS

from projects.oneformer.models.dinat import DiNAT
from tests.models.neighborhood_loops import attend_by_loop, scores_by_loop

# The recorded official model.
SMALL = dict(
    embed_dims=24,
    depths=(1, 2, 2, 1),
    num_heads=(2, 3, 4, 6),
    kernel_size=5,
    dilations=((1, ), (1, 3), (1, 2), (1, )))


def randomize(model):
    """Make all parameters count, norms, biases and bias tables included."""
    for param in model.parameters():
        torch.nn.init.normal_(param, 0.1, 0.3 if param.dim() < 2 else 0.1)
    return model.eval()


@pytest.mark.parametrize('size', [(96, 128), (70, 101)])
def test_maps_have_strides_4_to_32_and_doubling_channels(size):
    model = MODELS.build(dict(type='DiNAT', **SMALL)).eval()
    outs = model(torch.randn(2, 3, *size))
    assert [out.shape[:2] for out in outs] == [(2, 24), (2, 48), (2, 96),
                                               (2, 192)]
    for out, stride in zip(outs, (4, 8, 16, 32)):
        assert tuple(out.shape[2:]) == tuple(-(-n // stride) for n in size)
        assert out.is_contiguous()


def test_out_indices_choose_maps():
    model = randomize(DiNAT(**SMALL))
    some = DiNAT(**SMALL, out_indices=(1, 3)).eval()
    some.load_state_dict(model.state_dict(), strict=False)
    x = torch.randn(1, 3, 64, 64)
    maps = model(x)
    for got, expected in zip(some(x), (maps[1], maps[3]), strict=True):
        torch.testing.assert_close(got, expected)


def test_tensor_names_and_shapes_are_the_official_ones(shared):
    file = shared / 'reference' / 'official' / 'dinat.json'
    shapes = json.loads(file.read_text())
    official = {
        name[len('backbone.'):]: tuple(shape)
        for name, shape in shapes.items() if name.startswith('backbone.')
    }
    ours = {k: tuple(v.shape) for k, v in DiNAT(**SMALL).state_dict().items()}
    assert ours == official


def test_defaults_are_the_large_model():
    with torch.device('meta'):
        model = DiNAT()
    # By hand: a layer of C channels, h heads has 8 C^2 + 11 C + 441 h.
    layers = sum(depth * (8 * dims**2 + 11 * dims + 441 * heads)
                 for depth, dims, heads in ((3, 192, 6), (4, 384, 12),
                                            (18, 768, 24), (5, 1536, 48)))
    tokenizer = 3 * 9 * 96 + 96 + 96 * 9 * 192 + 192 + 2 * 192
    between = sum(18 * dims**2 + 4 * dims for dims in (192, 384, 768))
    norms = 2 * (192 + 384 + 768 + 1536)
    assert sum(p.numel() for p in model.parameters()) == (
        layers + tokenizer + between + norms)
    rates = [
        b.drop_path.drop_prob for level in model.levels for b in level.blocks
    ]
    torch.testing.assert_close(rates, torch.linspace(0, 0.3, 30).tolist())


def test_wrong_dilations_are_refused():
    with pytest.raises(ValueError, match='dilations .* each layer of depths'):
        DiNAT(**{**SMALL, 'depths': (1, 2, 3, 1)})


def test_pretrained_weights_are_loaded(tmp_path):
    model = randomize(DiNAT(**SMALL))
    path = str(tmp_path / 'dinat.pth')
    torch.save(dict(state_dict=model.state_dict()), path)
    init_cfg = dict(type='Pretrained', checkpoint=path)
    loaded = MODELS.build(dict(type='DiNAT', **SMALL, init_cfg=init_cfg))
    loaded.init_weights()
    for got, expected in zip(
            loaded.state_dict().values(), model.state_dict().values(),
            strict=True):
        assert torch.equal(got, expected)


def test_initial_weights_have_a_deviation_of_2_percent():
    model = DiNAT(**SMALL)
    model.init_weights()
    block = model.levels[3].blocks[0]
    for weight in (block.mlp.fc1.weight, block.attn.qkv.weight,
                   block.attn.rpb):
        assert weight.std().item() == pytest.approx(0.02, rel=0.1)
    assert not block.attn.qkv.bias.any()


def test_checkpointing_changes_no_gradient():
    model = randomize(DiNAT(**SMALL, drop_path_rate=0))
    again = randomize(DiNAT(**SMALL, drop_path_rate=0, with_cp=True))
    again.load_state_dict(model.state_dict())
    x = torch.randn(1, 3, 64, 96)
    for m in (model.train(), again.train()):
        sum(out.square().mean() for out in m(x)).backward()
    for (name, p), q in zip(model.named_parameters(), again.parameters()):
        assert p.grad.abs().sum() > 0, name
        torch.testing.assert_close(p.grad, q.grad)


def test_frozen_levels_are_neither_trained_nor_in_training_mode():
    model = DiNAT(**SMALL, frozen_stages=2).train()
    frozen = {
        name
        for name, p in model.named_parameters() if not p.requires_grad
    }
    expected = re.compile(r'patch_embed\.|levels\.[01]\.|norm[01]\.')
    assert frozen == {
        n
        for n, _ in model.named_parameters() if expected.match(n)
    }
    assert not model.levels[1].training and model.levels[2].training


def hugging_face_name(name):
    """Hugging Face's name of a tensor of ours that is not a qkv one."""
    for pattern, repl in [
        (r'^patch_embed\.proj', 'embeddings.patch_embeddings.projection'),
        (r'^patch_embed\.norm', 'embeddings.norm'),
        (r'^levels\.(\d)\.blocks', r'encoder.levels.\1.layers'),
        (r'^levels', 'encoder.levels'),
        (r'^norm(\d)', lambda m: f'hidden_states_norms.stage{int(m[1]) + 1}'),
        (r'\.norm1\.', '.layernorm_before.'),
        (r'\.norm2\.', '.layernorm_after.'),
        (r'\.attn\.rpb', '.attention.self.rpb'),
        (r'\.attn\.proj\.', '.attention.output.dense.'),
        (r'\.mlp\.fc1\.', '.intermediate.dense.'),
        (r'\.mlp\.fc2\.', '.output.dense.'),
    ]:
        name = re.sub(pattern, repl, name)
    return name


def to_hugging_face(state_dict):
    converted = {}
    for name, tensor in state_dict.items():
        if '.attn.qkv.' in name:
            for part, x in zip(('query', 'key', 'value'), tensor.chunk(3)):
                part = f'.attention.self.{part}.'
                converted[hugging_face_name(name).replace('.attn.qkv.',
                                                          part)] = x
        else:
            converted[hugging_face_name(name)] = tensor
    return converted


def attend_as_hugging_face(self, x, output_attentions=False):
    """What their forward means: 4.57 unpacks (B, H, W, C) as (B, L, C)."""
    query, key, value = (
        linear(x).unflatten(-1, (self.num_attention_heads, -1)).permute(
            0, 3, 1, 2, 4) for linear in (self.query, self.key, self.value))
    window = self.kernel_size, self.dilation
    query = query / self.attention_head_size**0.5
    probs = scores_by_loop(query, key, self.rpb, *window).softmax(-1)
    out = attend_by_loop(probs, value, *window)
    return out.permute(0, 2, 3, 1, 4).flatten(3),


@pytest.mark.parametrize('size', [(96, 128), (90, 70)])
def test_maps_are_those_of_hugging_face(monkeypatch, size):
    pytest.importorskip('transformers', reason='transformers is not here')
    from transformers import DinatConfig
    from transformers.models.dinat import modeling_dinat
    monkeypatch.setattr(modeling_dinat, 'requires_backends', lambda *_: None)
    monkeypatch.setattr(modeling_dinat.NeighborhoodAttention, 'forward',
                        attend_as_hugging_face)
    config = DinatConfig(
        embed_dim=24,
        depths=[1, 2, 2, 1],
        num_heads=[2, 3, 4, 6],
        kernel_size=5,
        dilations=[[1], [1, 3], [1, 2], [1]],
        mlp_ratio=2.,
        layer_scale_init_value=0.,
        out_features=['stage1', 'stage2', 'stage3', 'stage4'])
    ours = randomize(DiNAT(**SMALL))
    theirs = modeling_dinat.DinatBackbone(config).eval()
    theirs.load_state_dict(to_hugging_face(ours.state_dict()))
    x = torch.randn(2, 3, *size)
    with torch.no_grad():
        expected = theirs(x).feature_maps
        for got, want in zip(ours(x), expected, strict=True):
            torch.testing.assert_close(got, want, rtol=1e-5, atol=1e-5)
