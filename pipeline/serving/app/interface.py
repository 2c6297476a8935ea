"""The page itself, made with gradio: what is dropped or chosen on the left, what is found on the right."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import gradio as gr
from fastapi import FastAPI

from pipeline.serving.app import showing
from pipeline.serving.app.clips import Clip
from pipeline.serving.app.detectors import Detectors, describe
from pipeline.serving.app.guard import MB
from pipeline.serving.app.uploads import Uploads

AGE = 3600  # seconds after which a dropped file goes, whatever is open
STYLE = """
.failed { border-left: 4px solid #d55e00; padding: .5rem .8rem; overflow-wrap: anywhere; font-size: 1.05rem; }
.file-preview a { pointer-events: none; color: inherit; }  /* files are taken, and not given back */
.truth { border-left: 4px solid #0072b2; padding: .2rem .8rem; }
"""


def build(detectors: Detectors, clips: Mapping[str, Clip], largest: int) -> FastAPI:
    """The page as an ASGI application. clips: by their label; largest: bytes of a file that may be dropped."""
    fonts = {"font": ["system-ui", "sans-serif"], "font_mono": ["ui-monospace", "monospace"]}  # none is fetched
    return gr.mount_gradio_app(
        FastAPI(openapi_url=None), _page(detectors, clips, largest), path="/", max_file_size=largest, show_error=False,
        footer_links=[], run_history=False, ssr_mode=False, pwa=False, mcp_server=False, enable_monitoring=False,
        theme=gr.themes.Default(**fonts), css=STYLE,
    )  # fmt: skip


def _page(detectors: Detectors, clips: Mapping[str, Clip], largest: int) -> gr.Blocks:
    uploads, names = Uploads(), [(describe(family), name) for name, family in detectors.families.items()]

    def chosen(upload: str | None, clip: str | None) -> tuple[Path, Clip | None] | None:
        if upload is not None:
            return Path(upload), None
        return None if clip is None else (clips[clip].path, clips[clip])

    def judge(upload: str | None, clip: str | None, name: str, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        if (found := chosen(upload, clip)) is None:
            return showing.WAITING
        return showing.judged(found[0], detectors, name, _teller(progress), found[1])

    def compare(upload: str | None, clip: str | None, progress: gr.Progress = gr.Progress()) -> str:  # noqa: B008
        if (found := chosen(upload, clip)) is None:
            return showing.WAITING_COMPARED
        return showing.compared(found[0], detectors, _teller(progress), found[1])

    def dropped(upload: str | None, request: gr.Request) -> tuple[None, str]:
        uploads.keep(str(request.session_hash), None if upload is None else Path(upload))
        return None, showing.WAITING_COMPARED  # instead of the clip, and of what was compared

    def removed(request: gr.Request) -> tuple[None, str]:
        return dropped(None, request)

    def left(request: gr.Request) -> None:
        dropped(None, request)

    with gr.Blocks(title="Is this face forged?", analytics_enabled=False, delete_cache=(60, AGE)) as page:
        gr.HTML(showing.limits(detectors.family(names[0][1])))
        with gr.Row():
            with gr.Column(scale=1, min_width=300):
                upload = gr.File(label=f"A video or a photo, up to {largest // MB} MB", height=160)
                clip = gr.Dropdown(list(clips), value=None, label="or a clip of the run", visible=bool(clips))
                name = gr.Radio(names, value=names[0][1], label="Detector", visible=len(names) > 1)
            with gr.Column(scale=3, min_width=300), gr.Tabs():
                with gr.Tab("Verdict"):
                    verdict = gr.HTML(showing.WAITING, min_height=120)
                with gr.Tab("Compressed more and more"):
                    start = gr.Button("Compare raw, c23 and c40", variant="primary")
                    comparison = gr.HTML(showing.WAITING_COMPARED, min_height=120)
        # One at a time: each takes all cores. A file dropped meanwhile is judged next.
        work: dict[str, Any] = {"concurrency_id": "work", "concurrency_limit": 1, "trigger_mode": "always_last"}
        private: dict[str, Any] = {"api_visibility": "private"}
        judging = {"fn": judge, "inputs": [upload, clip, name], "outputs": verdict} | work | private
        upload.upload(dropped, upload, [clip, comparison], **private).then(**judging)
        upload.clear(dropped, upload, [clip, comparison], **private).then(**judging)
        clip.input(removed, None, [upload, comparison], **private).then(**judging)
        name.input(**judging)
        start.click(compare, [upload, clip], comparison, **work, **private)
        page.unload(left)
    return page


def _teller(progress: gr.Progress) -> Callable[[float, str], None]:
    return lambda share, what: progress(share, desc=what)
