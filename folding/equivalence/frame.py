"""Frame: with every folded place cut out of both models, nothing else differs.

A fold takes away affine nodes, gives layers new constants, and renames the values in between.
So the two graphs must be the same when each affine's output counts as its input:

1. Every node that no fold claims stands in the candidate as it was, byte for byte, in order.
2. Every other node of the candidate is a claimed one of the reference, with the same operator,
   name and attributes (a Gemm's ``beta`` becomes 1 where C changes, and a DequantizeLinear gets an
   ``axis`` with the scales of its channels), or an Add that holds a shift.
3. Their inputs are the same values: constants where there were constants, else values that are
   equal once the affines are cut out.
4. A value under the name that it had is what it was. What a carrier reads is another value than
   before if and only if what it makes is (see ``balance`` for those that take but a part of it); a
   layer whose constants changed reads, or makes, one.
5. Whatever an unclaimed node or the outside sees has the name of a value that did not change;
   what an If makes did if and only if what each of its branches gives did.
6. Every tensor that no fold claims has the same header and bytes; none is missing that is read.
7. All the rest is the same: signature, opsets, functions, metadata.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from onnx import GraphProto, NodeProto

from folding import soundness
from folding.draft import Draft
from folding.equivalence.balance import Balance, Pair
from folding.equivalence.dequantising import is_rearranged, is_rescaled, same_attributes
from folding.equivalence.sealed import bare, essence
from folding.equivalence.surroundings import (
    Differs,
    same_bodies,
    same_fields,
    same_rest,
    same_tensors,
)
from folding.equivalence.verdict import Check, Status
from folding.errors import BadModel
from folding.modelfile import Model
from folding.protos import bodies, graphs, is_default_domain, names, title
from folding.recipes import Changed

#: What may disappear because it is an affine, and what else a fold may touch. Said here again, so
#: that a mistake in the rules is not believed by the proof.
_AFFINES = frozenset({"Add", "BatchNormalization", "Div", "Mul", "Neg", "Sub"})
_CARRIERS = """
    Abs Add AveragePool Cast Clip Compress Concat CumSum DepthToSpace Div Dropout Expand Flatten
    Gather GlobalAveragePool GlobalLpPool GlobalMaxPool GridSample Identity If LeakyRelu LpPool Max
    MaxPool Mean Min Mul PRelu Pad ReduceL1 ReduceL2 ReduceMax ReduceMean ReduceMin ReduceSum Relu
    Reshape Resize ReverseSequence Slice SpaceToDepth Split Squeeze Sub Sum Tile Transpose Trilu
    Unsqueeze Upsample Where
"""
_LAYERS = """
    BatchNormalization Conv ConvTranspose DequantizeLinear Einsum GRU Gather Gemm
    GroupNormalization InstanceNormalization LSTM LayerNormalization MatMul RMSNormalization RNN
"""
_CHANGING = frozenset([*_CARRIERS.split(), *_LAYERS.split(), "CastLike", "Shape", "Size"])


def check_frame(reference: Model, candidate: Model, drafts: list[Draft]) -> Check:
    """Compare everything but the folded numbers."""
    try:
        soundness.check(candidate, "the folded model")
    except BadModel as fault:
        return Check("frame", Status.FAILED, str(fault))
    try:
        same_rest(reference, candidate)
        ours, theirs = graphs(reference.proto), graphs(candidate.proto)
        _same_count(ours, theirs)
        for draft, before, after in zip(drafts, ours, theirs, strict=False):
            _Frame((reference, candidate), draft, before, after).check()
            same_fields(draft, before, after)
            same_tensors((reference, candidate), draft, before, after)
    except Differs as difference:
        return Check("frame", Status.FAILED, difference.why, at=difference.at)
    return Check("frame", Status.PASSED)


def _same_count(ours: list[GraphProto], theirs: list[GraphProto]) -> None:
    if len(ours) != len(theirs):
        raise Differs("the model has another number of bodies")


@dataclass(slots=True)
class _Frame:
    """One graph before and after."""

    models: tuple[Model, Model]
    draft: Draft
    before: GraphProto
    after: GraphProto
    value: dict[str, str] = field(default_factory=dict)
    cut: dict[str, str] = field(default_factory=dict)
    rescaled: set[str] = field(default_factory=set)

    def check(self) -> None:
        claimed = {i for i in self.draft.nodes if i < len(self.before.node)}
        leftover = self._match_unclaimed(claimed)
        pairs = self._pair(leftover)
        self._cut_affines(claimed)
        for node, twin in pairs:
            self._name_outputs(node, twin)
        for node, _ in pairs:
            if is_rescaled(node, self.draft) or is_rearranged(node, self.rescaled):
                self.rescaled.add(node.output[0])
        for node, twin in pairs:
            self._same_inputs(node, twin)
        new = self.draft.changed.keys() | self.rescaled
        Balance(self.draft, pairs, self.cut, new).check()
        self._check_seen(pairs)

    def _match_unclaimed(self, claimed: set[int]) -> list[NodeProto]:
        """The nodes of the candidate that are not simply there as before."""
        ours, theirs = self.models
        unclaimed = (node for i, node in enumerate(self.before.node) if i not in claimed)
        # Sealed once each, since a Constant in a node may be as large as any weight.
        sealed = ((node, bare(ours, node)) for node in unclaimed)
        expected = next(sealed, None)
        leftover = []
        for node in self.after.node:
            if expected is not None and bare(theirs, node) == expected[1]:
                same_bodies(node, expected[0])
                expected = next(sealed, None)
            else:
                leftover.append(node)
        if expected is not None:
            at = title(expected[0])
            raise Differs(f"node {at!r} is missing, or is not as it was", at)
        return leftover

    def _pair(self, leftover: list[NodeProto]) -> list[Pair]:
        """Each remaining node of the candidate, and the one of the reference that it was."""
        ours, theirs = self.models
        behind: dict[int, list[int]] = {}
        for new, place in self.draft.after.items():
            behind.setdefault(place, []).append(new)
        expected: list[Pair] = []
        for index, node in enumerate(self.before.node):
            changed = self.draft.nodes.get(index)
            expected += [(changed, node)] if changed is not None else []
            added = (self.draft.nodes[new] for new in behind.get(index, ()))
            expected += [(node, None) for node in added if node is not None]
        leftover = [node for node in leftover if not self._is_new_constant(node)]
        if len(leftover) != len(expected):
            raise Differs("there are more or fewer nodes than the folds leave", "")
        for node, (planned, twin) in zip(leftover, expected, strict=True):
            if bare(theirs, node) != bare(ours, planned):
                raise Differs(f"node {title(node)!r} is not what its fold leaves", title(node))
            if node.op_type not in _CHANGING or not is_default_domain(node):
                raise Differs(f"node {title(node)!r} is none that a fold changes", title(node))
            if twin is not None and essence(theirs, node) != essence(ours, twin):
                raise Differs(f"node {title(node)!r} is not the one that was there", title(node))
            if twin is not None:
                same_bodies(node, twin)
        return [(node, twin) for node, (_, twin) in zip(leftover, expected, strict=True)]

    def _is_new_constant(self, node: NodeProto) -> bool:
        is_constant = node.op_type == "Constant" and is_default_domain(node)
        return is_constant and node.output[0] in self.draft.changed

    def _cut_affines(self, claimed: set[int]) -> None:
        """Let the output of each affine node that a fold claims count as its input."""
        constants = self.draft.constants
        for index in sorted(claimed):
            node = self.before.node[index]
            is_gone = self.draft.nodes.get(index) is None
            is_affine = node.op_type in _AFFINES and is_default_domain(node)
            if is_affine and (is_gone or index in self.draft.shifts):
                data = [name for name in node.input if name and name not in constants]
                if len(data) == 1:
                    self.cut[node.output[0]] = self._root(data[0])

    def _root(self, name: str) -> str:
        while name in self.cut:
            name = self.cut[name]
        return name

    def _meaning(self, name: str) -> str:
        """The value of the reference that a name of the candidate stands for, affines cut out."""
        return self._root(self.value.get(name, name))

    def _name_outputs(self, node: NodeProto, twin: NodeProto | None) -> None:
        if twin is None:
            data = next(name for name in node.input if name not in self.draft.changed)
            self.value[node.output[0]] = self._meaning(data)
        elif len(node.output) != len(twin.output):
            raise Differs(f"node {title(node)!r} has other outputs", title(node))
        else:
            self.value.update(zip(node.output, twin.output, strict=True))

    def _same_inputs(self, node: NodeProto, twin: NodeProto | None) -> None:
        if twin is None:
            return
        same_attributes(node, twin, self.draft)
        if len(node.input) < len(twin.input):
            raise Differs(f"node {title(node)!r} lacks an input", title(node))
        for slot, name in enumerate(node.input):
            was = twin.input[slot] if slot < len(twin.input) else ""
            changed = self.draft.changed.get(name)
            if changed is not None:
                same = self._is_made_of(changed, was)
            elif was in self.draft.constants or not was:
                same = name == was
            else:
                same = self._meaning(name) == self._root(was)
            if not same:
                raise Differs(f"input {slot} of node {title(node)!r} is another value", title(node))

    def _is_made_of(self, changed: Changed, was: str) -> bool:
        """Whether a folded tensor was the constant of that name before; none was if it is empty."""
        original = self.draft.copies.original
        if changed.origin is None or not was:
            return changed.origin == (was or None)
        return original(changed.origin) == original(was)

    def _check_seen(self, pairs: list[Pair]) -> None:
        """What was made by changed nodes is a value under its own name, or seen by none else."""
        known = {name for node in self.before.node for name in node.output}
        private: set[str] = set()
        for node, _ in pairs:
            private.update(name for name in node.output if name)
        for name in private & known:
            if self._meaning(name) != self._root(name):
                raise Differs(f"value {name!r} is another one than before", name)
        self._check_private(private - known, pairs)

    def _check_private(self, private: set[str], pairs: list[Pair]) -> None:
        """Nobody but folded nodes reads an unfinished value or a folded tensor."""
        hidden, ids = private | self.draft.changed.keys(), {id(node) for node, _ in pairs}
        for node in self.after.node:
            for name in node.input:
                if name in hidden and id(node) not in ids:
                    raise Differs(f"node {title(node)!r} reads {name!r}, which changed", name)
        given = {value.name for value in self.after.output} - {*self.draft.given.values()}
        seen = given | self.draft.scope.captured
        seen |= {name for graph in bodies(self.after) for name in names(graph)}
        read = {name for node in self.after.node for name in node.input} | seen
        read.update(self.draft.given.values())
        for node, twin in pairs:
            shift, scope = node.output[0], self.draft.scope
            was_read = shift not in scope.producers or shift in scope.readers
            if twin is None and shift not in read and was_read:
                raise Differs(f"nobody reads the shift of {title(node)!r}", node.output[0])
        for name in hidden & seen:
            raise Differs(f"{name!r} is seen by others although it changed", name)
