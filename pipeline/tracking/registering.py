"""MLflow's registry of models: an ONNX file under a name, with its signature and an example."""

import os
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from pipeline.params.sections import Tracking
from pipeline.tracking.store import open_store
from pipeline.work.errors import UserError
from pipeline.work.onnx import runtime as onnx_runtime


def register(file: Path, name: str, example: NDArray[np.float32], tags: dict[str, Any], settings: Tracking) -> str:
    """Register the ONNX file as a new version of the model `name`; `mlflow models serve -m` takes the address returned.

    example: an input of it, from which its signature is taken; tags: about the version. Raises: UserError.
    """
    import mlflow
    import onnx
    from mlflow.models import infer_signature

    onnxruntime = onnx_runtime()
    session = onnxruntime.InferenceSession(str(file), providers=["CPUExecutionProvider"])
    (inputs,) = session.get_inputs()
    names = [one.name for one in session.get_outputs()]
    found = dict(zip(names, session.run(None, {inputs.name: example}), strict=True))
    needed = [f"{package.__name__}=={package.__version__}" for package in (onnx, onnxruntime, mlflow)]
    try:
        client, experiment, _ = open_store(settings)
        mlflow.set_tracking_uri(client.tracking_uri)
        mlflow.set_registry_uri(os.environ.get("MLFLOW_REGISTRY_URI", client.tracking_uri))
        with mlflow.start_run(experiment_id=experiment, run_name=f"register {name}", tags=tags):
            info = mlflow.onnx.log_model(
                onnx.load(str(file)),
                name="model",
                registered_model_name=name,
                signature=infer_signature(example, found),
                input_example=example,
                onnx_execution_providers=["CPUExecutionProvider"],  # where it is served, others may be missing
                pip_requirements=needed,
            )
    except Exception as error:  # whatever the store is made of
        cause = str(error).splitlines()[0]
        raise UserError(f"export.registered_as {name}: MLflow failed ({cause}); null ships without it") from None
    return f"models:/{name}/{info.registered_model_version}"
