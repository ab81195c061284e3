"""Random models of nested Ifs, and of functions that call each other, over values of one shape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import numpy as np
from graphs import BOOL, FLOAT
from onnx import FunctionProto, GraphProto, ModelProto, NodeProto, helper, numpy_helper

SHAPE = [2, 3]
FLAGS = ("training", "frozen", "open")


@dataclass
class Branching:
    """A random graph; names of branches are few, so that those of siblings collide.

    ``depth`` is how far Ifs are nested. With ``functions``, nodes may call any of them.
    """

    seed: int
    depth: int = 3
    functions: list[FunctionProto] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.random = np.random.default_rng(self.seed)
        self.count = 0

    def pick(self, *choices: str) -> str:
        return str(self.random.choice(choices))

    def model(self) -> ModelProto:
        """The model, with one input that nobody freezes beside the flags."""
        inputs = [helper.make_tensor_value_info("x", FLOAT, SHAPE)]
        inputs += [helper.make_tensor_value_info(flag, BOOL, []) for flag in FLAGS]
        graph = self.graph({"x"}, set(FLAGS), self.depth, "m")
        del graph.output[:]
        graph.output.extend(
            helper.make_tensor_value_info(name, FLOAT, SHAPE)
            for node in graph.node[-2:]
            for name in node.output
            if name not in self.truths
        )
        graph.input.extend(inputs)
        imports = [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)]
        return helper.make_model(
            graph, ir_version=8, opset_imports=imports, functions=self.functions
        )

    def graph(self, floats: set[str], truths: set[str], depth: int, prefix: str) -> GraphProto:
        """A graph that ends with a float value; ``prefix`` keeps its names from those around it."""
        stored = [numpy_helper.from_array(self.array(), f"{prefix}.w")]
        floats, truths = floats | {f"{prefix}.w"}, set(truths)
        nodes: list[NodeProto] = []
        for number in range(int(self.random.integers(2, 6))):
            node = self.node(sorted(floats), sorted(truths), depth, f"{prefix}{number}")
            nodes.append(node)
            kind = truths if node.op_type in ("Not", "And", "Or", "Xor") else floats
            kind.update(node.output)
        last = f"{prefix}.last"
        nodes.append(helper.make_node("Add", [self.pick(*floats), self.pick(*floats)], [last]))
        output = helper.make_tensor_value_info(last, FLOAT, SHAPE)
        self.truths = truths
        return helper.make_graph(nodes, prefix, [], [output], stored)

    def node(self, floats: list[str], truths: list[str], depth: int, name: str) -> NodeProto:
        """A node of a random kind; ``name`` is what it makes."""
        kind = self.pick("If", "If", "logic", "number", "call")
        if kind == "If" and depth:
            flag = self.pick(*truths)
            branches = [self.branches(floats, truths, depth, name) for _ in range(2)]
            then_branch, else_branch = branches
            outputs = [name] if len(then_branch.output) == 1 else [name, f"{name}.also"]
            return helper.make_node(
                "If", [flag], outputs, name, then_branch=then_branch, else_branch=else_branch
            )
        if kind == "logic":
            operator = self.pick("Not", "And", "Or", "Xor")
            count = 1 if operator == "Not" else 2
            return helper.make_node(operator, [self.pick(*truths) for _ in range(count)], [name])
        if kind == "call" and self.functions:
            function = self.functions[int(self.random.integers(len(self.functions)))]
            given = [self.pick(*floats) for _ in function.input[:-1]] + [self.pick(*truths)]
            more: dict[str, Any] = {"slope": 0.5} if self.random.random() < 0.5 else {}
            return helper.make_node(function.name, given, [name], name, domain="my", **more)
        if kind == "call":
            return helper.make_node("Where", [self.pick(*truths), *self.two(floats)], [name])
        return helper.make_node(self.pick("Add", "Mul", "Sub"), self.two(floats), [name])

    def two(self, floats: list[str]) -> list[str]:
        return [self.pick(*floats), self.pick(*floats)]

    def branches(self, floats: list[str], truths: list[str], depth: int, name: str) -> GraphProto:
        """A branch; whether it gives one value or two depends on the name of its If alone."""
        prefix = f"{'abc'[depth % 3]}{'pq'[self.random.integers(2)]}"
        graph = self.graph(set(floats), set(truths), depth - 1, prefix)
        if name.endswith(("1", "3")):
            graph.output.append(helper.make_tensor_value_info(f"{prefix}.w", FLOAT, SHAPE))
        return graph

    def array(self) -> np.ndarray:
        return self.random.uniform(-1, 1, SHAPE).astype(np.float32)

    def function(self, number: int) -> FunctionProto:
        """A function of two numbers and a truth value, which may call those made before."""
        graph = self.graph({"one", "two"}, {"flag"}, 1, "f")
        given = helper.make_node("LeakyRelu", ["f.last"], ["sloped"])
        given.attribute.add(name="alpha", type=1, ref_attr_name="slope")
        (stored,) = graph.initializer
        constant = helper.make_node("Constant", [], [stored.name], value=stored)
        norm = helper.make_node("BatchNormalization", ["sloped", *["unit"] * 4], ["result"])
        unit = numpy_helper.from_array(np.array([0.5, 2, 3], np.float32))
        nodes = [constant, helper.make_node("Constant", [], ["unit"], value=unit), *graph.node]
        return helper.make_function(
            *("my", f"f{number}", ["one", "two", "flag"], ["result"], [*nodes, given, norm]),
            [helper.make_opsetid("", 17), helper.make_opsetid("my", 1)],
            attribute_protos=[helper.make_attribute("slope", 0.25)],
        )


def random_functions(seed: int) -> ModelProto:
    """A model that calls functions, which call each other and have Ifs."""
    made = Branching(seed, depth=2)
    made.functions = []
    for number in range(3):
        made.functions.append(made.function(number))
    return made.model()
