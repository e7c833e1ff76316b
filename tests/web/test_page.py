"""What the page does when something is uploaded or chosen."""
import threading
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
from PIL import Image

from projects.oneformer.web.answer import VIEWS, answer_image
from tests.apis.conftest import random_image

gr = pytest.importorskip('gradio')


@pytest.fixture
def page(inferencer, tmp_path):
    from projects.oneformer.web.page import Page
    folder = tmp_path / 'page'
    folder.mkdir()
    return Page(inferencer, folder, score_thr=0.)


def visitor(name):
    return SimpleNamespace(session_hash=name)


def upload(path, name=None):
    return dict(path=str(path), orig_name=name or Path(path).name)


def test_each_view_is_shown(page, image_file):
    answer = page.answer(upload(image_file), visitor('a'))
    for view in VIEWS:
        picture, legend, *files = page.show(view, image_file, answer)
        assert picture == answer.pictures[view]
        assert legend == answer.legends[view]
        assert [file['value'] for file in files] == list(answer.files.values())


def test_nothing_is_shown_beside_another_image(page, image_file):
    answer = page.answer(upload(image_file), visitor('a'))
    for current, shown in (('other.png', answer), (None, answer), (image_file,
                                                                   None)):
        picture, legend, *files = page.show('panoptic', current, shown)
        assert picture is None and legend == ''
        assert all(file['value'] is None and not file['interactive']
                   for file in files)
    current, answer, picture, *_ = page.begin(upload('new.png'))
    assert (current, answer, picture) == ('new.png', None, None)
    assert page.begin(None)[0] is None
    assert page.answer(None, visitor('a')) is None


def test_answers_are_deleted_when_they_are_not_needed(page, image_file):
    for name in ('a', 'b', 'a'):
        page.answer(upload(image_file), visitor(name))
        assert all(
            Path(path).is_file() for path in page.answer(
                upload(image_file), visitor(name)).pictures.values())
    assert len(list(page.folder.iterdir())) == 2
    for name in ('a', 'b', 'a', 'never seen'):
        page.forget(visitor(name))
    assert list(page.folder.iterdir()) == []


def test_answers_that_nobody_waits_for_are_deleted(page, image_file):
    inferencer = page.inferencer

    class Slow:

        def __call__(self, *args, **kwargs):
            page.forget(visitor('a'))
            return inferencer(*args, **kwargs)

        def __getattr__(self, name):
            return getattr(inferencer, name)

    page.inferencer = Slow()
    page.answer(upload(image_file), visitor('a'))
    assert list(page.folder.iterdir()) == []


def test_errors_are_told_as_text(page, tmp_path):
    path = tmp_path / 'upload'
    path.write_text('no image')
    with pytest.raises(gr.Error) as caught:
        page.answer(upload(path, '<b>.png'), visitor('a'))
    assert '&lt;b&gt;.png is no image' in caught.value.message


def test_visitors_do_not_get_the_answers_of_others(page, inferencer, tmp_path):
    paths, expected = [], []
    for seed in range(4):
        path = tmp_path / f'{seed}/image.png'
        path.parent.mkdir()
        cv2.imwrite(str(path), random_image(40 + 8 * seed, 64, seed))
        folder = path.parent / 'answer'
        folder.mkdir()
        paths.append(path)
        expected.append(
            answer_image(inferencer, str(path), folder, score_thr=0.))
    found = {}

    def visit(index):
        for _ in range(2):
            found[index] = page.answer(
                upload(paths[index]), visitor(str(index)))

    threads = [threading.Thread(target=visit, args=(i, )) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for index, answer in found.items():
        assert answer.source == str(paths[index])
        assert answer.legends == expected[index].legends
        for name in ('semantic', 'panoptic'):
            assert np.array_equal(*(np.array(Image.open(some.pictures[name]))
                                    for some in (answer, expected[index])))
    assert len({answer.legends['instance'] for answer in expected}) == 4


def test_gradio_reports_nothing_to_its_makers(page):
    from projects.oneformer.web.page import build
    blocks = build(page, 'model', max_upload_mb=1)
    assert blocks.analytics_enabled is False
    blocks.close()
