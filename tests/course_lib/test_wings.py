"""The two wings: mirrored, kept apart, and equal in what they compute."""

import ast
import re
from pathlib import Path

import numpy as np
import pytest

LIBRARY = Path(__file__).resolve().parents[2] / "course_lib"
WINGS = ("pytorch", "tensorflow")
AFFIXES = {"pytorch": ("Torch", "_torch"), "tensorflow": ("TF", "_tf")}
# One framework's word for the other's.
WORDS = (
    (r"torch\.nn\.Module|tf\.keras\.Model", "Model"),
    (r"torch\.Tensor|tf\.Tensor", "Tensor"),
    (r"torch\.optim\.Optimizer|tf\.keras\.optimizers\.Optimizer", "Optimizer"),
)


def modules(folder):
    return {path.name: ast.parse(path.read_text("utf8")) for path in sorted(folder.glob("*.py"))}


def neutral(text, wing):
    """A name or signature without its wing's affix and its framework's words."""
    before, after = AFFIXES[wing]
    for pattern, word in WORDS:
        text = re.sub(pattern, word, text)
    return re.sub(rf"\b{before}(?=[A-Z])", "", re.sub(rf"{after}\b", "", text))


def public(tree, wing):
    """Public names of a module, without their affix -> signatures in neutral words."""
    found = {}
    for node in tree.body:
        if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
            returns = ast.unparse(node.returns) if node.returns else ""
            signature = f"{ast.unparse(node.args)} -> {returns}"
            found[neutral(node.name, wing)] = neutral(signature, wing)
        if isinstance(node, ast.ClassDef) and not node.name.startswith("_"):
            start = next(n for n in node.body if getattr(n, "name", "") == "__init__")
            found[neutral(node.name, wing)] = neutral(ast.unparse(start.args), wing)
    return found


def imported(tree):
    """Every module that a file imports, at the top or inside a function; TYPE_CHECKING apart."""
    hidden = {
        id(inner)
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    names = set()
    for node in ast.walk(tree):
        if id(node) in hidden:
            continue
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        if isinstance(node, ast.ImportFrom):
            names.add(node.module or "")
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def imports_of(folder):
    return set().union(*(imported(tree) for tree in modules(folder).values()))


def begins(names, prefix):
    return sorted(n for n in names if n == prefix or n.startswith(prefix + "."))


def test_the_wings_hold_the_same_files():
    torch_wing, tf_wing = (set(modules(LIBRARY / wing)) for wing in WINGS)
    assert torch_wing == tf_wing and len(torch_wing) >= 4


def test_the_wings_hold_the_same_names_and_signatures():
    torch_wing, tf_wing = (modules(LIBRARY / wing) for wing in WINGS)
    for name in torch_wing:
        ours, theirs = public(torch_wing[name], "pytorch"), public(tf_wing[name], "tensorflow")
        assert ours == theirs, f"course_lib/pytorch/{name} and course_lib/tensorflow/{name} differ"


@pytest.mark.parametrize("wing", WINGS)
def test_every_public_name_bears_its_wings_affix(wing):
    before, after = AFFIXES[wing]
    for file, tree in modules(LIBRARY / wing).items():
        for node in tree.body:
            if isinstance(node, (ast.FunctionDef, ast.ClassDef)) and node.name[0] != "_":
                right = node.name.startswith(before) or node.name.endswith(after)
                assert right, f"{wing}/{file}: {node.name} lacks {before}… or …{after}"


@pytest.mark.parametrize("wing, other, framework", [
    ("pytorch", "tensorflow", "tensorflow"), ("tensorflow", "pytorch", "torch")])
def test_a_wing_imports_neither_the_other_nor_the_tools(wing, other, framework):
    names = imports_of(LIBRARY / wing)
    for stranger in (f"course_lib.{other}", framework, "course_tools", "course_lib.parity"):
        assert not begins(names, stranger)
    if wing == "pytorch":
        assert not begins(names, "keras")


def test_scratch_imports_no_framework():
    names = imports_of(LIBRARY / "scratch")
    names -= set(begins(names, "course_lib.scratch"))      # scratch modules may import each other
    for stranger in ("torch", "tensorflow", "keras", "course_lib", "course_tools"):
        assert not begins(names, stranger)


def test_only_parity_and_runtime_may_see_both_frameworks():
    for path in LIBRARY.rglob("*.py"):
        names = imported(ast.parse(path.read_text("utf8")))
        both = begins(names, "torch") and begins(names, "tensorflow")
        assert not both or path.name == "runtime.py" or path.parent.name == "parity", path
        assert "course_lib.tensorflow" not in names or path.parent.name == "tensorflow", path
        assert not begins(names, "course_tools"), path


# --- the same models and the same curvature ---------------------------------------------------


def models(features=4, hidden=3, classes=2, dtype="float64"):
    from course_lib import parity
    from course_lib.pytorch.models import TorchMLP
    from course_lib.tensorflow.models import TFMLP

    pair = TorchMLP(features, hidden, classes, dtype), TFMLP(features, hidden, classes, dtype)
    parity.copy_weights(*pair)
    return pair


def batch(rows=12, features=4, classes=2, seed=0):
    random = np.random.default_rng(seed)
    return random.normal(size=(rows, features)), random.normal(size=(rows, classes))


def in_both(*arrays):
    import tensorflow as tf
    import torch

    return [torch.from_numpy(a) for a in arrays], [tf.constant(a) for a in arrays]


@pytest.mark.parametrize("dtype", ["float32", "float64"])
def test_twins_have_the_same_parameters(dtype):
    torch_model, tf_model = models(5, 4, 3, dtype)
    ours = {n: (tuple(p.shape), str(p.dtype)[6:]) for n, p in torch_model.named_parameters()}
    rename = {"kernel": "weight", "bias": "bias"}
    theirs = {}
    for variable in tf_model.trainable_variables:
        layer, kind = variable.path.split("/")[-2:]
        theirs[f"{layer}.{rename[kind]}"] = (tuple(variable.shape)[::-1], variable.dtype)
    assert ours == theirs
    assert sum(p.numel() for p in torch_model.parameters()) == tf_model.count_params()


def exact_hessian(model, x, y):
    """The whole Hessian of the loss in PyTorch, by torch.func; no code of ours but the loss."""
    import torch

    params = {name: p.detach() for name, p in model.named_parameters()}
    shapes = {name: p.shape for name, p in params.items()}
    flat = torch.cat([p.reshape(-1) for p in params.values()])

    def loss(vector):
        pieces = torch.split(vector, [int(np.prod(s)) for s in shapes.values()])
        named = {n: v.reshape(s) for (n, s), v in zip(shapes.items(), pieces)}
        return ((torch.func.functional_call(model, named, (x,)) - y) ** 2).sum(1).mean() / 2

    return torch.autograd.functional.hessian(loss, flat).numpy()


@pytest.mark.parametrize("seed", range(3))
def test_hessian_vector_products_equal_the_exact_hessian(seed):
    import tensorflow as tf
    import torch

    from course_lib.pytorch.curvature import hvp_torch
    from course_lib.tensorflow.curvature import hvp_tf

    torch.manual_seed(seed)
    torch_model, tf_model = models()
    (x, y), (x_tf, y_tf) = in_both(*batch(seed=seed))
    hessian = exact_hessian(torch_model, x, y)
    random = np.random.default_rng(seed)
    vector = [random.normal(size=tuple(p.shape)) for p in torch_model.parameters()]
    wanted = hessian @ np.concatenate([v.ravel() for v in vector])

    ours = hvp_torch(torch_model, x, y, [torch.from_numpy(v) for v in vector])
    ours = np.concatenate([p.numpy().ravel() for p in ours])
    np.testing.assert_allclose(ours, wanted, atol=1e-12)
    theirs = hvp_tf(tf_model, x_tf, y_tf, [tf.constant(v.T) for v in vector])
    theirs = np.concatenate([p.numpy().T.ravel() for p in theirs])
    np.testing.assert_allclose(theirs, wanted, atol=1e-12)


@pytest.mark.parametrize("seed, scale, negative", [(1, 1.0, False), (2, 10.0, True)])
def test_sharpness_is_the_exact_top_eigenvalue(seed, scale, negative):
    """Also where the eigenvalue that is largest in size is negative: far targets bend downwards."""
    import torch

    from course_lib.pytorch.curvature import sharpness_torch
    from course_lib.tensorflow.curvature import sharpness_tf

    torch.manual_seed(seed)
    torch_model, tf_model = models()
    x, y = batch(seed=seed)
    (x, y), (x_tf, y_tf) = in_both(x, scale * y)
    values = np.linalg.eigvalsh(exact_hessian(torch_model, x, y))
    assert (-values[0] > values[-1]) == negative
    ours, direction = sharpness_torch(torch_model, x, y, tolerance=1e-10, most=20000)
    theirs, _ = sharpness_tf(tf_model, x_tf, y_tf, tolerance=1e-10, most=20000)
    assert ours == pytest.approx(values[-1], rel=1e-6)
    assert theirs == pytest.approx(values[-1], rel=1e-6)
    assert sum((v * v).sum() for v in direction).item() == pytest.approx(1)


def test_sharpness_is_no_mixture_of_two_eigenvalues_of_equal_size():
    """Power iteration then never settles on a direction, however still its value stands."""
    import torch

    from course_lib.pytorch.curvature import sharpness_torch
    from course_lib.tensorflow.curvature import sharpness_tf

    torch.manual_seed(5)
    torch_model, tf_model = models()
    x, y = batch(seed=5)
    (x, y), (x_tf, y_tf) = in_both(x, 10 * y)
    values = np.linalg.eigvalsh(exact_hessian(torch_model, x, y))
    assert abs(values[0] + values[-1]) < 0.01
    runs = (sharpness_torch, (torch_model, x, y)), (sharpness_tf, (tf_model, x_tf, y_tf))
    for sharpness, data in runs:
        try:
            found = sharpness(*data, most=200)[0]
        except RuntimeError:
            continue
        assert found == pytest.approx(values[-1], rel=0.05)


def test_sharpness_says_what_is_wrong():
    import tensorflow as tf

    from course_lib.pytorch.curvature import sharpness_torch
    from course_lib.tensorflow.curvature import sharpness_tf

    torch_model, tf_model = models()
    (x, y), (x_tf, y_tf) = in_both(*batch())
    with pytest.raises(RuntimeError, match="after 2 steps"):
        sharpness_torch(torch_model, x, y, most=2)
    with pytest.raises(RuntimeError, match="after 2 steps"):
        sharpness_tf(tf_model, x_tf, y_tf, most=2)
    with pytest.raises(ValueError, match="not finite"):
        sharpness_torch(torch_model, x * float("nan"), y)
    with pytest.raises(ValueError, match="not finite"):
        sharpness_tf(tf_model, x_tf * tf.constant(float("nan"), tf.float64), y_tf)


def test_losses_refuse_targets_that_would_broadcast():
    import tensorflow as tf
    import torch

    from course_lib.pytorch.training import half_squared_error_torch
    from course_lib.tensorflow.training import half_squared_error_tf

    with pytest.raises(ValueError, match="equal"):
        half_squared_error_torch(torch.zeros(4, 1), torch.zeros(4))
    with pytest.raises(ValueError, match="equal"):
        half_squared_error_tf(tf.zeros((4, 1)), tf.zeros(4))


def test_training_stops_after_a_loss_that_is_not_finite():
    from course_lib.pytorch.training import train_torch
    from course_lib.tensorflow.training import train_tf

    torch_model, tf_model = models()
    (x, y), (x_tf, y_tf) = in_both(*batch())
    ours = train_torch(torch_model, x, y, 64.0, 900)
    theirs = train_tf(tf_model, x_tf, y_tf, 64.0, 900)
    for losses in (ours, theirs):
        assert 1 < len(losses) < 900
        assert np.isfinite(losses[:-1]).all() and not np.isfinite(losses[-1])
