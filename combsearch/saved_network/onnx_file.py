"""Networks as ONNX, for other runtimes: ``x`` [points, in] to ``logits`` [points, out].

One Gemm a layer, Relu between them, masked parameters 0. It is written, never read.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from combsearch.errors import UsageError
from combsearch.nets import MLP, NetBatch
from combsearch.saved_network.about import About

if TYPE_CHECKING:
    import onnx

_OPSET, _IR_VERSION = 21, 10  # a pair of one release; runtimes of the last years know it


def onnx_bytes(nets: NetBatch, index: int = 0, about: About | None = None) -> bytes:
    """The bytes of an .onnx file of one MLP; ``about`` goes to its metadata, as texts.

    Raises:
        UsageError: the package onnx is not installed, or the network is no MLP.
    """
    try:
        from onnx import checker, helper
    except ImportError as error:
        raise UsageError(
            "ONNX needs the package onnx: pip install 'combsearch[onnx]'; or choose .safetensors"
        ) from error
    if not isinstance(nets.network, MLP):
        raise UsageError(f"cannot save a {type(nets.network).__name__}, only an MLP")
    model = helper.make_model(
        _graph(nets[index : index + 1].numpy()),
        producer_name="combsearch",
        ir_version=_IR_VERSION,
        opset_imports=[helper.make_opsetid("", _OPSET)],
    )
    helper.set_model_props(model, {name: str(value) for name, value in (about or {}).items()})
    checker.check_model(model, full_check=True)
    data: bytes = model.SerializeToString(deterministic=True)
    return data


def _graph(nets: NetBatch) -> onnx.GraphProto:
    from onnx import TensorProto, helper, numpy_helper

    assert isinstance(nets.network, MLP)
    shape = nets.network.shape
    last = len(shape.layers) - 1
    nodes, value = [], "x"
    for layer in range(last + 1):
        out = "logits" if layer == last else f"z{layer}"
        weight, bias = f"weight{layer}", f"bias{layer}"
        nodes.append(helper.make_node("Gemm", [value, weight, bias], [out], transB=1))
        if layer < last:
            value = f"h{layer}"
            nodes.append(helper.make_node("Relu", [out], [value]))
    return helper.make_graph(
        nodes,
        "combsearch",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["points", shape.inputs])],
        [helper.make_tensor_value_info("logits", TensorProto.FLOAT, ["points", shape.outputs])],
        [numpy_helper.from_array(array[0], name) for name, array in nets.params.items()],
    )
