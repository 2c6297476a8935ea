"""The model card of a shipped detector, in Hugging Face's format, from its params and measured results."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd

from pipeline.evaluation.calibration import error, judged
from pipeline.evaluation.statistics import FEW_PEOPLE
from pipeline.params.schema import Params
from pipeline.serving.shipped import Detector

TEMPLATE = Path(__file__).parent / "modelcard.md.j2"
ALL = "all"


def results(
    summary: Mapping[str, Any], quality: str, scores: pd.DataFrame, params: Params
) -> dict[str, dict[str, float | int | None]]:
    """What was measured on test people at the detector's own quality: on all fakes, and by manipulation.

    AUC with its 95 % interval, over people where they are few, else over videos; under `verdicts`, what calibration and
    thresholds, fitted on others, did.
    """
    found = summary["results"][quality]
    kind = "interval_persons" if _few(summary) else "interval"
    measured: dict[str, dict[str, float | int | None]] = {ALL: _auc(found["frame"], found["video"], found[kind])}
    for name, part in found.get("manipulations", {}).items():
        intervals = {level: part[level][kind] for level in ("frame", "video")}
        measured[name] = _auc(part["frame"], part["video"], intervals)
    videos = judged(scores, params.verdict.false_alarms, params.verdict.misses)
    if len(videos):
        reals, fakes = (videos[videos["label"] == label] for label in (0, 1))
        measured["verdicts"] = {
            "reals": len(reals),
            "fakes": len(fakes),
            "false_alarms": int((reals["verdict"] == "fake").sum()),
            "misses": int((fakes["verdict"] == "real").sum()),
            "undecided": int((videos["verdict"] == "undecided").sum()),
            "ece_before": round(error(videos, "score"), 6),
            "ece_after": round(error(videos, "probability"), 6),
        }
    return measured


def write(detector: Detector, manifest: pd.DataFrame, summary: Mapping[str, Any], params: Params) -> str:
    """The card as markdown with its YAML header. manifest: of the real videos, with their sources and licences."""
    from huggingface_hub import EvalResult, ModelCard, ModelCardData  # a second to load

    data = ModelCardData(
        license="other",
        license_name="see-training-data",
        license_link="README.md#training-data",
        library_name="pytorch",
        pipeline_tag="image-classification",
        tags=["deepfake-detection", "knowledge-distillation", detector.backbone, "onnx"],
        model_name=f"{detector.name}-{detector.quality}",
        eval_results=[
            EvalResult(
                task_type="image-classification",
                dataset_type=detector.source,
                dataset_name=f"{detector.source}, {detector.quality}, fakes: {name}",
                dataset_config=f"{detector.quality}-{name}",
                dataset_split="test people",
                metric_type="roc_auc",
                metric_name=f"AUC per {level}",
                metric_value=round(float(measured[f"{level}_auc"] or 0), 4),
            )
            for name, measured in detector.results.items()
            if name != "verdicts"
            for level in ("frame", "video")
            if measured[f"{level}_auc"] is not None
        ],
    )
    sources = manifest.groupby(["source", "licence"])["person"].nunique().reset_index()
    card = ModelCard.from_template(
        data,
        template_path=str(TEMPLATE),
        detector=detector,
        method=_method(detector),
        onnx=params.export.onnx,
        sources=sources.to_dict("records"),
        counts=summary["counts"],
        interval_over="people, who are few" if _few(summary) else "videos",
        crf=params.crf,
        training=params.train,
    )
    return f"{str(card).rstrip()}\n"


def _few(summary: Mapping[str, Any]) -> bool:
    return bool(summary["counts"]["persons"] < FEW_PEOPLE)


def _method(detector: Detector) -> str:
    if detector.method == "teacher":
        return "a plain classifier on raw crops, the teacher of the detectors for compressed video"
    if detector.method == detector.backbone:
        return "a plain classifier"
    return f"{detector.method}, a student that saw compressed crops under a teacher that saw the same ones raw"


def _auc(
    frame: Mapping[str, Any], video: Mapping[str, Any], intervals: Mapping[str, Mapping[str, Any]]
) -> dict[str, float | int | None]:
    found: dict[str, float | int | None] = {}
    for level, measured in (("frame", frame), ("video", video)):
        low, high = intervals[level].get("auc") or (None, None)
        found |= {f"{level}_auc": measured["auc"], f"{level}_auc_low": low, f"{level}_auc_high": high}
        found[f"{level}_acc"] = measured["acc"]
    return found
