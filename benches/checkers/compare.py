"""Runs the gradient checkers on the functions in functions.json and writes docs/checkers.md.

    compare.py [--python PATH] [--output FILE] [--keep FILE] [--from FILE]

`--python` is an interpreter with PyTorch and JAX; Cargo builds the rest. `--keep` writes what the
programs printed, `--from` takes it from there instead of running them. Exit code 0: the table is written;
1: a program failed, or a row is missing.
"""

import argparse
import datetime
import json
import os
import pathlib
import platform
import subprocess
import sys

HERE = pathlib.Path(__file__).resolve().parent
ROOT = HERE.parent.parent
ROWS = json.loads((HERE / "functions.json").read_text())["rows"]

# In the order of the columns.
TOOLS = {
    "burn-autograd": "burn-autograd",
    "gradcheck-crate": "`gradcheck`",
    "torch-slow": "PyTorch",
    "torch-fast": "PyTorch, fast",
    "jax": "JAX",
}
SETTINGS = {
    "burn-autograd": "`Gradcheck::new()`: steps from ¼, no tolerance, no reference device; Flex. For the rows of "
    "order 2, `run_order`.",
    "gradcheck-crate": "`gradcheck::gradcheck` with `Config::f64_defaults()` (step 1e-5, rel_tol 1e-6, abs_tol "
    "1e-10, floor 2e-10) or `f32_defaults()` (1e-2, 1e-3, 1e-4, 2e-4), which is its default. Through its trait "
    "`Backend`, on plain numbers, without Burn: computed in `f64`, rounded to `f32` in the rows of that type, and "
    "summed in `f64`. It takes one input: a function of several is checked in one after the other.",
    "torch-slow": "`torch.autograd.gradcheck` (eps 1e-6, atol 1e-5, rtol 1e-3); then `gradgradcheck` for the rows of "
    "order 2. Its documentation says that the defaults are for double precision.",
    "torch-fast": "the same with `fast_mode=True`.",
    "jax": "`jax.test_util.check_grads` (eps 1e-4; atol and rtol 1e-5 in `f64`, 2e-3 in `f32`), "
    '`modes=["rev"]`, because a function with a backward of its own has no forward mode. The gradient is compared '
    "in one random direction.",
}
# Characters of a reason that are shown.
REASON = 200
VERDICTS = ("accept", "reject", "undecided", "not run")
CLASSES = {
    "right": "The gradient is right, or at a tie a subgradient",
    "wrong": "The gradient is wrong",
    "none": "There is no gradient",
}


def run(command, **options):
    """What a program prints, as JSON; what it says of itself goes to the terminal."""
    print("+", " ".join(map(str, command)), file=sys.stderr, flush=True)
    done = subprocess.run(
        list(map(str, command)), cwd=ROOT, stdout=subprocess.PIPE, text=True, **options
    )
    if done.returncode != 0:
        sys.exit(f"compare.py: {command[0]} failed with {done.returncode}")
    return [json.loads(line) for line in done.stdout.splitlines() if line.startswith("{")]


def on_threads(count):
    """The environment and the processors of a program that may use this many."""
    cores = sorted(os.sched_getaffinity(0))[:count]
    if len(cores) < count:
        return None
    variables = {"OMP_NUM_THREADS": str(count), "RAYON_NUM_THREADS": str(count)}
    environment = {**os.environ, **variables}
    return {"env": environment, "preexec_fn": lambda: os.sched_setaffinity(0, cores)}


def collect(python):
    crate = HERE / "gradcheck-crate" / "Cargo.toml"
    ours = ["cargo", "bench", "--quiet", "--no-default-features", "--features", "flex,ndarray"]
    ours += ["--bench", "checkers"]
    run([*ours, "--no-run"])
    peers = [python, HERE / "peers.py"]
    one = {"env": {**os.environ, "OMP_NUM_THREADS": "1"}}
    lines = run(ours)
    lines += run(["cargo", "run", "--quiet", "--release", "--locked", "--manifest-path", crate])
    for tool in ("torch-slow", "torch-fast", "jax"):
        lines += run([*peers, tool], **one)
    for count in (1, 2):
        options = on_threads(count)
        if options is not None:
            lines += run([*ours, "--", "--timing"], **options)
            lines += run([*peers, "torch-slow", "--timing"], **options)
    return lines


def mark(row, verdict):
    """Whether a verdict on a row is right (True), wrong (False) or neither."""
    if verdict == "not run":
        return None
    if row["class"] == "none":
        return verdict != "accept"
    if verdict == "undecided":
        return None
    return verdict == {"right": "accept", "wrong": "reject"}[row["class"]]


def cell(row, verdict):
    sign = {True: "✓ ", False: "✗ ", None: ""}[mark(row, verdict)]
    return sign + verdict


def table(head, rows, align=None):
    align = align or ["---"] * len(head)
    lines = ["| " + " | ".join(head) + " |", "|" + "|".join(align) + "|"]
    lines += ["| " + " | ".join(map(str, row)) + " |" for row in rows]
    return "\n".join(lines)


def judgements(found):
    """The table of all rows, in three parts."""
    parts = []
    for kind, title in CLASSES.items():
        lines = [
            [row["id"], row["function"], row["gradient"], row["dtype"]]
            + [cell(row, found[tool, row["id"]]["verdict"]) for tool in TOOLS]
            for row in ROWS
            if row["class"] == kind
        ]
        head = ["id", "function", "its gradient", "type", *TOOLS.values()]
        parts.append(f"### {title}\n\n" + table(head, lines).replace("|x|", "\\|x\\|"))
    return "\n\n".join(parts)


def summary(found):
    def count(tool, rows, test):
        return sum(test(row, found[tool, row["id"]]["verdict"]) for row in rows)

    def of(dtype, kind):
        return [row for row in ROWS if row["dtype"] == dtype and row["class"] == kind]

    wrong = lambda row, verdict: mark(row, verdict) is False
    lines = []
    for dtype in ("f64", "f32"):
        for kind, what in (
            ("right", "right gradients rejected"),
            ("wrong", "wrong gradients accepted"),
            ("none", "accepted without there being one"),
        ):
            rows = of(dtype, kind)
            if rows:
                counts = [count(tool, rows, wrong) for tool in TOOLS]
                lines.append([f"{dtype}: {what}, of {len(rows)}", *counts])
    lines.append([f"**wrong verdicts, of {len(ROWS)}**"])
    lines[-1] += [f"**{count(tool, ROWS, wrong)}**" for tool in TOOLS]
    right = lambda row, verdict: mark(row, verdict) is True
    lines.append(["right verdicts", *[count(tool, ROWS, right) for tool in TOOLS]])
    undecided = lambda row, verdict: verdict == "undecided" and mark(row, verdict) is None
    for kind in ("right", "wrong"):
        rows = [row for row in ROWS if row["class"] == kind]
        counts = [count(tool, rows, undecided) for tool in TOOLS]
        lines.append([f"undecided, the gradient being {kind}", *counts])
    lines.append(["not run", *[count(t, ROWS, lambda _, v: v == "not run") for t in TOOLS]])
    return table(["", *TOOLS.values()], lines, ["---"] + ["--:"] * len(TOOLS))


def reasons(found):
    """Why a row was not run or is undecided."""
    lines = []
    for tool, name in TOOLS.items():
        for row in ROWS:
            line = found[tool, row["id"]]
            if line["verdict"] in ("undecided", "not run"):
                reason = " ".join(line["reason"].split())
                if len(reason) > REASON:
                    reason = reason[:REASON].rsplit(" ", 1)[0] + " …"
                lines.append(f"- {name}, {row['id']}, {line['verdict']}: {reason}")
    return "\n".join(lines)


def timing(lines):
    forms = {
        ("burn-autograd", "operation"): "burn-autograd, its operation `trace_inverse`",
        ("burn-autograd", "function"): "burn-autograd, the same formulas as a `Function`",
        ("torch-slow", None): "PyTorch, the same formulas as a `torch.autograd.Function`",
    }
    timed = {(line["tool"], line.get("form"), line["threads"]): line for line in lines}
    threads = sorted({line["threads"] for line in lines})

    def milliseconds(key, count):
        line = timed.get((*key, count))
        return "-" if line is None else f"{1e3 * line['seconds']:.0f}"

    rows = [[name, *[milliseconds(key, n) for n in threads]] for key, name in forms.items()]
    head = ["checker", *[f"{n} core{'s' if n > 1 else ''}, ms" for n in threads]]
    return table(head, rows, ["---"] + ["--:"] * len(threads))


def processor():
    for line in pathlib.Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            return line.split(":", 1)[1].strip()
    return platform.machine()


def text(lines):
    found = {(line["tool"], line["id"]): line for line in lines if "id" in line}
    missing = [(tool, row["id"]) for tool in TOOLS for row in ROWS if (tool, row["id"]) not in found]
    strange = [key for key, line in found.items() if line["verdict"] not in VERDICTS]
    if missing or strange:
        sys.exit(f"compare.py: missing: {missing}; no verdict: {strange}")
    versions = {line["tool"]: line["version"] for line in lines if "version" in line}
    settings = "\n".join(
        f"- {name}, {versions[tool]}: {SETTINGS[tool]}" for tool, name in TOOLS.items()
    )
    timed = [line for line in lines if "timing" in line]
    return f"""# Gradient checkers compared

Generated by `benches/checkers/compare.py`.

The same functions, the same gradients and the same inputs, to the bit, are given to several gradient checkers,
each with its defaults. Each function has a backward of its own; where it is wrong, the mistake was planted.

{settings}

A verdict is *accept*, *reject* or *undecided*; burn-autograd and the crate `gradcheck` have verdicts that are
neither, *unchecked* and *invalid*, and `assert_pass` panics on both. ✓ is a right verdict and ✗ a wrong one. On a
right gradient *reject* is wrong, on a wrong one *accept*; where there is no gradient, because the output is not a
number or the function is none, *accept* alone is wrong. *Undecided* is otherwise neither right nor wrong, and is
counted by itself. At a tie any subgradient counts as right. *Not run*: the checker has no such check, or it needs
too much memory or time.

The rows were chosen by us, for what is known to be difficult for numeric derivatives and for mistakes that occur;
they are no sample of anything, so the numbers are no rates.

## Wrong verdicts

{summary(found)}

## Timing

The check of (A·B⁻¹)ᵀ + tr(A)·B for two batches of two 16×16 matrices in `f64`: the Jacobian has
1024 × 512 entries, all of which are compared. burn-autograd then makes its structural checks, too, and takes some
twenty function values for each input element where PyTorch takes two. The fastest of three, after one that is not
counted; the processes were bound to as many cores.

{timing(timed)}

## Verdicts

{judgements(found)}

## Undecided and not run

{reasons(found)}

## To repeat it

```sh
python3 -m venv peers
peers/bin/pip install torch=={versions["torch-slow"].split("+")[0]} jax=={versions["jax"]}
python3 benches/checkers/compare.py --python peers/bin/python
```

The inputs and their generator are in `benches/checkers/functions.json`, the functions in `functions.rs`,
`peers.py` and `gradcheck-crate` beside it. Of {datetime.date.today().isoformat()}; {processor()}, \
{len(os.sched_getaffinity(0))} cores; Linux, Python {platform.python_version()}.
"""


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--python", default=sys.executable, help="with PyTorch and JAX")
    parser.add_argument("--output", type=pathlib.Path, default=ROOT / "docs" / "checkers.md")
    parser.add_argument("--keep", type=pathlib.Path, help="write the programs' lines to this file")
    parser.add_argument("--from", dest="source", type=pathlib.Path, help="take them from there")
    arguments = parser.parse_args()
    if arguments.source:
        lines = [json.loads(line) for line in arguments.source.read_text().splitlines()]
    else:
        python = pathlib.Path(arguments.python)
        # A link into a virtual environment is not followed: it would lead out of it.
        lines = collect(python.absolute() if python.exists() else arguments.python)
    if arguments.keep:
        arguments.keep.write_text("".join(json.dumps(line) + "\n" for line in lines))
    arguments.output.write_text(text(lines))
    print(f"wrote {arguments.output}", file=sys.stderr)


if __name__ == "__main__":
    main()
