"""The page itself, made with Gradio, and the server that hands it out."""
import os
import shutil
import socket
import tempfile
import threading
from html import escape
from pathlib import Path
from typing import Callable, Dict, Optional

import gradio as gr
from starlette.datastructures import MutableHeaders
from starlette.middleware import Middleware

from ..apis import OneFormerInferencer, OutputError
from ..tasks import TASKS
from .answer import DOWNLOADS, VIEWS, Answer, ImageError, answer_image

#: Browsers that obey it load nothing from other hosts, and send nothing there.
POLICY = ("default-src 'self' data: blob: 'unsafe-inline' 'unsafe-eval'; "
          "frame-ancestors 'self'; form-action 'self'; object-src 'none'")
#: Fonts of the visitor's own system: Gradio's are fetched from other hosts.
FONTS = ('system-ui', 'sans-serif')
CSS = """
footer {display: none !important}
.gradio-container {width: 100%; max-width: 1560px !important; margin: 0 auto}
.gradio-container > .main {width: 100%; max-width: none}
#head h1 {font-size: 1.9rem; margin: 0}
#head p {margin: .2rem 0; color: var(--neutral-500)}
#picture .image-frame {width: 100%}
#picture img {width: 100%; max-height: 78vh; object-fit: contain}
#legend table {width: 100%; border: none; border-collapse: collapse}
#legend th, #legend td {border: none; padding: 5px 12px 5px 0;
  text-align: left; vertical-align: top}
#legend tr {border: none}
#legend tbody tr {border-top: 1px solid var(--border-color-primary)}
#legend tbody th {font-weight: 600}
#legend thead th {font-weight: 400; color: var(--neutral-500)}
#legend .share {text-align: right; white-space: nowrap;
  font-variant-numeric: tabular-nums}
#legend .chip {display: inline-block; min-width: 3em; height: 1.6em;
  line-height: 1.6em; margin: 1px; padding: 0 .4em; border-radius: .35em;
  text-align: center; font-size: .85em; color: #111;
  font-variant-numeric: tabular-nums}
#legend .chip.light-text {color: #fff}
"""


class SecurityPolicy:
    """ASGI middleware that adds `POLICY` to every answer."""

    def __init__(self, app) -> None:
        self.app = app

    async def __call__(self, scope, receive, send) -> None:

        async def send_with_policy(message):
            if message['type'] == 'http.response.start':
                headers = MutableHeaders(scope=message)
                headers['Content-Security-Policy'] = POLICY
                headers['Referrer-Policy'] = 'no-referrer'
            await send(message)

        await self.app(scope, receive, send_with_policy)


class Page:
    """What the page does when something is uploaded or chosen.

    Images are answered one after the other. Each answer has a folder of its
    own, which is deleted with the next answer of the same visitor or when
    the visitor leaves.

    Args:
        inferencer: Answers images.
        folder: Where the folders of the answers stand.
        score_thr: Instances with a lower score are not shown.
    """

    def __init__(self, inferencer: OneFormerInferencer, folder: Path,
                 score_thr: float) -> None:
        self.inferencer = inferencer
        self.folder = folder
        self.score_thr = score_thr
        self._one_at_a_time = threading.Lock()
        self._folders: Dict[str, Path] = {}

    def begin(self, upload: Optional[dict]) -> tuple:
        """Take note of a new image, and clear what was shown."""
        return upload and upload['path'], None, *self.show(None, None, None)

    def answer(self, upload: Optional[dict],
               request: gr.Request) -> Optional[Answer]:
        """Answer all tasks for an upload.

        Args:
            upload: Where Gradio has put the file, and its name; None if it
                was taken away.
            request: Whose it is.
        """
        if not upload:
            return None
        folder = Path(tempfile.mkdtemp(dir=self.folder))
        self.forget(request)
        self._folders[request.session_hash] = folder
        try:
            with self._one_at_a_time:
                return answer_image(self.inferencer, upload['path'], folder,
                                    upload.get('orig_name') or '',
                                    self.score_thr)
        except (ImageError, OutputError) as error:
            # Gradio takes the text for HTML.
            raise gr.Error(escape(str(error)), print_exception=False) from None
        finally:
            if self._folders.get(request.session_hash) != folder:
                shutil.rmtree(folder, ignore_errors=True)  # nobody waits

    def show(self, view: Optional[str], current: Optional[str],
             answer: Optional[Answer]) -> tuple:
        """The picture, the legend and the downloads of a view.

        Args:
            view: One of `VIEWS`.
            current: The image that the visitor sees beside it.
            answer: The last answer; shown if it is that of this image.
        """
        if answer is None or answer.source != current:
            return None, '', *(
                gr.update(value=None, interactive=False) for _ in DOWNLOADS)
        return answer.pictures[view], answer.legends[view], *(
            gr.update(value=answer.files[name], interactive=True)
            for name in DOWNLOADS)

    def forget(self, request: gr.Request) -> None:
        """Delete the last answer of a visitor."""
        folder = self._folders.pop(request.session_hash, None)
        if folder is not None:
            shutil.rmtree(folder, ignore_errors=True)


def build(page: Page, title: str, max_upload_mb: int) -> gr.Blocks:
    """Lay out the page.

    Args:
        page: What it does.
        title: Says which model answers.
        max_upload_mb: Said below the title.
    """
    with gr.Blocks(
            title='OneFormer', analytics_enabled=False,
            delete_cache=(600, 3600)) as blocks:
        gr.Markdown(
            '# OneFormer\nOne model, one look at the image, three answers. '
            f'Model: `{title}`. Images of up to {max_upload_mb} MB.',
            elem_id='head')
        with gr.Row():
            with gr.Column(scale=1, min_width=320):
                image = gr.Image(
                    label='Image',
                    sources=['upload', 'clipboard'],
                    type='filepath',
                    height=300,
                    elem_id='upload')
                legend = gr.HTML(elem_id='legend')
            with gr.Column(scale=3, min_width=320):
                view = gr.Radio([(name.capitalize(), name) for name in VIEWS],
                                value=TASKS[0],
                                label='Task',
                                elem_id='view')
                picture = gr.Image(
                    label='Answer',
                    show_label=False,
                    interactive=False,
                    buttons=['download', 'fullscreen'],
                    elem_id='picture')
                with gr.Row():
                    downloads = [
                        gr.DownloadButton(
                            label,
                            interactive=False,
                            size='sm',
                            min_width=150,
                            elem_id=f'download-{name}')
                        for name, label in DOWNLOADS.items()
                    ]
        current, answer = gr.State(), gr.State()
        shown = [picture, legend, *downloads]
        # Uploads come as they are: Gradio fails on those that are no images.
        image.change(
            page.begin,
            image, [current, answer, *shown],
            preprocess=False,
            queue=False,
            api_visibility='private').then(
                page.answer,
                image,
                answer,
                preprocess=False,
                concurrency_limit=1,
                show_progress_on=picture,
                api_visibility='private').success(
                    page.show, [view, current, answer],
                    shown,
                    queue=False,
                    api_visibility='private')
        view.change(
            page.show, [view, current, answer],
            shown,
            queue=False,
            show_progress='hidden',
            api_visibility='private')
        blocks.unload(page.forget)
    return blocks


def check_address(host: str, port: int) -> None:
    """Check that a server can listen there; Gradio speaks of its own options.

    Raises:
        OSError: If it cannot.
    """
    family = socket.AF_INET6 if ':' in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        raise OSError(f'port {port} of {host} cannot be used: '
                      f'{error.strerror or error}') from None


def serve(inferencer: OneFormerInferencer, title: str, host: str, port: int,
          max_upload_mb: int, score_thr: float,
          when_ready: Callable[[str], None]) -> None:
    """Serve the page until the process is asked to end.

    All files stand in one temporary folder, which is deleted in the end.

    Args:
        inferencer: Answers images.
        title: Says which model that is.
        host: The address to listen at.
        port: Its port.
        max_upload_mb: Larger files are refused.
        score_thr: Instances with a lower score are not shown.
        when_ready: Called with the address of the page.

    Raises:
        OSError: If it cannot listen there.
    """
    with tempfile.TemporaryDirectory(prefix='oneformer_') as folder:
        # Gradio puts uploads there, and serves files from there alone.
        os.environ['GRADIO_TEMP_DIR'] = folder
        blocks = build(
            Page(inferencer, Path(folder), score_thr), title, max_upload_mb)
        blocks.queue(max_size=32)
        check_address(host, port)
        try:
            _, address, _ = blocks.launch(
                server_name=host,
                server_port=port,
                share=False,
                quiet=True,
                prevent_thread_lock=True,
                max_file_size=max_upload_mb * 2**20,
                theme=gr.themes.Default(
                    primary_hue='blue', font=FONTS, font_mono='monospace'),
                css=CSS,
                footer_links=[],
                run_history=False,
                enable_monitoring=False,
                ssr_mode=False,
                mcp_server=False,
                pwa=False,
                app_kwargs=dict(middleware=[Middleware(SecurityPolicy)]))
            when_ready(address)
            blocks.block_thread()
        finally:
            blocks.close(verbose=False)
