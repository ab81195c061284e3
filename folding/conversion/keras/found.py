"""What Keras 2 may find for a name in a description that is not trusted.

It looks for names in registries, in the modules that a description gives, and in what those import,
and takes whatever has the name: a class, or any function, which a layer then calls. So what it has
found is judged, whichever way it was found.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from folding.conversion.keras.reach import judged_by_name

#: Where functions compute, and some look for others.
_MODULES = ("activations", "constraints", "initializers", "losses", "metrics", "regularizers")
_FUNCTIONS = frozenset(f"tf_keras.src.{module}" for module in _MODULES)
_SEEKERS = frozenset({"deserialize", "get", "serialize"})


def judging(retrieve: Callable[..., Any]) -> Callable[..., Any]:
    """The function of Keras 2 that finds classes and functions, for what is known to be harmless.

    Raises:
        ValueError: something else was found.
    """

    def retrieved(*args: Any, **kwargs: Any) -> Any:
        found = retrieve(*args, **kwargs)
        config = kwargs.get("full_config") or {}
        if not (_is_class(found, config) if isinstance(found, type) else _computes(found, config)):
            raise ValueError("unsafe deserialization of what may be any code")
        return found

    return retrieved


def _is_class(found: type, config: dict[str, Any]) -> bool:
    """Whether it is one of Keras' own; those that call what they are told are judged by name."""
    import tensorflow as tf

    name = found.__name__
    if issubclass(found, tf.TypeSpec):
        return True
    is_own = found.__module__.partition(".")[0] == "tf_keras"
    return is_own and (not judged_by_name(name) or config.get("class_name") == name)


def _computes(found: Any, config: dict[str, Any]) -> bool:
    module, name = getattr(found, "__module__", ""), getattr(found, "__name__", "")
    is_function = config.get("class_name") == "function"
    return is_function and module in _FUNCTIONS and name not in _SEEKERS
