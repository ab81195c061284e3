"""Operators of TensorFlow that reach nothing beyond a graph, whatever they are given.

An operator that keeps no state reaches only what some text names: a file, an address, a function, a
graph in a message. So one that has no text among its inputs and attributes (choices from a list are
none) is contained. Of the others those are that are listed here: they only compute with a text, or
keep their state in the session. Whatever else there is, or will be, is not.
"""

from __future__ import annotations

import re
from typing import Any

_TEXTS = re.compile(
    r"AsString|(Static)?Regex\w+|String\w+|Substr|Unicode\w+|(Reduce|UnsortedSegment)Join"
    r"|Fingerprint|(En|De)codeBase64|ShardedFile(name|spec)|SdcaFprint|SparseCrossV2|RaggedCross"
    r"|Decode(AndCropJpeg|Bmp|CSV|Compressed|Gif|Image|JSONExample|Jpeg|Jxl|PaddedRaw|Png|Raw|Wav"
    r"|WebP)|EncodeJpeg|ExtractJpegShape|Parse(Single)?(Sequence)?Example(V2)?|ParseTensor"
    r"|(Dense|Sparse)To(Dense|Sparse)SetOperation|DeserializeManySparse"
    r"|(Audio|Histogram|Image|Merge|Scalar|Tensor)Summary(V2)?|CompositeTensorVariant\w+"
)
_NUMBERS = re.compile(
    r"Einsum|DataFormat\w+|(Ref)?Enter|PreventGradient|ExtractGlimpse(V2)?|RaggedTensorToTensor"
    r"|ImageProjectiveTransformV\d|ScaleAndTranslate(Grad)?|(GatherNd|ScatterNd\w*|TensorScatter\w+)"
    r"|UniformQuantizedConvolution\w*|_Fused\w+|CheckNumerics(V2)?|CudnnRNN\w*|DeepCopy|Empty"
    r"|Xla(Conv|Dot|Einsum|Gather|Svd|Reduce|ReduceWindow|Scatter|SelectAndScatter|VariadicReduce"
    r"|VariadicSort)(V2)?|DeviceIndex|GuaranteeConst|Timestamp|_Arg|_Retval|Assert|Print"
)
_RANDOM = re.compile(
    r"Multinomial|(Parameterized)?TruncatedNormal|NonDeterministicInts|Rng(ReadAndSkip|Skip)"
    r"|Random(Crop|Gamma|Poisson(V2)?|Shuffle|StandardNormal|Uniform(Int)?)|StatelessRandomGetAlg"
    r"|Stateful(Random|Standard|Truncated|Uniform)\w*|SampleDistortedBoundingBox(V2)?"
    r"|(All|LearnedUnigram|LogUniform|ThreadUnsafeUnigram|Uniform)CandidateSampler"
)
_STATES = re.compile(
    r"Variable(V2)?|VarHandleOp|ReadVariableOp|Assign(Add|Sub)?VariableOp|VarIsInitializedOp"
    r"|VariableShape|DestroyResourceOp|DisableCopyOnRead|(Destroy)?TemporaryVariable"
    r"|Resource(Sparse)?(Apply|Count|Gather|Scatter|Strided)\w*|(Anonymous)?(Mutable)?(Dense)?Hash"
    r"Table(OfTensors)?(V2)?|LookupTable(Export|Find|Import|Insert|Remove|Size)(V2)?"
    r"|InitializeTable(V2)?|TensorArray\w*|Stack(V2|(Close|Pop|Push)(V2)?)?|Barrier\w*"
    r"|(FIFO|PaddingFIFO|Priority|RandomShuffle)Queue(V2)?"
    r"|Queue(Close|Dequeue|DequeueMany|DequeueUpTo|Enqueue|EnqueueMany|IsClosed|Size)(V2)?"
)
#: They take from what others make, of which none is listed. Keras 2 saves them with some layers.
_TAKERS = re.compile(r"IteratorGetNext(AsOptional|Sync)?")
#: What they run is looked into.
_CALLS = re.compile(
    r"(Stateless)?(Case|If|While)|(Stateful)?PartitionedCall|SymbolicGradient|MapDefun"
)
_LISTED = (_TEXTS, _NUMBERS, _RANDOM, _STATES, _TAKERS, _CALLS)
#: Where some may name a file, and what else may stand there.
_MAY_NAME_A_FILE = {
    "PrintV2": ("output_stream", re.compile(r"|std(err|out)|log\(\w+\)")),
    "DecodeProtoV2": ("descriptor_source", re.compile(r"|local://|(?s:bytes://.*)")),
    "EncodeProto": ("descriptor_source", re.compile(r"|local://|(?s:bytes://.*)")),
    "FixedUnigramCandidateSampler": ("vocab_file", re.compile("")),
}


def is_contained(node: Any) -> bool:
    """Whether a node reaches nothing, its functions aside. What is not known here cannot run."""
    from tensorflow.python.framework import op_def_registry

    if node.op in _MAY_NAME_A_FILE:
        attribute, harmless = _MAY_NAME_A_FILE[node.op]
        place = node.attr.get(attribute)
        if place is None or place.placeholder:  # The caller of the function says it, if any does.
            return place is None
        return bool(harmless.fullmatch(place.s.decode(errors="replace")))
    if any(listed.fullmatch(node.op) for listed in _LISTED):
        return True
    known = op_def_registry.get(node.op)
    return known is None or not (known.is_stateful or _takes_text(known))


def keeps_state(node: Any) -> bool:
    """Whether TensorFlow runs a node only where its result is asked for; not if it is a function's.

    It may evaluate any other as it infers shapes.
    """
    from tensorflow.python.framework import op_def_registry

    known = op_def_registry.get(node.op)
    return known is not None and bool(known.is_stateful)


def _takes_text(known: Any) -> bool:
    """Whether the definition of an operator has an input or an attribute that can name something.

    What takes any type, such as Identity, looks at no text.
    """
    from tensorflow.core.framework import types_pb2

    return any(one.type == types_pb2.DT_STRING for one in known.input_arg) or any(
        one.type.removeprefix("list(").rstrip(")") in ("string", "func")
        and not one.allowed_values.list.s
        for one in known.attr
    )
