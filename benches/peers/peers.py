"""Times PyTorch and JAX on the workloads of our benchmarks: forward and backward, fresh gradients.

usage: peers.py {torch,jax} [--threads N] [--list] [WORKLOAD ...]

Every result is a line of JSON, written as soon as it is there. `cargo xtask bench --peers` runs this
program; README.md beside it says what it needs.
"""

import argparse
import json
import math
import os
import platform
import sys
import time

SIZES = (2_000, 100_000, 10_000_000)
MATRICES = ((2, 3), (4096, 3), (256, 32), (64, 64), (4, 512))
WORKLOADS = [
    *(f"{op}/f32/{n}" for op in ("legendre_p3", "relu", "exp", "multiply_add") for n in SIZES),
    *(f"linear/f32/{shape}" for shape in ("64x3x1", "256x1024x1024")),
    *(f"cross_entropy/f32/{shape}" for shape in ("4096x1000", "256x50257")),
    *(f"trace_inverse/{dtype}/{b}x{n}" for dtype in ("f32", "f64") for b, n in MATRICES),
    "fit_cubic/2000",
    "fit_legendre/2000",
    "gradcheck_trace_inverse/2x3",
    "gradcheck_trace_inverse/2x16",
]

# The fits: y = sin x on [-pi, pi], this many steps of gradient descent from these coefficients.
STEPS = 2_000
FITS = {
    "fit_cubic": ((0.0, 0.0, 0.0, 0.0), 1e-6),
    "fit_legendre": ((0.0, -1.0, 0.0, 0.3), 5e-6),
}


def emit(**fields):
    print(json.dumps(fields), flush=True)


def timed(step):
    """Seconds of one repetition, as our own benchmarks measure: warm-up, then the median."""
    for _ in range(3):
        started = time.perf_counter()
        step()
        if time.perf_counter() - started > 1:
            break
    times, begun = [], time.perf_counter()
    # At most a second or 2,000 repetitions, at least nine, or three of what takes long.
    while len(times) < 2000:
        started = time.perf_counter()
        step()
        now = time.perf_counter()
        times.append(now - started)
        spent = now - begun
        if (spent > 1 and len(times) >= 9) or (spent > 5 and len(times) >= 3):
            break
    times.sort()
    return {"median": times[len(times) // 2], "least": times[0], "repetitions": len(times)}


def composed_p3(x):
    return 0.5 * (5 * x**3 - 3 * x)


def cubic(x):
    return lambda a, b, c, d: a + b * x + c * x**2 + d * x**3


def split(name):
    """`linear/f32/64x3x1` is an operation, a data type and sizes; the fits have no data type."""
    op, *middle, sizes = name.split("/")
    return op, middle[0] if middle else None, tuple(int(size) for size in sizes.split("x"))


class Torch:
    """A method for each operation: it makes the inputs and gives (variant, step) pairs."""

    def __init__(self, threads):
        import torch

        self.torch = torch
        if threads:
            torch.set_num_threads(threads)
        torch.manual_seed(0)
        emit(peer="torch", version=torch.__version__, threads=torch.get_num_threads())
        self.functions = self.make_functions()

    def make_functions(self):
        """Each operation as a `torch.autograd.Function` with an explicit backward."""
        torch = self.torch
        Function = torch.autograd.Function

        class P3(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return composed_p3(x)

            @staticmethod
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return g * 1.5 * (5 * x**2 - 1)

        class Relu(Function):
            @staticmethod
            def forward(ctx, x):
                ctx.save_for_backward(x)
                return x.clamp(min=0)

            @staticmethod
            def backward(ctx, g):
                (x,) = ctx.saved_tensors
                return g * (x > 0)

        class Exp(Function):
            @staticmethod
            def forward(ctx, x):
                y = x.exp()
                ctx.save_for_backward(y)
                return y

            @staticmethod
            def backward(ctx, g):
                (y,) = ctx.saved_tensors
                return g * y

        class MultiplyAdd(Function):
            @staticmethod
            def forward(ctx, w, x, b):
                ctx.save_for_backward(w, x)
                return w * x + b

            @staticmethod
            def backward(ctx, g):
                w, x = ctx.saved_tensors
                return g * x, g * w, g

        class TraceInverse(Function):
            @staticmethod
            def forward(ctx, a, b):
                inverse = torch.linalg.inv(b)
                ctx.save_for_backward(a, b, inverse)
                return (a @ inverse).mT + traces(a) * b

            @staticmethod
            def backward(ctx, g):
                a, b, inverse = ctx.saved_tensors
                da = g.mT @ inverse.mT
                db = traces(a) * g - inverse.mT @ a.mT @ da
                da.diagonal(dim1=1, dim2=2).add_((g * b).sum((1, 2))[:, None])
                return da, db

        def traces(a):
            return a.diagonal(dim1=1, dim2=2).sum(1)[:, None, None]

        self.composed_trace_inverse = lambda a, b: (a @ torch.linalg.inv(b)).mT + traces(a) * b
        return {
            "legendre_p3": P3.apply,
            "relu": Relu.apply,
            "exp": Exp.apply,
            "multiply_add": MultiplyAdd.apply,
            "trace_inverse": TraceInverse.apply,
        }

    def compile(self, function):
        """For these shapes alone: a code that has seen two sizes is compiled for any, and is slower."""
        self.torch.compiler.reset()
        return self.torch.compile(function, dynamic=False)

    def backward(self, leaves, output, cotangent=None):
        """A step: the output, and the gradient of it (or of <cotangent, output>) for each leaf."""

        def step():
            output().backward(cotangent)
            for leaf in leaves:
                leaf.grad = None

        return step

    def elementwise(self, op, inputs, own):
        (size,) = inputs
        torch = self.torch
        arity = 3 if op == "multiply_add" else 1
        leaves = [torch.randn(size, requires_grad=True) for _ in range(arity)]
        g = torch.randn(size)
        forms = {
            "torch": own,
            "torch-function": self.functions[op],
            "torch-compile": self.compile(own),
        }
        for variant, form in forms.items():
            yield variant, self.backward(leaves, lambda form=form: form(*leaves), g)

    def legendre_p3(self, dtype, sizes):
        return self.elementwise("legendre_p3", sizes, composed_p3)

    def relu(self, dtype, sizes):
        return self.elementwise("relu", sizes, self.torch.relu)

    def exp(self, dtype, sizes):
        return self.elementwise("exp", sizes, self.torch.exp)

    def multiply_add(self, dtype, sizes):
        return self.elementwise("multiply_add", sizes, lambda w, x, b: w * x + b)

    def linear(self, dtype, sizes):
        torch = self.torch
        batch, inputs, outputs = sizes
        layer = torch.nn.Linear(inputs, outputs)
        x, g = torch.randn(batch, inputs, requires_grad=True), torch.randn(batch, outputs)
        leaves = [x, *layer.parameters()]
        yield "torch", self.backward(leaves, lambda: layer(x), g)
        compiled = self.compile(layer)
        yield "torch-compile", self.backward(leaves, lambda: compiled(x), g)

    def cross_entropy(self, dtype, sizes):
        torch = self.torch
        batch, classes = sizes
        x = torch.randn(batch, classes, requires_grad=True)
        targets = torch.randint(0, classes, (batch,))
        own = torch.nn.functional.cross_entropy
        yield "torch", self.backward([x], lambda: own(x, targets))
        compiled = self.compile(own)
        yield "torch-compile", self.backward([x], lambda: compiled(x, targets))

    def matrices(self, dtype, sizes):
        torch = self.torch
        batch, n = sizes
        dtype = torch.float32 if dtype == "f32" else torch.float64
        a = torch.randn(batch, n, n, dtype=dtype, requires_grad=True)
        # Far from singular.
        b = torch.randn(batch, n, n, dtype=dtype) + n * torch.eye(n, dtype=dtype)
        return a, b.requires_grad_()

    def trace_inverse(self, dtype, sizes):
        a, b = self.matrices(dtype, sizes)
        forms = {"torch": self.composed_trace_inverse, "torch-function": self.functions["trace_inverse"]}
        for variant, form in forms.items():
            yield variant, self.backward([a, b], lambda form=form: form(a, b).norm())

    def gradcheck_trace_inverse(self, dtype, sizes):
        torch = self.torch
        a, b = self.matrices("f64", sizes)
        form = self.functions["trace_inverse"]
        yield "torch-function", lambda: torch.autograd.gradcheck(form, (a, b), eps=1e-6, atol=1e-4)

    def fit(self, op, sizes, models):
        torch = self.torch
        start, rate = FITS[op]
        x = torch.linspace(-math.pi, math.pi, sizes[0])
        y = torch.sin(x)

        def loop(loss):
            def step():
                leaves = [torch.full((), value, requires_grad=True) for value in start]
                for _ in range(STEPS):
                    loss(*leaves).backward()
                    with torch.no_grad():
                        for leaf in leaves:
                            leaf -= rate * leaf.grad
                            leaf.grad = None

            return step

        for variant, model in models(x).items():
            loss = lambda *leaves, model=model: (model(*leaves) - y).pow(2).sum()
            yield variant, loop(self.compile(loss) if variant == "torch-compile" else loss)

    def fit_cubic(self, dtype, sizes):
        return self.fit(
            "fit_cubic", sizes, lambda x: {"torch": cubic(x), "torch-compile": cubic(x)}
        )

    def fit_legendre(self, dtype, sizes):
        def model(p3, x):
            return lambda a, b, c, d: a + b * p3(c + d * x)

        forms = {
            "torch": composed_p3,
            "torch-function": self.functions["legendre_p3"],
            "torch-compile": composed_p3,
        }
        return self.fit(
            "fit_legendre", sizes, lambda x: {name: model(p3, x) for name, p3 in forms.items()}
        )


class Jax:
    """The same for JAX: everything is compiled."""

    def __init__(self, threads):
        import jax
        import jax.numpy as jnp

        jax.config.update("jax_enable_x64", True)
        self.jax, self.jnp = jax, jnp
        self.key = jax.random.key(0)
        # XLA's CPU client takes every core; there is no option for fewer.
        emit(peer="jax", version=jax.__version__, threads=None)

        @jax.custom_vjp
        def p3(x):
            return composed_p3(x)

        p3.defvjp(lambda x: (p3(x), x), lambda x, g: (g * 1.5 * (5 * x**2 - 1),))
        self.p3 = p3

    def normal(self, *shape, dtype="f32"):
        self.key, key = self.jax.random.split(self.key)
        dtype = self.jnp.float32 if dtype == "f32" else self.jnp.float64
        return self.jax.random.normal(key, shape, dtype)

    def waiting(self, run, *arguments):
        return lambda: self.jax.block_until_ready(run(*arguments))

    def backward(self, function, g, *inputs):
        """A step: the output, and the gradient of <g, output> for each input."""

        def run(g, *inputs):
            y, vjp = self.jax.vjp(function, *inputs)
            return y, vjp(g)

        return self.waiting(self.jax.jit(run), g, *inputs)

    def elementwise(self, function, sizes, arity=1):
        g, *inputs = [self.normal(*sizes) for _ in range(arity + 1)]
        yield "jax", self.backward(function, g, *inputs)

    def legendre_p3(self, dtype, sizes):
        return self.elementwise(self.p3, sizes)

    def relu(self, dtype, sizes):
        return self.elementwise(self.jax.nn.relu, sizes)

    def exp(self, dtype, sizes):
        return self.elementwise(self.jnp.exp, sizes)

    def multiply_add(self, dtype, sizes):
        return self.elementwise(lambda w, x, b: w * x + b, sizes, arity=3)

    def linear(self, dtype, sizes):
        batch, inputs, outputs = sizes
        x, w, g = self.normal(batch, inputs), self.normal(outputs, inputs), self.normal(batch, outputs)
        yield "jax", self.backward(lambda x, w, b: x @ w.T + b, g, x, w, self.normal(outputs))

    def cross_entropy(self, dtype, sizes):
        jax, jnp = self.jax, self.jnp
        batch, classes = sizes
        targets = jax.random.randint(self.key, (batch, 1), 0, classes)

        def loss(x):
            return -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(x), targets, 1))

        yield "jax", self.waiting(jax.jit(jax.value_and_grad(loss)), self.normal(*sizes))

    def trace_inverse(self, dtype, sizes):
        jax, jnp = self.jax, self.jnp
        batch, n = sizes
        a, b = (self.normal(batch, n, n, dtype=dtype) for _ in range(2))

        def norm(a, b):
            y = jnp.swapaxes(a @ jnp.linalg.inv(b), 1, 2)
            return jnp.linalg.norm(y + jnp.trace(a, axis1=1, axis2=2)[:, None, None] * b)

        step = jax.jit(jax.value_and_grad(norm, (0, 1)))
        yield "jax", self.waiting(step, a, b + n * jnp.eye(n, dtype=b.dtype))

    def gradcheck_trace_inverse(self, dtype, sizes):
        return ()

    def fit(self, op, sizes, model):
        jax, jnp = self.jax, self.jnp
        start, rate = FITS[op]
        x = jnp.linspace(-math.pi, math.pi, sizes[0], dtype=jnp.float32)
        y, start = jnp.sin(x), jnp.array(start, jnp.float32)
        gradient = jax.grad(lambda p: jnp.sum((model(x, *p) - y) ** 2))
        descend = lambda p: p - rate * gradient(p)
        one = jax.jit(descend)

        def loop():
            p = start
            for _ in range(STEPS):
                p = one(p)
            return p

        # A call for every step, as a training loop makes; and the loop itself compiled.
        yield "jax-step", self.waiting(loop)
        whole = jax.jit(lambda p: jax.lax.fori_loop(0, STEPS, lambda _, p: descend(p), p))
        yield "jax-whole", self.waiting(whole, start)

    def fit_cubic(self, dtype, sizes):
        return self.fit("fit_cubic", sizes, lambda x, *p: cubic(x)(*p))

    def fit_legendre(self, dtype, sizes):
        return self.fit(
            "fit_legendre", sizes, lambda x, a, b, c, d: a + b * self.p3(c + d * x)
        )


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("peer", choices=("torch", "jax"))
    parser.add_argument("workloads", nargs="*", metavar="WORKLOAD", help="all if none is named")
    parser.add_argument("--threads", type=int, help="PyTorch's threads")
    parser.add_argument("--list", action="store_true", help="list the workloads, time nothing")
    # Options may stand between the positional ones.
    arguments = parser.parse_intermixed_args()
    if arguments.list:
        print("\n".join(WORKLOADS))
        return
    # Like is compared with like, also where there is a GPU.
    os.environ.setdefault("JAX_PLATFORMS", "cpu")
    if arguments.threads:
        # Before the libraries read it.
        os.environ["OMP_NUM_THREADS"] = str(arguments.threads)
    emit(peer="python", version=platform.python_version(), threads=None)
    name = arguments.peer
    try:
        peer = (Torch if name == "torch" else Jax)(arguments.threads)
    except ImportError as error:
        emit(peer=name, missing=str(error))
        return
    for workload in arguments.workloads or WORKLOADS:
        result = {"peer": name, "workload": workload, "threads": arguments.threads}
        if workload.split("/")[0] not in {known.split("/")[0] for known in WORKLOADS}:
            emit(**result, error="the peers have no such workload")
            continue
        variant = name
        try:
            op, dtype, sizes = split(workload)
            for variant, step in getattr(peer, op)(dtype, sizes):
                try:
                    emit(**result, variant=variant, **timed(step))
                except Exception as error:  # this form of it has no number; the next one may
                    emit(**result, variant=variant, error=str(error).strip()[:300])
        except Exception as error:
            emit(**result, variant=variant, error=str(error).strip()[:300])


if __name__ == "__main__":
    sys.exit(main())
