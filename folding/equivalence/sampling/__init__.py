"""What a region of a graph computes at a few elements, in float64 and with numpy alone.

The reference that both the original and the folded layer are held against: onnxruntime has no
kernels in float64 for most layers, and to evaluate whole tensors would cost far more than a run.
Each operator takes the elements that are wanted of its output and asks for those it needs of its
inputs. With the value comes its ``magnitude``: the same evaluated with absolute values and plus
signs, which says by how much rounding can have changed it.

Conversions between float types are not rounded, nor do they overflow.
"""

from folding.equivalence.sampling.evaluation import evaluate
from folding.equivalence.sampling.positions import choose
from folding.equivalence.sampling.region import Region
from folding.equivalence.sampling.values import Sampled, Unsupported

__all__ = ["Region", "Sampled", "Unsupported", "choose", "evaluate"]
