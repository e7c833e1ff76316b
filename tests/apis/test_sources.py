"""Inputs: files, folders, patterns and videos."""
import cv2
import numpy as np
import pytest

from projects.oneformer.apis.sources import (count_frames, find_files,
                                             read_frames)


def write_video(path, num_frames=6):
    """Frames of one gray each, 6 lighter than the one before."""
    writer = cv2.VideoWriter(
        str(path), cv2.VideoWriter_fourcc(*'MJPG'), 5, (64, 48))
    for number in range(num_frames):
        writer.write(np.full((48, 64, 3), 6 * number, np.uint8))
    writer.release()
    return path


@pytest.fixture
def tree(tmp_path):
    for name in ('a/2.jpg', 'a/1.PNG', 'a/notes.txt', 'a/deep/3.jpg',
                 'a/clip.mp4', 'b/1.png', 'empty/sub/4.jpg', 'out/1.jpg'):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    return tmp_path


def names(tree, *inputs):
    files, errors = find_files([str(tree / text) for text in inputs],
                               tree / 'out')
    return [str(path.relative_to(tree)) for path in files], errors


@pytest.mark.parametrize('inputs, expected', [
    (['b/1.png', 'a/notes.txt'], ['b/1.png', 'a/notes.txt']),
    (['a'], ['a/1.PNG', 'a/2.jpg', 'a/clip.mp4']),
    (['a/*'], ['a/1.PNG', 'a/2.jpg', 'a/clip.mp4']),
    (['**/1.*'], ['a/1.PNG', 'b/1.png']),
    (['[ab]/?.png', 'b'], ['b/1.png']),
    (['a/**/3.jpg', 'a/deep'], ['a/deep/3.jpg']),
])
def test_files(tree, inputs, expected):
    assert names(tree, *inputs) == (expected, [])


@pytest.mark.parametrize('text, message', [
    ('none.jpg', 'none.jpg does not exist'),
    ('empty', 'empty has no image or video'),
    ('a/*.bmp', 'no image or video matches '),
])
def test_inputs_without_files(tree, text, message):
    files, (error, ) = names(tree, text, 'b')
    assert files == ['b/1.png'] and message in error


def test_pattern_characters_in_a_name(tree):
    (tree / 'b/[x].jpg').touch()
    assert names(tree, 'b/[x].jpg') == (['b/[x].jpg'], [])


def test_frames(tmp_path):
    path = write_video(tmp_path / 'clip.avi')
    assert count_frames(path) == 6
    frames = list(read_frames(path))
    assert [number for number, _ in frames] == list(range(6))
    for number, decode in read_frames(path):
        if number % 2:  # those between are not decoded
            image = decode()
            assert image.shape == (48, 64, 3)
            assert abs(image.mean() - 6 * number) < 3


@pytest.mark.parametrize('content', [b'', b'x' * 2000])
def test_no_video(tmp_path, content, capfd):
    path = tmp_path / 'clip.mp4'
    path.write_bytes(content)
    assert count_frames(path) == 0
    with pytest.raises(ValueError, match='clip.mp4 cannot be decoded'):
        list(read_frames(path))
    assert capfd.readouterr().err == ''


def test_video_that_is_cut_off(tmp_path):
    path = write_video(tmp_path / 'clip.avi', 40)
    content = path.read_bytes()
    path.write_bytes(content[:len(content) // 2])
    numbers = []
    with pytest.raises(ValueError, match='beyond frame .* of 40'):
        for number, decode in read_frames(path):
            decode()
            numbers.append(number)
    assert 5 < len(numbers) < 35
