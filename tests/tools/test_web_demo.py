"""The web page, by its address and in a real browser."""
import json
import os
import re
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
import zipfile
from importlib.util import module_from_spec, spec_from_file_location
from pathlib import Path

import cv2
import numpy as np
import pytest

from tests.apis.conftest import model_files, random_image  # noqa: F401

TOOL = Path(__file__).parents[2] / 'tools/web_demo.py'
TASKS = ('panoptic', 'instance', 'semantic')
MAX_UPLOAD_MB = 1
#: Seconds for what takes ten on an idle machine.
PATIENCE = 120


def free_port():
    with socket.socket() as some:
        some.bind(('127.0.0.1', 0))
        return some.getsockname()[1]


def wait_for(condition):
    """Wait until a function returns something, and return that."""
    end = time.monotonic() + PATIENCE
    while not (found := condition()):
        assert time.monotonic() < end, f'{condition} has not come true'
        time.sleep(0.1)
    return found


@pytest.fixture(scope='module')
def server(model_files, tmp_path_factory):  # noqa: F811
    """The running page: its address, process and folder of files."""
    pytest.importorskip('gradio')
    folder = tmp_path_factory.mktemp('server')
    temporary = folder / 'tmp'
    temporary.mkdir()
    command = [
        sys.executable, TOOL, *model_files, '--port',
        free_port(), '--max-upload-mb', MAX_UPLOAD_MB, '--score-thr', 0,
        '--device', 'cpu'
    ]
    environment = dict(os.environ, OMP_NUM_THREADS='1', TMPDIR=str(temporary))
    with open(folder / 'output', 'w') as output:
        process = subprocess.Popen(
            list(map(str, command)),
            env=environment,
            stdout=output,
            stderr=subprocess.STDOUT)

    def address():
        assert process.poll() is None, (folder / 'output').read_text()
        return re.search(r'page: (http://\S+)',
                         (folder / 'output').read_text())

    try:
        yield wait_for(address).group(1), process, temporary
        process.send_signal(signal.SIGTERM)
        # it ends as asked, and leaves nothing behind
        assert process.wait(PATIENCE) == 0, (folder / 'output').read_text()
        assert list(temporary.glob('oneformer_*')) == []
        assert 'Traceback' not in (folder / 'output').read_text()
    finally:
        process.kill()


def listening(process):
    """The addresses at which a process listens, as /proc writes them."""
    inodes = {
        os.readlink(link).removeprefix('socket:[').removesuffix(']')
        for link in Path(f'/proc/{process.pid}/fd').iterdir()
        if os.readlink(link).startswith('socket:')
    }
    lines = [
        line.split() for name in ('tcp', 'tcp6') for line in Path(
            f'/proc/{process.pid}/net/{name}').read_text().splitlines()[1:]
    ]
    return [line[1] for line in lines if line[3] == '0A' and line[9] in inodes]


@pytest.mark.skipif(not Path('/proc/net/tcp').exists(), reason='needs /proc')
def test_it_listens_on_this_machine_alone(server):
    address, process, _ = server
    port = int(address.strip('/').rsplit(':', 1)[1])
    assert listening(process) == [f'0100007F:{port:04X}']


def test_the_browser_is_told_to_call_no_other_host(server):
    with urllib.request.urlopen(server[0]) as answer:
        policy = answer.headers['Content-Security-Policy']
    assert policy.startswith("default-src 'self' ")
    assert 'http' not in policy and '*' not in policy


def test_large_uploads_are_refused(server):
    content = b'x' * (MAX_UPLOAD_MB * 2**20 + 10000)
    body = (b'--part\r\nContent-Disposition: form-data; name="files"; '
            b'filename="a.png"\r\n\r\n' + content + b'\r\n--part--\r\n')
    request = urllib.request.Request(
        f'{server[0]}gradio_api/upload', body,
        {'Content-Type': 'multipart/form-data; boundary=part'})
    with pytest.raises(urllib.error.HTTPError) as caught:
        urllib.request.urlopen(request)
    assert caught.value.code == 413


@pytest.fixture(scope='module')
def browser(tmp_path_factory):
    """Chromium without a window, and the folder of its downloads."""
    webdriver = pytest.importorskip('selenium.webdriver')
    binary, driver = shutil.which('chromium'), shutil.which('chromedriver')
    if not binary or not driver:
        pytest.skip('needs chromium and chromedriver')
    folder = tmp_path_factory.mktemp('browser')
    options = webdriver.ChromeOptions()
    options.binary_location = binary
    for flag in ('headless', 'no-sandbox', 'disable-gpu', 'disable-quic',
                 'no-first-run', 'disable-background-networking',
                 'disable-component-update', 'disable-sync',
                 'disable-dev-shm-usage', 'window-size=1400,1000',
                 f'user-data-dir={folder / "profile"}'):
        options.add_argument(f'--{flag}')
    options.add_experimental_option(
        'prefs', {'download.default_directory': str(folder / 'downloads')})
    options.set_capability('goog:loggingPrefs', {'performance': 'ALL'})
    service = webdriver.chrome.service.Service(driver)
    running = webdriver.Chrome(options=options, service=service)
    yield running, folder / 'downloads'
    running.quit()


class Visit:
    """A visit of the page, as a person sees it."""

    def __init__(self, browser, address):
        self.browser, self.downloads = browser
        self.browser.get(address)

    def find(self, selector):
        return wait_for(
            lambda: self.browser.find_elements('css selector', selector))[0]

    def upload(self, path):
        self.find('#upload input[type=file]').send_keys(str(path))

    def choose(self, view):
        self.find(f'#view input[value={view}]').click()

    def picture(self, view):
        """The pixels of the picture, once it is that of a view."""
        folder = 'sheet' if view == 'compare' else f'overlay-{view}'
        source = self.find(f'#picture img[src*="/{folder}/"]').get_attribute(
            'src')
        with urllib.request.urlopen(source) as answer:
            content = np.frombuffer(answer.read(), np.uint8)
        return cv2.imdecode(content, cv2.IMREAD_COLOR)

    def legend(self):
        return self.find('#legend').text

    def message(self):
        return wait_for(lambda: self.find('.toast-body').text)

    def download(self, name):
        """Download and return a file."""
        known = set(self.downloads.glob('*'))
        self.find(f'#download-{name}:not([disabled])').click()
        return wait_for(lambda: next(
            (path for path in set(self.downloads.glob('*')) - known
             if path.suffix not in
             ('.crdownload', '.tmp') and not path.name.startswith('.')), None))

    def requests(self):
        """All addresses that pages have asked for so far."""
        logs = [
            json.loads(entry['message'])['message']
            for entry in self.browser.get_log('performance')
        ]
        return [
            log['params']['request']['url'] for log in logs
            if log['method'] == 'Network.requestWillBeSent'
        ]


@pytest.fixture
def visit(server, browser):
    return Visit(browser, server[0])


@pytest.fixture
def images(tmp_path):
    """Paths of two images of different sizes."""
    paths = [tmp_path / 'first.png', tmp_path / 'second.png']
    for seed, path in enumerate(paths):
        cv2.imwrite(str(path), random_image(60, 80 + 20 * seed, seed))
    return paths


def test_a_visit(visit, images, server):
    visit.upload(images[0])
    pictures = {}
    for task in TASKS:
        visit.choose(task)
        pictures[task] = visit.picture(task)
        assert pictures[task].shape == (60, 80, 3)
        assert 'Class' in visit.legend() and '%' in visit.legend()
    assert len({picture.tobytes() for picture in pictures.values()}) == 3
    visit.choose('compare')
    assert visit.picture('compare').shape[1] > 3 * 480
    with zipfile.ZipFile(visit.download('everything')) as archive:
        assert 'panoptic/first.png' in archive.namelist()
    assert 'annotations' in json.loads(visit.download('instance').read_text())
    semantic = cv2.imread(str(visit.download('semantic')))
    assert semantic.shape == (60, 80, 3)

    # another image takes the place of the first one everywhere
    visit.find('#upload button[aria-label="Remove Image"]').click()
    wait_for(lambda: not visit.browser.find_elements('css selector',
                                                     '#picture img'))
    visit.choose('panoptic')
    visit.upload(images[1])
    assert visit.picture('panoptic').shape == (60, 100, 3)
    with zipfile.ZipFile(visit.download('panoptic')) as archive:
        assert 'panoptic/second.png' in archive.namelist()

    # nothing but the page itself was asked for
    outside = [
        url for url in visit.requests()
        if url.startswith(('http', 'ws')) and not url.startswith(server[0])
    ]
    assert outside == []


@pytest.mark.parametrize('name, content, message', [
    ('broken.png', b'no image', 'broken.png is no image'),
    ('notes.txt', b'no image', 'notes.txt'),
    ('large.png', b'x' * (MAX_UPLOAD_MB * 2**20 + 1), 'maximum allowed size'),
    ('<i>name<i>.png', b'no image', '<i>name<i>.png is no image'),
])  # yapf: disable
def test_what_is_no_image_is_told(visit, tmp_path, images, name, content,
                                  message):
    path = tmp_path / name
    path.write_bytes(content)
    visit.upload(path)
    assert message in visit.message()
    assert not visit.browser.find_elements('css selector', '#picture img')


def test_a_visitor_who_leaves_leaves_nothing(visit, images, server):
    visit.upload(images[0])
    visit.picture('panoptic')

    def answers():
        return list(server[2].glob('oneformer_*/*/overlay-panoptic'))

    assert answers()
    visit.browser.get('about:blank')
    wait_for(lambda: not answers())


def load_tool():
    spec = spec_from_file_location('web_demo', TOOL)
    tool = module_from_spec(spec)
    spec.loader.exec_module(tool)
    return tool


@pytest.mark.parametrize('arguments, message', [
    (('none.py', 'none.pth'), 'none.py is neither a config file'),
    (('{config}', 'none.pth'), 'none.pth'),
    (('{config}', '{weights}', '--port', '70000'), '--port is 70000'),
    (('{config}', '{weights}', '--max-upload-mb', '0'), 'at least 1'),
])  # yapf: disable
def test_wrong_arguments_are_named(
        model_files,  # noqa: F811
        monkeypatch,
        capsys,
        arguments,
        message):
    monkeypatch.setattr('importlib.util.find_spec', lambda name: True)
    config, weights = model_files
    assert stops(
        monkeypatch, capsys,
        [text.format(config=config, weights=weights)
         for text in arguments]).count(message) == 1


def test_gradio_may_be_missing(model_files, monkeypatch, capsys):  # noqa: F811
    monkeypatch.setattr('importlib.util.find_spec', lambda name: None)
    assert "pip install '.[web]'" in stops(monkeypatch, capsys, model_files)


def test_a_port_that_is_taken(model_files, monkeypatch, capsys):  # noqa: F811
    pytest.importorskip('gradio')
    with socket.socket() as some:
        some.bind(('127.0.0.1', 0))
        some.listen()
        port = str(some.getsockname()[1])
        assert port in stops(monkeypatch, capsys,
                             [*model_files, '--port', port])


def stops(monkeypatch, capsys, arguments):
    """The last line of a run that does not get far."""
    tool = load_tool()
    monkeypatch.setattr('sys.argv', [TOOL.name, *arguments])
    for name in ('GRADIO_ANALYTICS_ENABLED', 'GRADIO_TEMP_DIR'):
        monkeypatch.setenv(name, '')  # put back after the test
    monkeypatch.setattr('signal.signal', lambda *_: None)
    with pytest.raises(SystemExit) as stopped:
        tool.main()
    assert stopped.value.code == 2
    last = capsys.readouterr().err.splitlines()[-1]
    assert last.startswith('web_demo.py: error: ')
    return last
