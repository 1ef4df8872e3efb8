"""What PyTorch's and JAX's gradient checkers say of the functions in functions.json.

    peers.py torch-slow|torch-fast|jax [--only ID] [--timing]

Prints a line of JSON for each row. Each checker runs with its defaults; two things must be said, and are
in the lines' `tool`: PyTorch's `fast_mode`, and JAX's `modes=["rev"]`, because a function with a backward
of its own has no forward mode. `--timing` times PyTorch's check of one larger function instead.
"""

import argparse
import json
import os
import pathlib
import time
import warnings

FUNCTIONS = json.loads((pathlib.Path(__file__).parent / "functions.json").read_text())

# One and a half, in one of a thousand entries.
ODD_ENTRY, ODD_FACTOR = 500, 1.5
SCALES = [1e6, 1.0, 1e-3]
TARGETS = [1, 3, 0]


def numbers(array):
    """The elements of an input, in double precision."""
    if "values" in array:
        return array["values"]
    state, elements = array["seed"], []
    for _ in range(product(array["shape"])):
        state = (1664525 * state + 1013904223) % 2**32
        elements.append(array["low"] + (array["high"] - array["low"]) * ((state >> 8) / 2**24))
    size = array["shape"][-1]
    if "diagonal" in array:
        for position in range(len(elements)):
            row, column = position // size % size, position % size
            elements[position] += array["diagonal"] if row == column else 0.0
    return elements


def product(sizes):
    result = 1
    for size in sizes:
        result *= size
    return result


def emit(**line):
    print(json.dumps(line, ensure_ascii=False), flush=True)


def first_line(error):
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return f"{type(error).__name__}: {lines[0] if lines else ''}"[:200]


def torch_functions():
    """Each row's function: a `torch.autograd.Function` with the backward that is to be checked."""
    import torch

    def function(forward, backward):
        """`backward` gets the inputs and the cotangent, and gives a gradient for each input."""

        class Planted(torch.autograd.Function):
            @staticmethod
            def forward(ctx, *inputs):
                ctx.save_for_backward(*inputs)
                return forward(*inputs)

            @staticmethod
            def backward(ctx, g):
                return backward(*ctx.saved_tensors, g)

        return Planted.apply

    def constant(like, values):
        return torch.tensor(values, dtype=like.dtype)

    def odd(g):
        weights = torch.ones_like(g)
        weights[ODD_ENTRY] = ODD_FACTOR
        return g * weights

    def scaled_sum(wrong):
        def backward(x, g):
            scales = constant(x, SCALES)
            scales[-1] *= wrong
            return g * 2 * x * scales

        return function(lambda x: (x**2 * constant(x, SCALES)).sum().reshape(1), backward)

    def softmax(factor):
        def backward(x, g):
            s = x.softmax(1)
            return factor * s * (g - (g * s).sum(1, keepdim=True))

        return function(lambda x: x.softmax(1), backward)

    def cross_entropy():
        def hot(x):
            return torch.nn.functional.one_hot(torch.tensor(TARGETS), x.shape[1]).to(x.dtype)

        return function(
            lambda x: -(hot(x) * x.log_softmax(1)).sum().reshape(1) / x.shape[0],
            lambda x, g: g.reshape(1, 1) * (x.softmax(1) - hot(x)) / x.shape[0],
        )

    def times(a, b):
        re, im = a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]
        return torch.stack([re, im])

    def chain(z, left_out=None):
        result = constant(z, [1.0, 0.0])
        for position in range(z.shape[0]):
            if position != left_out:
                result = times(result, z[position])
        return result

    def chain_backward(z, g):
        conjugate = constant(z, [1.0, -1.0])
        rows = [times(g, chain(z, left_out=k) * conjugate) for k in range(z.shape[0])]
        return torch.stack(rows)

    def trace(x):
        return x.diagonal(dim1=1, dim2=2).sum(1).reshape(-1, 1, 1)

    def trace_inverse(a, b):
        return (a @ torch.linalg.inv(b)).mT + trace(a) * b

    def trace_inverse_right(a, b, g):
        inverse = torch.linalg.inv(b).mT
        inner = (g * b).sum((1, 2), keepdim=True)
        da = g.mT @ inverse + inner * torch.eye(b.shape[1], dtype=b.dtype)
        db = trace(a) * g - inverse @ a.mT @ g.mT @ inverse
        return da, db

    def trace_inverse_published(a, b, g):
        inverse = torch.linalg.inv(b)
        da = g @ inverse.mT + trace(g) * torch.eye(b.shape[1], dtype=b.dtype)
        db = trace(g) * b - inverse.mT @ a.mT @ g @ inverse
        return da, db

    def max_tie(share):
        def backward(x, g):
            if share:
                ties = (x == x.max()).to(x.dtype)
                return g * ties / ties.sum()
            return torch.zeros_like(x).scatter(0, x.argmax().reshape(1), g)

        return function(lambda x: x.max().reshape(1), backward)

    def dropped(x):
        return x**2 * (torch.rand_like(x) < 0.5).to(x.dtype) * 2

    def cubic(keep):
        return function(
            lambda x: 2.5 * x**3 - 1.5 * x, lambda x, g: g * (7.5 * keep(x) ** 2 - 1.5)
        )

    square = function(lambda x: x**2, lambda x, g: g * 2 * x)
    exp = function(torch.exp, lambda x, g: g * x.exp())
    sin = function(torch.sin, lambda x, g: g * x.cos())
    linear = function(lambda x: 5 * x, lambda x, g: 5 * g)
    cube = function(lambda x: x**3, lambda x, g: g * 3 * x**2)
    relu = function(lambda x: x.clamp(min=0), lambda x, g: g * (x > 0))
    absolute = function(torch.abs, lambda x, g: g * x.sign())
    steep = lambda k: function(lambda x: (k * x).exp(), lambda x, g: g * k * (k * x).exp())
    scaled = lambda k, wrong=1.0: function(lambda x: k * x**2, lambda x, g: g * wrong * k * 2 * x)
    factor = lambda k: function(torch.exp, lambda x, g: g * x.exp() * k)
    identity = lambda backward: function(lambda x: x.clone(), lambda x, g: backward(g))
    rounded = lambda dtype: function(torch.exp, lambda x, g: g * x.exp().to(dtype).to(x.dtype))
    inverse = torch.linalg.inv
    return {
        "square-f32": square,
        "square-large-f32": square,
        "exp-f32": exp,
        "exp-large-f32": exp,
        "sin-f32": sin,
        "sin-large-f32": sin,
        "linear-f32": linear,
        "linear-large-f32": linear,
        "cube-f32": cube,
        "cube-large-f32": cube,
        "relu": relu,
        "relu-near-kink": relu,
        "abs": absolute,
        "abs-near-kink": absolute,
        "sqrt-near-zero": function(torch.sqrt, lambda x, g: g * 0.5 / x.sqrt()),
        "log-near-zero": function(torch.log, lambda x, g: g / x),
        "max-tie-shared": max_tie(True),
        "max-tie-first": max_tie(False),
        "steep": steep(10),
        "steeper": steep(1000),
        "scaled-small": scaled(1e-8),
        "scaled-large": scaled(1e8),
        "mixed-scales": scaled_sum(1.0),
        "inverse-ill-conditioned": function(
            inverse, lambda a, g: -(inverse(a).mT @ g @ inverse(a).mT)
        ),
        "multiply-add-f32": function(
            lambda w, x, b: w * x + b,
            lambda w, x, b, g: ((g * x).sum(0, keepdim=True), g * w, g.sum(0, keepdim=True)),
        ),
        "matmul-f32": function(lambda a, b: a @ b, lambda a, b, g: (g @ b.mT, a.mT @ g)),
        "cross-entropy-f32": cross_entropy(),
        "trace-inverse": function(trace_inverse, trace_inverse_right),
        "sum-10000-f32": function(lambda x: x.sum().reshape(1), lambda x, g: g.expand(x.shape)),
        "softmax": softmax(1.0),
        "complex-product": function(chain, chain_backward),
        "independent-input": function(
            lambda x, y: x**2, lambda x, y, g: (g * 2 * x, torch.zeros_like(y))
        ),
        "second-order": cubic(lambda x: x),
        "identity-10000": identity(lambda g: g),
        "identity-1000-one-entry": identity(odd),
        "identity-10000-reversed": identity(lambda g: g.flip(0)),
        "identity-200000-zero": identity(torch.zeros_like),
        "factor-1.001": factor(1.001),
        "factor-1.0001": factor(1.0001),
        "factor-1.01-f32": factor(1.01),
        "sign": function(torch.cos, lambda x, g: g * x.sin()),
        "transpose": function(lambda x: x.mT.clone(), lambda x, g: g),
        "swapped-inputs": function(lambda a, b: a**2 * b, lambda a, b, g: (g * a**2, g * 2 * a * b)),
        "missing-term": function(lambda x: x * x.exp(), lambda x, g: g * x * x.exp()),
        "cotangent-ignored": function(torch.exp, lambda x, g: x.exp()),
        "broadcast-sliced": function(lambda x, b: x + b, lambda x, b, g: (g, g[:1])),
        "shifted-index": function(torch.exp, lambda x, g: g * x.exp().roll(1)),
        "softmax-half": softmax(0.5),
        "scaled-small-doubled": scaled(1e-8, 2.0),
        "mixed-scales-one-entry": scaled_sum(1.01),
        "relu-leak": function(
            lambda x: x.clamp(min=0), lambda x, g: torch.where(x > 0, g, 1e-4 * g)
        ),
        "half-precision-f32": rounded(torch.float16),
        "single-precision": rounded(torch.float32),
        "trace-inverse-published": function(trace_inverse, trace_inverse_published),
        "floor": function(torch.floor, lambda x, g: g),
        "detached": lambda x: x.detach().exp(),
        "second-order-cut": cubic(lambda x: x.detach()),
        "nan": function(torch.sqrt, lambda x, g: g * 0.5 / x.sqrt()),
        "random": dropped,
    }


class Torch:
    """PyTorch's `gradcheck`, with its defaults but for `fast_mode`."""

    # Above this the numeric and the analytic Jacobian, the latter computed twice, are not kept in memory.
    ENTRIES = 2 * 10**8

    def __init__(self, fast):
        import torch

        self.torch = torch
        self.fast = fast
        self.name = "torch-fast" if fast else "torch-slow"
        self.functions = torch_functions()
        # It warns of single precision, and of what it cannot check.
        warnings.simplefilter("ignore")
        torch.manual_seed(0)
        emit(tool=self.name, version=torch.__version__)

    def inputs(self, arrays, dtype):
        dtype = {"f32": self.torch.float32, "f64": self.torch.float64}[dtype]
        return tuple(
            self.torch.tensor(numbers(array), dtype=dtype).reshape(array["shape"]).requires_grad_()
            for array in arrays
        )

    def check(self, row):
        f, inputs = self.functions[row["id"]], self.inputs(row["inputs"], row["dtype"])
        entries = sum(x.numel() for x in inputs) * f(*inputs).numel()
        if not self.fast and entries > self.ENTRIES:
            size = 8 * entries / 2**30
            return "not run", f"its Jacobian has {entries:.0e} entries, {size:.0f} GiB"
        autograd = self.torch.autograd
        try:
            autograd.gradcheck(f, inputs, fast_mode=self.fast)
            if row.get("order") == 2:
                autograd.gradgradcheck(f, inputs, fast_mode=self.fast)
        except (RuntimeError, ValueError) as error:  # GradcheckError is a RuntimeError.
            return "reject", first_line(error)
        return "accept", ""

    def time(self):
        f = self.functions["trace-inverse"]
        inputs = self.inputs(FUNCTIONS["timing"], "f64")
        threads = int(os.environ.get("OMP_NUM_THREADS", "1"))
        self.torch.set_num_threads(threads)
        self.torch.autograd.gradcheck(f, inputs, fast_mode=self.fast)
        seconds = []
        for _ in range(3):
            start = time.perf_counter()
            self.torch.autograd.gradcheck(f, inputs, fast_mode=self.fast)
            seconds.append(time.perf_counter() - start)
        emit(tool=self.name, timing="check", threads=threads, seconds=min(seconds))


def jax_functions():
    """Each row's function: a `jax.custom_vjp` with the backward that is to be checked."""
    import jax
    import jax.numpy as jnp
    import numpy as np

    def function(forward, backward):
        """`backward` gets the inputs and the cotangent, and gives a gradient for each input."""
        planted = jax.custom_vjp(forward)
        one = forward.__code__.co_argcount == 1

        def pull(inputs, g):
            gradients = backward(*inputs, jnp.asarray(g))
            return (gradients,) if one else gradients

        planted.defvjp(lambda *inputs: (forward(*inputs), inputs), pull)
        return planted

    def constant(like, values):
        return jnp.array(values, dtype=like.dtype)

    def scaled_sum(wrong):
        scales = SCALES[:-1] + [SCALES[-1] * wrong]
        return function(
            lambda x: (x**2 * constant(x, SCALES)).sum().reshape(1),
            lambda x, g: g * 2 * x * constant(x, scales),
        )

    def softmax(factor):
        def backward(x, g):
            s = jax.nn.softmax(x, 1)
            return factor * s * (g - (g * s).sum(1, keepdims=True))

        return function(lambda x: jax.nn.softmax(x, 1), backward)

    def cross_entropy():
        def hot(x):
            return jax.nn.one_hot(jnp.array(TARGETS), x.shape[1], dtype=x.dtype)

        return function(
            lambda x: -(hot(x) * jax.nn.log_softmax(x, 1)).sum().reshape(1) / x.shape[0],
            lambda x, g: g.reshape(1, 1) * (jax.nn.softmax(x, 1) - hot(x)) / x.shape[0],
        )

    def times(a, b):
        return jnp.stack([a[0] * b[0] - a[1] * b[1], a[0] * b[1] + a[1] * b[0]])

    def product_but(z, left_out):
        result = constant(z, [1.0, 0.0])
        for position in range(z.shape[0]):
            if position != left_out:
                result = times(result, z[position])
        return result

    def chain(z):
        return product_but(z, None)

    def chain_backward(z, g):
        conjugate = constant(z, [1.0, -1.0])
        return jnp.stack([times(g, product_but(z, k) * conjugate) for k in range(z.shape[0])])

    def trace(x):
        return jnp.trace(x, axis1=1, axis2=2).reshape(-1, 1, 1)

    def trace_inverse(a, b):
        return (a @ jnp.linalg.inv(b)).mT + trace(a) * b

    def trace_inverse_right(a, b, g):
        inverse = jnp.linalg.inv(b).mT
        inner = (g * b).sum((1, 2), keepdims=True)
        da = g.mT @ inverse + inner * jnp.eye(b.shape[1], dtype=b.dtype)
        db = trace(a) * g - inverse @ a.mT @ g.mT @ inverse
        return da, db

    def trace_inverse_published(a, b, g):
        inverse = jnp.linalg.inv(b)
        da = g @ inverse.mT + trace(g) * jnp.eye(b.shape[1], dtype=b.dtype)
        db = trace(g) * b - inverse.mT @ a.mT @ g @ inverse
        return da, db

    def max_tie(share):
        def backward(x, g):
            if share:
                ties = (x == x.max()).astype(x.dtype)
                return g * ties / ties.sum()
            return jnp.zeros_like(x).at[x.argmax()].set(g[0])

        return function(lambda x: x.max().reshape(1), backward)

    random = np.random.RandomState(0)

    def dropped(x):
        # Outside of what JAX traces: each call draws anew.
        return x**2 * constant(x, random.rand(*x.shape) < 0.5) * 2

    def cubic(keep):
        return function(
            lambda x: 2.5 * x**3 - 1.5 * x, lambda x, g: g * (7.5 * keep(x) ** 2 - 1.5)
        )

    square = function(lambda x: x**2, lambda x, g: g * 2 * x)
    exp = function(lambda x: jnp.exp(x), lambda x, g: g * jnp.exp(x))
    sin = function(lambda x: jnp.sin(x), lambda x, g: g * jnp.cos(x))
    linear = function(lambda x: 5 * x, lambda x, g: 5 * g)
    cube = function(lambda x: x**3, lambda x, g: g * 3 * x**2)
    relu = function(lambda x: jnp.maximum(x, 0), lambda x, g: g * (x > 0))
    absolute = function(lambda x: jnp.abs(x), lambda x, g: g * jnp.sign(x))
    steep = lambda k: function(lambda x: jnp.exp(k * x), lambda x, g: g * k * jnp.exp(k * x))
    scaled = lambda k, wrong=1.0: function(lambda x: k * x**2, lambda x, g: g * wrong * k * 2 * x)
    factor = lambda k: function(lambda x: jnp.exp(x), lambda x, g: g * jnp.exp(x) * k)
    identity = lambda backward: function(lambda x: x + 0, lambda x, g: backward(g))
    rounded = lambda dtype: function(
        lambda x: jnp.exp(x), lambda x, g: g * jnp.exp(x).astype(dtype).astype(x.dtype)
    )
    inverse = jnp.linalg.inv
    return {
        "square-f32": square,
        "square-large-f32": square,
        "exp-f32": exp,
        "exp-large-f32": exp,
        "sin-f32": sin,
        "sin-large-f32": sin,
        "linear-f32": linear,
        "linear-large-f32": linear,
        "cube-f32": cube,
        "cube-large-f32": cube,
        "relu": relu,
        "relu-near-kink": relu,
        "abs": absolute,
        "abs-near-kink": absolute,
        "sqrt-near-zero": function(lambda x: jnp.sqrt(x), lambda x, g: g * 0.5 / jnp.sqrt(x)),
        "log-near-zero": function(lambda x: jnp.log(x), lambda x, g: g / x),
        "max-tie-shared": max_tie(True),
        "max-tie-first": max_tie(False),
        "steep": steep(10),
        "steeper": steep(1000),
        "scaled-small": scaled(1e-8),
        "scaled-large": scaled(1e8),
        "mixed-scales": scaled_sum(1.0),
        "inverse-ill-conditioned": function(
            lambda a: inverse(a), lambda a, g: -(inverse(a).mT @ g @ inverse(a).mT)
        ),
        "multiply-add-f32": function(
            lambda w, x, b: w * x + b,
            lambda w, x, b, g: ((g * x).sum(0, keepdims=True), g * w, g.sum(0, keepdims=True)),
        ),
        "matmul-f32": function(lambda a, b: a @ b, lambda a, b, g: (g @ b.mT, a.mT @ g)),
        "cross-entropy-f32": cross_entropy(),
        "trace-inverse": function(trace_inverse, trace_inverse_right),
        "sum-10000-f32": function(
            lambda x: x.sum().reshape(1), lambda x, g: jnp.broadcast_to(g, x.shape)
        ),
        "softmax": softmax(1.0),
        "complex-product": function(chain, chain_backward),
        "independent-input": function(
            lambda x, y: x**2, lambda x, y, g: (g * 2 * x, jnp.zeros_like(y))
        ),
        "second-order": cubic(lambda x: x),
        "identity-10000": identity(lambda g: g),
        "identity-1000-one-entry": identity(lambda g: g.at[ODD_ENTRY].multiply(ODD_FACTOR)),
        "identity-10000-reversed": identity(lambda g: g[::-1]),
        "identity-200000-zero": identity(jnp.zeros_like),
        "factor-1.001": factor(1.001),
        "factor-1.0001": factor(1.0001),
        "factor-1.01-f32": factor(1.01),
        "sign": function(lambda x: jnp.cos(x), lambda x, g: g * jnp.sin(x)),
        "transpose": function(lambda x: x.mT, lambda x, g: g),
        "swapped-inputs": function(lambda a, b: a**2 * b, lambda a, b, g: (g * a**2, g * 2 * a * b)),
        "missing-term": function(lambda x: x * jnp.exp(x), lambda x, g: g * x * jnp.exp(x)),
        "cotangent-ignored": function(lambda x: jnp.exp(x), lambda x, g: jnp.exp(x)),
        "broadcast-sliced": function(lambda x, b: x + b, lambda x, b, g: (g, g[:1])),
        "shifted-index": function(lambda x: jnp.exp(x), lambda x, g: g * jnp.roll(jnp.exp(x), 1)),
        "softmax-half": softmax(0.5),
        "scaled-small-doubled": scaled(1e-8, 2.0),
        "mixed-scales-one-entry": scaled_sum(1.01),
        "relu-leak": function(
            lambda x: jnp.maximum(x, 0), lambda x, g: jnp.where(x > 0, g, 1e-4 * g)
        ),
        "half-precision-f32": rounded(jnp.float16),
        "single-precision": rounded(jnp.float32),
        "trace-inverse-published": function(trace_inverse, trace_inverse_published),
        "floor": function(lambda x: jnp.floor(x), lambda x, g: g),
        "detached": lambda x: jnp.exp(jax.lax.stop_gradient(x)),
        "second-order-cut": cubic(jax.lax.stop_gradient),
        "nan": function(lambda x: jnp.sqrt(x), lambda x, g: g * 0.5 / jnp.sqrt(x)),
        "random": dropped,
    }


class Jax:
    """JAX's `check_grads`, with its defaults but for the mode."""

    def __init__(self):
        import jax

        jax.config.update("jax_enable_x64", True)
        jax.config.update("jax_platforms", "cpu")
        self.functions = jax_functions()
        emit(tool="jax", version=jax.__version__)

    def check(self, row):
        import jax.numpy as jnp
        from jax.test_util import check_grads

        f = self.functions[row["id"]]
        dtype = {"f32": jnp.float32, "f64": jnp.float64}[row["dtype"]]
        inputs = [
            jnp.array(numbers(array), dtype=dtype).reshape(array["shape"])
            for array in row["inputs"]
        ]
        try:
            check_grads(f, inputs, order=row.get("order", 1), modes=["rev"])
        except AssertionError as error:
            return "reject", first_line(error)
        return "accept", ""

    def time(self):
        raise SystemExit("peers.py: JAX checks no full Jacobian, so there is nothing to compare")


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    tools = {"torch-slow": lambda: Torch(False), "torch-fast": lambda: Torch(True), "jax": Jax}
    parser.add_argument("tool", choices=tools)
    parser.add_argument("--only", metavar="ID", help="this row alone")
    parser.add_argument("--timing", action="store_true", help="time a check instead")
    arguments = parser.parse_args()
    tool = tools[arguments.tool]()
    if arguments.timing:
        tool.time()
        return
    for row in FUNCTIONS["rows"]:
        if arguments.only in (None, row["id"]):
            start = time.perf_counter()
            verdict, reason = tool.check(row)
            seconds = time.perf_counter() - start
            emit(tool=arguments.tool, id=row["id"], verdict=verdict, reason=reason, seconds=seconds)


if __name__ == "__main__":
    main()
