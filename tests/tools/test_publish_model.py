"""What publish_model.py leaves out, keeps and refuses."""
import hashlib
import sys

import pytest
import torch
from mmengine.logging import MessageHub
from mmengine.runner.checkpoint import load_checkpoint

from projects.oneformer.tasks import TASKS
from tests.models import tiny


@pytest.fixture
def publish(root, monkeypatch, capsys):
    """Run the tool; what it printed, or its error where it failed."""
    monkeypatch.syspath_prepend(str(root / 'tools/model_converters'))

    def run(*arguments):
        monkeypatch.setattr(sys, 'argv',
                            ['publish_model.py', *map(str, arguments)])
        import publish_model
        try:
            publish_model.run(publish_model.main)
        except SystemExit as end:
            assert end.code == 2
            return capsys.readouterr().err
        return capsys.readouterr().out

    return run


@pytest.fixture
def trained(tmp_path):
    """A model and a checkpoint of its training."""
    model = tiny.build()
    optimizer = torch.optim.AdamW(model.parameters())
    for parameter in model.parameters():
        parameter.grad = torch.zeros_like(parameter)
    optimizer.step()
    torch.save(
        dict(
            meta=dict(
                cfg='model = dict()',
                iter=7,
                hook_msgs=dict(last_ckpt='/somewhere/else'),
                dataset_meta=dict(classes=tiny.CLASSES)),
            state_dict=model.state_dict(),
            optimizer=optimizer.state_dict(),
            message_hub=MessageHub('run').state_dict()),
        tmp_path / 'iter_7.pth')
    return model, tmp_path / 'iter_7.pth'


def published(folder):
    path, = (p for p in folder.iterdir() if p.name.startswith('tiny'))
    return path


@torch.no_grad()
def answer(model):
    """All three answers of a model."""
    sample = tiny.sample('panoptic')
    sample.set_metainfo(dict(task=TASKS))
    return model.predict(*tiny.batch(sample))[0]


def test_results_are_the_same_and_the_file_is_small(publish, trained,
                                                    tmp_path):
    model, source = trained
    printed = publish(source, tmp_path / 'tiny.pth')
    path = published(tmp_path)
    assert path.stat().st_size < source.stat().st_size / 3
    sizes = [file.stat().st_size / 2**20 for file in (path, source)]
    assert printed == (f'{path}: {sizes[0]:.1f} MiB, {source} had '
                       f'{sizes[1]:.1f} MiB\n')
    other = tiny.build(seed=1)
    load_checkpoint(other, str(path), strict=True)
    expected, found = (answer(m) for m in (model, other))
    assert torch.equal(found.pred_sem_seg.sem_seg,
                       expected.pred_sem_seg.sem_seg)
    assert torch.equal(found.pred_instances.scores,
                       expected.pred_instances.scores)
    assert torch.equal(found.pred_panoptic_seg.sem_seg,
                       expected.pred_panoptic_seg.sem_seg)


def test_what_is_kept(publish, trained, tmp_path):
    publish(trained[1], tmp_path / 'tiny.pth')
    path = published(tmp_path)
    checkpoint = torch.load(path, weights_only=True)
    assert checkpoint['meta'] == dict(
        cfg='model = dict()', iter=7, dataset_meta=dict(classes=tiny.CLASSES))
    assert checkpoint.keys() == {'meta', 'state_dict'}
    left_out = trained[0].state_dict().keys() - checkpoint['state_dict'].keys()
    assert left_out
    assert all('text_mapper' in name or 'loss_contrastive' in name
               for name in left_out)


def test_the_name_holds_the_hash(publish, trained, tmp_path):
    """And is the same the next time."""
    publish(trained[1], tmp_path / 'tiny.pth')
    path = published(tmp_path)
    digits = hashlib.sha256(path.read_bytes()).hexdigest()[:8]
    assert path.name == f'tiny-{digits}.pth'
    publish(trained[1], tmp_path / 'tiny.pth')
    assert sorted(tmp_path.iterdir()) == [trained[1], path]


def test_what_is_refused(publish, trained, tmp_path):
    source = trained[1]
    assert 'x.txt must end in .pth' in publish(source, tmp_path / 'x.txt')
    assert 'nothing.pth does not exist' in publish(tmp_path / 'nothing.pth',
                                                   tmp_path / 'x.pth')
    broken = tmp_path / 'broken.pth'
    broken.write_bytes(source.read_bytes()[:1000])
    error = publish(broken, tmp_path / 'x.pth')
    assert 'broken.pth cannot be read' in error and error.count('\n') == 1
    assert sorted(tmp_path.iterdir()) == [broken, source]
