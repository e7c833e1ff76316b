"""A folder of results that is valid whenever work on it ends."""
import errno
import json
from pathlib import Path

import pytest

from projects.oneformer.apis import OutputError, ResultFolder
from tests.apis.conftest import DATASET_META


def make(path, **settings):
    return ResultFolder(path, settings, DATASET_META)


@pytest.fixture
def sources(tmp_path):
    """Three images of one name, and another."""
    paths = []
    for name in ('a/1.jpg', 'b/1.jpg', 'c/b/1.jpg', 'a/1.png', 'a/x.jpg'):
        path = tmp_path / 'images' / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        paths.append(path)
    return paths


def add(folder, source, frame=None, product='semantic', content=b'png'):
    record = folder.record(source, frame)
    record.height, record.width = 6, 8
    folder.add(record, {folder.path(record, product): content}, [product])
    return record


def files(folder):
    return sorted(
        str(path.relative_to(folder)) for path in folder.rglob('*')
        if path.is_file())


class TestNames:

    def test_no_two_sources_share_a_name(self, tmp_path, sources):
        folder = make(tmp_path / 'out')
        names = [folder.record(source).name for source in sources]
        assert names == ['1', 'b_1', 'b_1_2', 'a_1', 'x']

    def test_names_stay_whatever_comes_later(self, tmp_path, sources):
        folder = make(tmp_path / 'out')
        names = [add(folder, source).name for source in reversed(sources)]
        again = make(tmp_path / 'out')
        assert [again.record(source).name for source in sources] == names[::-1]

    def test_frames(self, tmp_path, sources):
        folder = make(tmp_path / 'out')
        record = folder.record(sources[1], 12)
        assert record.name == '1/000012'
        assert record.file_name == '1/000012.jpg'
        assert folder.path(record,
                           'coco-panoptic') == Path('panoptic/1/000012.json')
        assert folder.record(sources[0]).name == 'a_1'


class TestProgress:

    def test_what_is_done_is_known_to_the_next_run(self, tmp_path, sources):
        folder = make(tmp_path / 'out')
        add(folder, sources[0])
        again = make(tmp_path / 'out')
        wanted = ['semantic', 'sheet']
        record = again.record(sources[0])
        assert (record.height, record.width) == (6, 8)
        assert again.missing(record, wanted) == ['sheet']
        assert again.missing(again.record(sources[1]), wanted) == wanted
        (tmp_path / 'out/semantic/1.png').unlink()
        assert again.missing(record, wanted) == wanted

    def test_a_changed_image_is_new(self, tmp_path, sources):
        folder = make(tmp_path / 'out')
        add(folder, sources[0])
        sources[0].unlink()
        sources[0].write_text('other')
        again = make(tmp_path / 'out')
        record = again.record(sources[0])
        assert record.name == '1' and record.products == []

    def test_products_add_up(self, tmp_path, sources):
        folder = make(tmp_path / 'out')
        add(folder, sources[0])
        add(folder, sources[0], product='sheet')
        record = make(tmp_path / 'out').record(sources[0])
        assert record.products == ['semantic', 'sheet']

    def test_other_settings_are_refused(self, tmp_path):
        make(tmp_path / 'out', checkpoint='a.pth', tasks=('panoptic', ))
        make(tmp_path / 'out', checkpoint='a.pth', tasks=('panoptic', ))
        with pytest.raises(
                ValueError,
                match='out has .*: checkpoint was a.pth and is now b.pth'):
            make(tmp_path / 'out', checkpoint='b.pth', tasks=('panoptic', ))

    def test_what_a_killed_run_leaves_is_passed_over(self, tmp_path, sources):
        folder = make(tmp_path / 'out')
        add(folder, sources[0])
        add(folder, sources[1])
        unfinished = tmp_path / 'out/records/.x.json.abc/x.json'
        unfinished.parent.mkdir()
        unfinished.write_text('{"name":')
        (tmp_path / 'out/records/b_1.json').write_text('{"na')
        assert list(make(tmp_path / 'out').records) == ['1']


class TestWriting:

    def full_disk(self, monkeypatch, ending):
        write = Path.write_bytes

        def fail(path, content):
            if path.name.endswith(ending):
                write(path, content[:2])
                raise OSError(errno.ENOSPC, 'No space left on device')
            return write(path, content)

        monkeypatch.setattr(Path, 'write_bytes', fail)

    def test_a_full_disk_leaves_what_was_there(self, tmp_path, sources,
                                               monkeypatch):
        folder = make(tmp_path / 'out')
        add(folder, sources[0], content=b'first')
        before = files(tmp_path / 'out')
        self.full_disk(monkeypatch, 'png')
        for source in sources[:2]:
            with pytest.raises(
                    OutputError, match='1.png cannot be written: No space'):
                add(folder, source, content=b'second')
        assert files(tmp_path / 'out') == before
        assert (tmp_path / 'out/semantic/1.png').read_bytes() == b'first'
        monkeypatch.undo()
        assert list(make(tmp_path / 'out').records) == ['1']

    def test_no_folder_can_be_made(self, tmp_path):
        (tmp_path / 'file').touch()
        with pytest.raises(OutputError, match='file is a file, not a folder'):
            make(tmp_path / 'file')

    def test_no_permission(self, tmp_path, monkeypatch):

        def fail(*args, **kwargs):
            raise PermissionError(errno.EACCES, 'Permission denied')

        monkeypatch.setattr('tempfile.mkdtemp', fail)
        with pytest.raises(
                OutputError, match='settings.json .*: Permission denied'):
            make(tmp_path)


class TestMerging:

    def add_part(self, folder, source, *annotations):
        return add(
            folder,
            source,
            product='coco-instance',
            content=json.dumps(annotations).encode())

    def merged(self, folder):
        folder.merge(['coco-instance', 'semantic'])
        return json.loads((folder.folder / 'instances.json').read_text())

    def test_images_of_all_runs(self, tmp_path, sources):
        self.add_part(
            make(tmp_path / 'out'), sources[4], dict(category_id=9),
            dict(category_id=3))
        folder = make(tmp_path / 'out')
        self.add_part(folder, sources[0])
        self.add_part(folder, sources[1], dict(category_id=5))
        add(folder, sources[3])  # another product
        merged = self.merged(folder)
        assert merged['images'] == [
            dict(id=1, file_name='1.jpg', height=6, width=8),
            dict(id=3, file_name='b_1.jpg', height=6, width=8),
            dict(id=4, file_name='x.jpg', height=6, width=8),
        ]
        assert merged['annotations'] == [
            dict(id=1, image_id=3, category_id=5),
            dict(id=2, image_id=4, category_id=9),
            dict(id=3, image_id=4, category_id=3),
        ]
        assert [c['name'] for c in merged['categories']
                ] == ['sky', 'brick wall', 'cat', 'dog', 'polar bear']
        assert [c['id'] for c in merged['categories']] == [1, 2, 3, 5, 9]

    def test_numbers_are_ids(self, tmp_path):
        folder = make(tmp_path / 'out')
        for name in ('000000139.jpg', '000000285.jpg'):
            (tmp_path / name).touch()
            self.add_part(folder, tmp_path / name)
        merged = self.merged(folder)
        assert [image['id'] for image in merged['images']] == [139, 285]

    def test_nothing_to_merge(self, tmp_path):
        merged = self.merged(make(tmp_path / 'out'))
        assert merged['images'] == merged['annotations'] == []
