"""What of a Keras file would run code that it brings, or read other files, as it is loaded.

A description is gone through whatever it looks like: what counts is what stands there, not where.
Keras 2 keeps calls of TensorFlow's functions as layers, with the name of the function. Only those
that compute are known not to do more than that; a name can just as well be that of one which writes
a file or loads a library.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterator
from importlib.util import find_spec
from typing import Any

#: Classes that run what the file brings, and what stands for a function whose code is in it.
_RUNS_CODE = frozenset({"Lambda", "TFSMLayer", "__lambda__"})
#: What has a class, and is no layer.
_FUNCTIONS = frozenset({"__lambda__", "__tensor__", "function"})
#: Where Keras 2 finds functions that compute; in other modules it finds whatever there is.
_FUNCTION_MODULES = re.compile(
    r"(tf_)?keras(\.src|\.api(\._v[12]\.keras)?)?"
    r"\.(activations|constraints|initializers|losses|metrics|regularizers)"
)
#: Where classes come from that nobody else wrote; what a notebook defined is not there any more.
_OWN_PACKAGES = frozenset({"__main__", "builtins", "keras", "tf_keras"})
#: What names a file wherever it stands with a text.
_NAME_FILES = ("vocabulary", "vocabulary_file", "ckpt_to_load_from")
#: Layers of Keras 2 that call what they name: functions, and whatever an object has.
_CALLERS = frozenset({"TFOpLambda", "SlicingOpLambda"})
_OPERATOR = "TensorFlowOpLayer"
_REACHES = frozenset({"ClassMethod", "InstanceMethod", "InstanceProperty"})
#: Functions of TensorFlow that compute, and do nothing else.
_COMPUTES = re.compile(
    r"(compat\.v[12]\.)?((__operators__|bitwise|image|linalg|math|quantization|signal|strings)\.[a-z]\w*"
    r"|keras\.activations\.[a-z]\w*|nn\.(?!fixed_unigram)[a-z]\w*"
    r"|random\.((stateless|truncated)_\w+|categorical|gamma|normal|poisson|shuffle|uniform)"
    r"|as_string|histogram_fixed_width|extract_volume_patches|debugging\.check_numerics"
    r"|abs|a?(cos|sin|tan)h?|atan2|add(_n)?|arg(max|min|sort)|batch_to_space|bitcast|boolean_mask"
    r"|broadcast_(to|dynamic_shape|static_shape)|(saturate_)?cast|clip_by_(global_norm|norm|value)"
    r"|complex|concat|constant|convert_to_tensor|cumsum|divide|dynamic_(partition|stitch)|eig(vals)?"
    r"|einsum|ensure_shape|(not_)?equal|exp|expand_dims|eye|fill|floor(_div|_mod)?|div|gather(_nd)?"
    r"|(greater|less)(_equal)?|identity(_n)?|linspace|logical_(and|not|or)|matmul|maximum|meshgrid"
    r"|minimum|multiply|negative|norm|one_hot|(ones|zeros)(_like)?|pad|pow|range|rank|realdiv"
    r"|reduce_(all|any|logsumexp|max|mean|min|prod|sum)|repeat|reshape|reverse(_sequence)?|roll"
    r"|round|scalar_mul|scatter_nd|searchsorted|sequence_mask|shape(_n)?|sigmoid|sign|size|slice"
    r"|sort|space_to_batch(_nd)?|split|sqrt|square|squeeze|stack|stop_gradient|strided_slice"
    r"|subtract|tensor_scatter_nd_\w+|tensordot|tile|transpose|true?(div|ncatediv|ncatemod)"
    r"|unique(_with_counts)?|unravel_index|unstack|where)"
)


def code(config: Any, *, is_legacy: bool) -> Iterator[str]:
    """Whatever in a description would run code of the file, named after the layer it is in.

    ``is_legacy`` is whether Keras 2 reads it, which looks for a class in whatever module is named,
    and so runs that.
    """
    return _code(config, "the model", is_legacy=is_legacy)


def _code(config: Any, within: str, *, is_legacy: bool) -> Iterator[str]:
    if isinstance(config, dict):
        own = config.get("config")
        if isinstance(own, dict) and config.get("class_name") not in _FUNCTIONS:
            within = _layer(config)
        if _runs(config) or (is_legacy and _reaches(config)):
            yield within
    for part in _parts(config):
        yield from _code(part, within, is_legacy=is_legacy)


def _runs(config: dict[str, Any]) -> bool:
    is_lambda = any(key.endswith("_type") and part == "lambda" for key, part in config.items())
    return is_lambda or not _RUNS_CODE.isdisjoint(_classes(config))


def _reaches(config: dict[str, Any]) -> bool:
    """Whether a part lets Keras 2 import a module, or call what does more than compute."""
    classes, own = _classes(config), config.get("config")
    own = own if isinstance(own, dict) else {}
    if not _CALLERS.isdisjoint(classes) and not _COMPUTES.fullmatch(str(own.get("function"))):
        return True
    # A dot leads on from a module of Keras to all that it imports.
    if "." in str(config.get("class_name")) or (
        config.get("class_name") == "function" and _is_foreign_function(config)
    ):
        return True
    if _OPERATOR in classes and not isinstance(own.get("node_def"), dict):
        return True
    return _is_foreign(config.get("module")) or not _REACHES.isdisjoint(classes)


def _classes(config: dict[str, Any]) -> set[str]:
    """What a part may be taken for, without the packages that it is registered in."""
    names = (str(config.get(key)) for key in ("class_name", "registered_name"))
    return {re.split("[.>]", name)[-1].strip() for name in names}


def _is_foreign(module: Any) -> bool:
    """Whether a module that is not Keras' own could be imported."""
    package = str(module or "keras").partition(".")[0]
    return package not in _OWN_PACKAGES and find_spec(package or "keras") is not None


def judged_by_name(name: str) -> bool:
    """Whether what a class of this name does depends on how it is set."""
    return name in _RUNS_CODE | _CALLERS | _REACHES | {_OPERATOR}


def operators(config: Any) -> Iterator[tuple[str, dict[str, Any]]]:
    """The layers that are single operators of TensorFlow, and the NodeDef of each as JSON.

    The Keras of TensorFlow 2.0 to 2.3 kept functions so.
    """
    if isinstance(config, dict) and _OPERATOR in _classes(config):
        own = config.get("config")
        if isinstance(own, dict) and isinstance(own.get("node_def"), dict):
            yield _layer(config), own["node_def"]
    for part in _parts(config):
        yield from operators(part)


def _is_foreign_function(config: dict[str, Any]) -> bool:
    """Whether a function that could be found does more than those of Keras.

    A layer calls it with whatever the file says. What is no function of Keras' is looked for among
    Python's own, and in the program.
    """
    module, name = str(config.get("module") or "builtins"), str(config.get("config"))
    if _FUNCTION_MODULES.fullmatch(module):
        return not name.isidentifier()
    if module in ("builtins", "__main__"):
        return not name.isidentifier() or hasattr(sys.modules[module], name)
    package = module.partition(".")[0]
    return package in _OWN_PACKAGES or find_spec(package or "keras") is not None


def files(config: Any, within: str = "the model") -> Iterator[tuple[str, str]]:
    """Who has words or weights, whatever else it has, and the file that stands in their place."""
    if isinstance(config, dict):
        if "class_name" in config and isinstance(config.get("config"), dict):
            within = _layer(config)
        named = (config.get(key) for key in _NAME_FILES)
        yield from ((within, file) for file in named if isinstance(file, str))
    for part in _parts(config):
        yield from files(part, within)


def linked(file: Any) -> list[tuple[str, str]]:
    """The parts of an open HDF5 file that lie in other files, and those."""
    import h5py

    found: list[tuple[str, str]] = []

    def look(name: str, part: Any) -> None:
        if isinstance(part, h5py.Dataset):
            sources = part.virtual_sources() if part.is_virtual else ()
            virtual = [source.file_name for source in sources]
            found.extend((f"its part {name!r}", file) for file, *_ in part.external or ())
            found.extend((f"its part {name!r}", file) for file in virtual if file != ".")
            return
        if not isinstance(part, h5py.Group):  # A type can have a name as well.
            return
        for key in part:
            link = part.get(key, getlink=True)
            if isinstance(link, h5py.ExternalLink):
                found.append((f"its part {key!r}", link.filename))

    look("", file)
    file.visititems(look)
    return found


def _layer(config: dict[str, Any]) -> str:
    return f"the {config.get('class_name')} layer {config['config'].get('name', '')!r}"


def _parts(config: Any) -> Iterator[Any]:
    if isinstance(config, dict | list):
        yield from config.values() if isinstance(config, dict) else config
