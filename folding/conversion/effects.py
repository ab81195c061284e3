"""Operators of TensorFlow that reach beyond a graph: to files, to other machines, to foreign code.

Running a graph, or only loading one that folds its constants, does whatever these say. What they
may do is the user's to decide.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from folding.errors import BadCall

_REACHING = re.compile(
    r"(Experimental)?((?!Sharded).*File.*|.*Reader.*|CacheDataset.*|Snapshot.+|.*SummaryWriter.*|.*SummaryDb.*"
    r"|Write.*Summary|WriteGraphSummary|ImportEvent|Save.*|Restore.*|MergeV2Checkpoints|Load.*"
    r"|DistributedSave|TextLineDataset|TFRecordDataset.*|CSVDataset.*|SqlDataset|LMDBDataset"
    r"|DatasetToTFRecord|RecordInput|ImmutableConst|GenerateVocabRemapping|Debug.*|Dump.*"
    r"|(Eager)?PyFunc.*|.*PyFunc|Remote.*|.*RpcCall|Rpc.*|.*DataService.*|_?(Host)?(Send|Recv)"
    r"|TRTEngineOp|.*Bigtable.*|.*BigQuery.*|.*Gcs.*)"
)
#: Where the operators that print, and those that know a message's fields, may have a file.
_MAY_NAME_A_FILE = {
    "PrintV2": "output_stream",
    "DecodeProtoV2": "descriptor_source",
    "EncodeProto": "descriptor_source",
}
#: Messages that the program itself was built with.
_LINKED = "local://"
#: What brings a checkpoint's arrays in, where nothing else is asked of it.
RESTORING = frozenset({"Restore", "RestoreSlice", "RestoreV2"})


def require_contained(
    name: str,
    graph_def: Any,
    starts: Iterable[str],
    *,
    trust: bool,
    allowed: frozenset[str] = frozenset(),
) -> None:
    """Refuse a graph that reaches beyond itself, unless it is trusted.

    Args:
        name: what the user calls the source.
        graph_def: the graph with its functions.
        starts: the nodes and functions that are run; what they need is, too.
        trust: whether the source may do what it likes.
        allowed: operators that are no reason to refuse it.

    Raises:
        BadCall: it does.
    """
    if trust:
        return
    for node in _run(graph_def, starts):
        if node.op not in allowed and _reaches(node):
            text = f"{name!r} uses files, the network or foreign code when it is run: its node"
            hint = "Convert it with --trust if you know who made it: it is run to compare results."
            raise BadCall(f"{text} {node.name!r} is {node.op}", hint=hint)


def _reaches(node: Any) -> bool:
    if node.op in _MAY_NAME_A_FILE:
        place = node.attr[_MAY_NAME_A_FILE[node.op]].s.decode(errors="replace")
        return "/" in place and place != _LINKED
    return bool(_REACHING.fullmatch(node.op))


def _run(graph_def: Any, starts: Iterable[str]) -> Iterator[Any]:
    """The nodes that are run with some, whatever a condition says, in functions as well."""
    nodes = {node.name: node for node in graph_def.node}
    functions = {found.signature.name: found for found in graph_def.library.function}
    wanted, seen = list(starts), set()
    while wanted:
        name = wanted.pop()
        if name in seen:
            continue
        seen.add(name)
        bodies = functions[name].node_def if name in functions else ()
        for node in (*bodies, *((nodes[name],) if name in nodes else ())):
            yield node
            wanted.extend(_called(node, functions))
        if name in nodes:
            wanted.extend(_node_of(reference) for reference in nodes[name].input)


def _called(node: Any, functions: Mapping[str, Any]) -> Iterator[str]:
    """The functions that a node may run."""
    if node.op in functions:
        yield node.op
    for value in node.attr.values():
        for function in (value.func, *value.list.func):
            if function.name:
                yield function.name


def _node_of(reference: str) -> str:
    return reference.removeprefix("^").partition(":")[0]
