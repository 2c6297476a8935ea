"""Toy networks as ONNX, node by node: torch's exporter takes eight seconds for any model, this one a moment."""

from typing import Any

from onnx import TensorProto, helper, numpy_helper
from torch import Tensor

from pipeline.serving.export.onnx_file import Ensemble
from tests.aids.toys import Toy


def converted(ensemble: Ensemble, images: Tensor) -> Any:
    """As pipeline.serving.export.onnx_file does it, of an ensemble of toys in eval mode."""
    nodes: list[Any] = []
    weights: dict[str, Any] = {}

    def add(kind: str, inputs: list[str], **attributes: Any) -> str:
        output = f"t{len(nodes)}"
        nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        return output

    def weight(value: Tensor) -> str:
        name = f"w{len(weights)}"
        weights[name] = numpy_helper.from_array(value.detach().numpy(), name)
        return name

    columns = []
    for model in ensemble.models:
        assert isinstance(model, Toy)
        x = "images"
        for conv, norm, _ in model.body:  # type: ignore[misc]
            x = add("Conv", [x, weight(conv.weight), weight(conv.bias)], strides=[2, 2], pads=[1, 1, 1, 1])
            statistics = (norm.weight, norm.bias, norm.running_mean, norm.running_var)
            x = add("Relu", [add("BatchNormalization", [x, *map(weight, statistics)], epsilon=norm.eps)])
        x = add("Flatten", [add("GlobalAveragePool", [x])])
        x = add("Softmax", [add("Gemm", [x, weight(model.classifier[1].weight), weight(model.classifier[1].bias)],
                                transB=1)], axis=1)  # fmt: skip
        columns.append(add("Gather", [x, _fake(weights)], axis=1))
    nodes.append(helper.make_node("Concat", columns, ["probability"], axis=1))
    for node in nodes:  # as torch's exporter does
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=f'File "{__file__}", line 1, in forward')
    shape = ["batch", *images.shape[1:]]
    inputs = [helper.make_tensor_value_info("images", TensorProto.FLOAT, shape)]
    outputs = [helper.make_tensor_value_info("probability", TensorProto.FLOAT, ["batch", len(columns)])]
    graph = helper.make_graph(nodes, "toys", inputs, outputs, list(weights.values()))
    return helper.make_model(graph, ir_version=10, opset_imports=[helper.make_opsetid("", 18)])


def _fake(weights: dict[str, Any]) -> str:
    weights["fake"] = helper.make_tensor("fake", TensorProto.INT64, [1], [1])
    return "fake"
