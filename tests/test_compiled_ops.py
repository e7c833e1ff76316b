"""mmcv without, with broken and with working compiled operators."""
import subprocess
import sys
from importlib.machinery import EXTENSION_SUFFIXES

import pytest
import torch
from mmcv.ops import MultiScaleDeformableAttention, multi_scale_deform_attn

from projects.oneformer.compiled_ops import PyTorchDeformableAttention

# What holds wherever the placeholder stands.
PLACEHOLDER = '''
import importlib.util
import torch
from mmcv.ops import multi_scale_deform_attn, nms
from mmcv.utils.env import collect_env
from mmcv.utils.ext_loader import check_ops_exist
from projects.oneformer.compiled_ops import (PyTorchDeformableAttention,
                                             install_placeholder)

assert install_placeholder()
assert importlib.util.find_spec('mmcv._ext').loader is None
assert not check_ops_exist()
assert collect_env()['MMCV Compiler'] == 'not compiled'
assert multi_scale_deform_attn.MultiScaleDeformableAttnFunction is \\
    PyTorchDeformableAttention
try:
    nms(torch.rand(3, 4), torch.rand(3), 0.5)
except RuntimeError as error:
    print(error)
'''


def run_fresh(root, code):
    """Run code in a new interpreter in the root; return (stdout, stderr)."""
    done = subprocess.run([sys.executable, '-c', code],
                          cwd=root,
                          capture_output=True,
                          text=True,
                          timeout=300)
    assert done.returncode == 0, done.stderr
    return done.stdout, done.stderr


def test_missing_binary(root):
    """The package imports quietly, then all of OpenMMLab that we use does."""
    out, err = run_fresh(
        root, f'''
import sys
sys.modules['mmcv._ext'] = None  # as if not there
import projects.oneformer
print('quiet', file=sys.stderr)
{PLACEHOLDER}
import mmdet.models, mmseg.models, mmpretrain.models
from mmdet.apis import DetInferencer, init_detector
''')
    assert err.startswith('quiet')
    assert out.startswith("mmcv's operator 'nms' is not there")
    assert '--no-build-isolation' in out


def test_broken_binary(root, tmp_path):
    """A file that is no loadable library counts as missing, and is named."""
    (tmp_path / f'_ext{EXTENSION_SUFFIXES[0]}').write_bytes(b'\x7fELF')
    out, _ = run_fresh(
        root, f'''
import mmcv
mmcv.__path__.insert(0, {str(tmp_path)!r})
import projects.oneformer
{PLACEHOLDER}''')
    assert str(tmp_path) in out


def test_working_binary_is_left_alone(root, tmp_path):
    (tmp_path / '_ext.py').write_text('''
def __getattr__(name):
    if name.startswith('__'):
        raise AttributeError(name)
    return lambda *args, **kwargs: f'compiled {name}'
''')
    out, _ = run_fresh(
        root, f'''
import mmcv
mmcv.__path__.insert(0, {str(tmp_path)!r})
import projects.oneformer
from mmcv.ops import multi_scale_deform_attn
from projects.oneformer.compiled_ops import install_placeholder
assert not install_placeholder()
function = multi_scale_deform_attn.MultiScaleDeformableAttnFunction
assert function.__module__ == 'mmcv.ops.multi_scale_deform_attn'
print(multi_scale_deform_attn.ext_module.ms_deform_attn_forward())
''')
    assert out == 'compiled ms_deform_attn_forward\n'


class OnGPU(torch.Tensor):
    """A tensor in main memory that says it is on a GPU."""
    is_cuda = property(lambda self: True)


@pytest.fixture
def attention():
    """Deformable attention over two levels and its inputs, 2 images."""
    module = MultiScaleDeformableAttention(
        embed_dims=16, num_heads=2, num_levels=2, dropout=0., batch_first=True)
    for parameter in module.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    shapes = torch.tensor([[4, 6], [2, 3]])
    inputs = dict(
        value=torch.randn(2, 30, 16),
        reference_points=torch.rand(2, 5, 2, 2),
        spatial_shapes=shapes,
        level_start_index=torch.tensor([0, 24]))
    return module, torch.randn(2, 5, 16), inputs


def test_deformable_attention_on_a_gpu_runs_in_pytorch(attention, monkeypatch):
    """Output and gradients are those on the CPU, through the GPU branch."""
    module, query, inputs = attention
    weight = module.sampling_offsets.weight
    expected = module(query, **inputs)
    expected_grad, = torch.autograd.grad(expected.square().sum(), weight)

    calls = []

    class Counted(PyTorchDeformableAttention):

        @staticmethod
        def apply(*args):
            calls.append(args)
            return PyTorchDeformableAttention.apply(*args)

    monkeypatch.setattr(multi_scale_deform_attn,
                        'MultiScaleDeformableAttnFunction', Counted)
    monkeypatch.setattr(multi_scale_deform_attn, 'IS_CUDA_AVAILABLE', True)
    inputs['value'] = inputs['value'].as_subclass(OnGPU)
    output = module(query, **inputs)
    assert len(calls) == 1
    torch.testing.assert_close(output.as_subclass(torch.Tensor), expected)
    grad, = torch.autograd.grad(output.square().sum(), weight)
    torch.testing.assert_close(grad.as_subclass(torch.Tensor), expected_grad)


def test_half_precision_values_keep_exact_locations():
    """Locations are not rounded to half precision along with the values."""
    shapes = torch.tensor([[64, 64]])
    value = torch.rand(1, 64 * 64, 1, 4)
    locations = torch.rand(1, 50, 1, 1, 4, 2)
    weights = torch.full((1, 50, 1, 1, 4), 0.25)
    args = shapes, torch.tensor([0]), locations
    exact = PyTorchDeformableAttention.apply(value, *args, weights, 64)
    half = PyTorchDeformableAttention.apply(value.half(), *args,
                                            weights.half(), 64)
    assert half.dtype == torch.float16
    # what remains is the rounding of values in [0, 1]: 2^-11 at most, twice
    torch.testing.assert_close(half.float(), exact, rtol=0, atol=2**-10)
