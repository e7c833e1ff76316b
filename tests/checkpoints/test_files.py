"""Files are read without running their code, and written whole."""
import json
import os
import pickle

import numpy as np
import pytest
import torch
from mmengine.logging import MessageHub

from projects.oneformer.checkpoints import (CheckpointError, fingerprint,
                                            read_huggingface, read_pickle,
                                            tensors_of, write_huggingface,
                                            write_torch)
from projects.oneformer.checkpoints.files import complete_or_absent


class Trap:
    """Leaves a file behind when it is unpickled."""

    def __init__(self, path):
        self.path = str(path)

    def __reduce__(self):
        return open, (self.path, 'w')


def tensors():
    return dict(
        weight=torch.randn(3, 4),
        half=torch.randn(5).bfloat16(),
        count=torch.tensor(7))


@pytest.mark.parametrize('zipped', [True, False])
def test_torch_files_are_read_without_running_their_code(tmp_path, zipped):
    trap = tmp_path / 'trap'
    content = dict(
        model=tensors(),
        parameter=torch.nn.Parameter(torch.ones(2)),
        optimizer=Trap(trap),
        scale=np.float64(0.5))
    torch.save(
        content, tmp_path / 'x.pth', _use_new_zipfile_serialization=zipped)
    read = read_pickle(tmp_path / 'x.pth')
    assert not trap.exists()
    for name, tensor in content['model'].items():
        assert torch.equal(read['model'][name], tensor)
    assert torch.equal(read['parameter'], torch.ones(2))
    assert read['scale'] == 0.5


@pytest.mark.parametrize('protocol', [2, 4, 5])
def test_pickles_of_arrays_are_read_without_running_their_code(
        tmp_path, protocol):
    trap = tmp_path / 'trap'
    array = np.arange(12.).reshape(3, 4)
    content = dict(
        model=dict(array=array, tensor=torch.arange(3)), other=Trap(trap))
    path = tmp_path / 'x.pkl'
    path.write_bytes(pickle.dumps(content, protocol=protocol))
    read = tensors_of(read_pickle(path), path, 'model')
    assert not trap.exists()
    assert torch.equal(read['array'], torch.from_numpy(array))
    assert torch.equal(read['tensor'], torch.arange(3))


def test_checkpoints_of_mmengine_are_read(tmp_path):
    hub = MessageHub.get_instance('test_checkpoints_of_mmengine_are_read')
    hub.update_scalar('train/loss', 1.5)
    meta = dict(dataset_meta=dict(classes=('a', ), class_order=(0, )))
    torch.save(
        dict(meta=meta, state_dict=tensors(), message_hub=hub.state_dict()),
        tmp_path / 'x.pth')
    read = read_pickle(tmp_path / 'x.pth')
    assert read['meta'] == meta
    assert read['state_dict'].keys() == tensors().keys()


@pytest.mark.parametrize('suffix', ['.pth', '.pkl'])
@pytest.mark.parametrize('left', [0, 0.02, 0.5, 0.99])
def test_a_truncated_file_is_said_to_be_one(tmp_path, suffix, left):
    path = tmp_path / f'x{suffix}'
    arrays = {str(i): np.random.rand(50) for i in range(20)}
    write_torch(
        dict(model={
            k: torch.from_numpy(v)
            for k, v in arrays.items()
        }), path)
    data = path.read_bytes()
    path.write_bytes(data[:int(left * len(data))])
    with pytest.raises(CheckpointError, match=f'x{suffix} cannot be read'):
        read_pickle(path)


@pytest.mark.parametrize('content', [b'not a checkpoint\n', b'\x80\x02}.'])
def test_something_else_is_refused(tmp_path, content):
    path = tmp_path / 'x.pth'
    path.write_bytes(content)
    with pytest.raises(CheckpointError, match='x.pth'):
        tensors_of(read_pickle(path), path, 'model')


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match='x.pth does not exist'):
        read_pickle(tmp_path / 'x.pth')


def test_tensors_may_stand_in_an_entry_or_alone():
    expected = tensors()
    assert tensors_of(dict(model=expected), 'x', 'model') == expected
    assert tensors_of(expected, 'x', 'model') == expected
    with pytest.raises(CheckpointError, match='epoch.*expected an entry'):
        tensors_of(dict(epoch=3, **expected), 'x', 'model')


@pytest.mark.parametrize('suffix', ['.pth', '.pkl'])
def test_what_is_written_is_read(tmp_path, suffix):
    content = {
        name: tensor
        for name, tensor in tensors().items() if name != 'half'
    }  # numpy has no bfloat16
    path = tmp_path / f'new/x{suffix}'
    write_torch(dict(model=content), path)
    read = tensors_of(read_pickle(path), path, 'model')
    assert all(torch.equal(read[name], content[name]) for name in content)
    assert os.listdir(path.parent) == [path.name]


def test_a_failure_leaves_what_was_there(tmp_path):
    path = tmp_path / 'x.pth'
    path.write_text('before')
    with pytest.raises(OSError):
        with complete_or_absent(path) as unfinished:
            unfinished.write_text('half')
            raise OSError('disk full')
    assert path.read_text() == 'before'
    assert os.listdir(tmp_path) == ['x.pth']


def test_model_folders(tmp_path):
    pytest.importorskip('safetensors', reason='safetensors is not installed')
    config, expected = dict(model_type='oneformer'), tensors()
    write_huggingface(config, expected, tmp_path / 'model')
    read_config, read = read_huggingface(tmp_path / 'model')
    assert read_config == config
    assert all(torch.equal(read[name], expected[name]) for name in expected)
    with pytest.raises(FileExistsError, match='choose another folder'):
        write_huggingface(config, expected, tmp_path / 'model')
    assert os.listdir(tmp_path) == ['model']


def test_model_folder_in_several_files(tmp_path):
    names = list(tensors())
    index = dict(weight_map={})
    for i, name in enumerate(names):
        file = f'pytorch_model-{i}.bin'
        torch.save({name: tensors()[name]}, tmp_path / file)
        index['weight_map'][name] = file
    (tmp_path / 'config.json').write_text('{}')
    (tmp_path / 'pytorch_model.bin.index.json').write_text(json.dumps(index))
    assert read_huggingface(tmp_path)[1].keys() == set(names)
    assert len(fingerprint(tmp_path)) == 64


def test_model_folders_must_be_complete(tmp_path):
    with pytest.raises(FileNotFoundError, match='has no config.json'):
        read_huggingface(tmp_path)
    (tmp_path / 'config.json').write_text('{"model_type": ')
    with pytest.raises(CheckpointError, match='config.json is no JSON'):
        read_huggingface(tmp_path)
    (tmp_path / 'config.json').write_text('{}')
    with pytest.raises(FileNotFoundError, match='neither model.safetensors'):
        read_huggingface(tmp_path)
    with pytest.raises(FileNotFoundError, match='does not exist'):
        read_huggingface(tmp_path / 'absent')


def test_a_truncated_safetensors_file_is_said_to_be_one(tmp_path):
    pytest.importorskip('safetensors', reason='safetensors is not installed')
    write_huggingface({}, tensors(), tmp_path / 'model')
    path = tmp_path / 'model/model.safetensors'
    path.write_bytes(path.read_bytes()[:-9])
    with pytest.raises(CheckpointError, match='safetensors cannot be read'):
        read_huggingface(tmp_path / 'model')
