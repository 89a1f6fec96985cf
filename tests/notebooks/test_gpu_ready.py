"""What can be known of a GPU without one.

PyTorch: each training step runs on the meta device, where a tensor left on the CPU, ``.item()``
and ``.numpy()`` raise. TensorFlow: each step is traced under a GPU device, and every compute
operation must have been placed there. The steps come out of the notebooks' tagged cells.
"""

import ast
from pathlib import Path

import nbformat
import pytest
import tensorflow as tf
import torch

ROOT = Path(__file__).resolve().parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("[0-9][0-9]-*/*.ipynb"))
NOT_PLACED = {"Placeholder", "ReadVariableOp", "NoOp", "Identity", "Const"}  # arguments and reads


def mlp_torch(names):
    """The arguments of gradient-descent's step_torch, with the model that the notebook defines."""
    return names["TorchMLP"](196, 32, 10), torch.zeros(8, 196), torch.zeros(8, 10), 0.5


def mlp_tf(names):
    """The arguments of its step_tf."""
    return names["TFMLP"](196, 32, 10), tf.zeros((8, 196)), tf.zeros((8, 10)), 0.5


def momentum_torch(names):
    """The arguments of stochastic-and-momentum's step_torch: an optimizer in place of the rate."""
    with torch.device("meta"):  # moving a model gives it new parameters, so it is made there
        model = names["TorchMLP"](196, 32, 10)
        optimizer = names["TorchMomentum"](model.parameters(), 0.5, 0.875, nesterov=True)
    return model, torch.zeros(8, 196), torch.zeros(8, 10), optimizer


def momentum_tf(names):
    """The arguments of its step_tf."""
    model = names["TFMLP"](196, 32, 10)
    optimizer = names["TFMomentum"](model.trainable_variables, 0.5, 0.875, nesterov=True)
    return model, tf.zeros((8, 196)), tf.zeros((8, 10)), optimizer


def classifier_torch(names):
    """The arguments of step_torch of losses-and-activations."""
    labels = torch.zeros(8, dtype=torch.int64)
    return names["TorchClassifier"](196, 32, 10), torch.zeros(8, 196), labels, 0.5


def classifier_tf(names):
    """The arguments of its step_tf."""
    return names["TFClassifier"](196, 32, 10), tf.zeros((8, 196)), tf.zeros(8, tf.int64), 0.5


def pooled_text_torch(names):
    """The arguments of step_torch of text: ids, labels and an optimizer."""
    with torch.device("meta"):
        model = names["TorchPooledText"](20, 8, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    ids = torch.ones(8, 5, dtype=torch.int64)
    return model, ids, torch.zeros(8, dtype=torch.int64), optimizer


def pooled_text_tf(names):
    """The arguments of its step_tf."""
    model, optimizer = names["TFPooledText"](20, 8, 2), tf.keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)
    return model, tf.ones((8, 5), tf.int64), tf.zeros(8, tf.int64), optimizer


def attention_torch(names):
    """The arguments of step_torch of attention: ids, labels and an optimizer."""
    with torch.device("meta"):
        model = names["TorchAttentionText"](20, 8, 2, 2)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    ids = torch.ones(8, 5, dtype=torch.int64)
    return model, ids, torch.zeros(8, dtype=torch.int64), optimizer, names["cross_entropy_torch"]


def attention_tf(names):
    """The arguments of its step_tf."""
    model, optimizer = names["TFAttentionText"](20, 8, 2, 2), tf.keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)
    return model, tf.ones((8, 5), tf.int64), tf.zeros(8, tf.int64), optimizer, names["cross_entropy_tf"]


def lenet_torch(names):
    """The arguments of step_torch of cnn: images, labels and an optimizer."""
    with torch.device("meta"):
        model = names["TorchLeNet"]()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return model, torch.zeros(8, 28, 28), torch.zeros(8, dtype=torch.int64), optimizer


def lenet_tf(names):
    """The arguments of its step_tf."""
    model, optimizer = names["TFLeNet"](), tf.keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)
    return model, tf.zeros((8, 28, 28)), tf.zeros(8, tf.int64), optimizer


def text_mlp_torch(names):
    """The arguments of mlp's step_torch: ids of words."""
    model = names["TorchTextMLP"](50, 8, (6, 5), 2)
    return model, torch.ones((8, 7), dtype=torch.int64), torch.zeros(8, dtype=torch.int64), 0.5


def text_mlp_tf(names):
    """The arguments of its step_tf."""
    model = names["TFTextMLP"](50, 8, (6, 5), 2)
    return model, tf.ones((8, 7), tf.int64), tf.zeros(8, tf.int64), 0.5


def adam_torch(names):
    """The arguments of adam's step_torch: ids of words and an optimizer."""
    with torch.device("meta"):
        model = names["TorchTextMLP"](50, 8, (6, 5), 2)
        optimizer = names["TorchAdam"](model.parameters(), 0.5)
    ids = torch.ones((8, 7), dtype=torch.int64)
    return model, ids, torch.zeros(8, dtype=torch.int64), optimizer


def adam_tf(names):
    """The arguments of its step_tf."""
    model = names["TFTextMLP"](50, 8, (6, 5), 2)
    optimizer = names["TFAdam"](model.trainable_variables, 0.5)
    return model, tf.ones((8, 7), tf.int64), tf.zeros(8, tf.int64), optimizer


def scheduled_torch(names):
    """The arguments of step_torch of adamw-and-schedules: ids of words, an optimizer, a limit."""
    with torch.device("meta"):
        model = names["TorchTextMLP"](50, 8, (6, 5), 2)
        optimizer = names["TorchAdam"](model.parameters(), 0.5, weight_decay=0.25)
    ids = torch.ones((8, 7), dtype=torch.int64)
    return model, ids, torch.zeros(8, dtype=torch.int64), optimizer, 0.5


def scheduled_tf(names):
    """The arguments of its step_tf."""
    model = names["TFTextMLP"](50, 8, (6, 5), 2)
    optimizer = names["TFAdam"](model.trainable_variables, 0.5, weight_decay=0.25)
    return model, tf.ones((8, 7), tf.int64), tf.zeros(8, tf.int64), optimizer, 0.5


def resnet_torch(names):
    """The arguments of step_torch of resnet: colour images."""
    labels = torch.zeros(8, dtype=torch.int64)
    return names["TorchResNet"](6), torch.zeros(8, 16, 16, 3), labels, 0.5


def resnet_tf(names):
    """The arguments of its step_tf."""
    return names["TFResNet"](6), tf.zeros((8, 16, 16, 3)), tf.zeros(8, tf.int64), 0.5


def lstm_torch(names):
    """The arguments of step_torch of rnn: frames, how many are real, labels."""
    ones = torch.ones(8, dtype=torch.int64)
    return names["TorchLSTMClassifier"](12, 32, 9), torch.zeros(8, 20, 12), 3 * ones, ones, 0.5


def lstm_tf(names):
    """The arguments of its step_tf."""
    ones = tf.ones(8, tf.int64)
    return names["TFLSTMClassifier"](12, 32, 9), tf.zeros((8, 20, 12)), 3 * ones, ones, 0.5


def digits_torch(names):
    """The arguments of step_torch of the port doctor: images and an optimizer."""
    with torch.device("meta"):
        model = names["TorchDigits"]()
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return model, torch.zeros(8, 1, 28, 28), torch.zeros(8, dtype=torch.int64), optimizer


def digits_tf(names):
    """The arguments of its step_tf."""
    cures = ("epsilon", "momentum", "pool", "stride", "slope", "order")
    model, optimizer = names["keras_digits"](cures), tf.keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)
    return model, tf.zeros((8, 28, 28, 1)), tf.zeros(8, tf.int64), optimizer


def deep_mlp_torch(names):
    """The arguments of step_torch of deep-gradients: thirty layers, clipped."""
    model = names["TorchDeepMLP"](196, 16, 30, 10, shortcuts=True)
    return model, torch.zeros(8, 196), torch.zeros(8, dtype=torch.int64), 0.5, 1.0


def deep_mlp_tf(names):
    """The arguments of its step_tf."""
    model = names["TFDeepMLP"](196, 16, 30, 10, shortcuts=True)
    return model, tf.zeros((8, 196)), tf.zeros(8, tf.int64), 0.5, 1.0


def residual_torch(names):
    """The arguments of step_torch of autograd: an optimizer in place of the rate."""
    with torch.device("meta"):
        model = names["TorchResidualMLP"](196, 32, 10)
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    return model, torch.zeros(8, 196), torch.zeros(8, dtype=torch.int64), optimizer


def residual_tf(names):
    """The arguments of its step_tf."""
    model, optimizer = names["TFResidualMLP"](196, 32, 10), tf.keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)
    return model, tf.zeros((8, 196)), tf.zeros(8, tf.int64), optimizer


def gpt_torch(names):
    """The arguments of step_torch of gpt: windows of tokens, their targets, an optimizer, a limit."""
    with torch.device("meta"):
        model = names["TorchGPT"](20, 8, 1, 2)
        optimizer = torch.optim.AdamW(model.parameters(), lr=0.5)
    tokens = torch.ones((8, 7), dtype=torch.int64)
    return model, tokens, tokens, optimizer, 1.0


def gpt_tf(names):
    """The arguments of its step_tf."""
    model, optimizer = names["TFGPT"](20, 8, 1, 2), tf.keras.optimizers.AdamW(0.5)
    optimizer.build(model.trainable_variables)
    tokens = tf.ones((8, 7), tf.int64)
    return model, tokens, tokens, optimizer, 1.0


def bert_torch(names):
    """The arguments of step_torch of bert: ids, targets, an optimizer and the loss."""
    with torch.device("meta"):
        model = names["TorchTransformer"](names["bert_config"](
            50, width=8, heads=2, context=7, segments=0, mlm_head=False))
        optimizer = torch.optim.SGD(model.parameters(), lr=0.5)
    ids = torch.ones((8, 7), dtype=torch.int64)
    return model, ids, ids, optimizer, names["token_loss_torch"](model)


def bert_tf(names):
    """The arguments of its step_tf."""
    model = names["TFTransformer"](names["bert_config"](
        50, width=8, heads=2, context=7, segments=0, mlm_head=False))
    optimizer = tf.keras.optimizers.SGD(0.5)
    optimizer.build(model.trainable_variables)
    ids = tf.ones((8, 7), tf.int64)
    return model, ids, ids, optimizer, names["token_loss_tf"](model)


# How to call the step functions of a notebook: names defined on it -> arguments.
STEPS = {
    "attention": (attention_torch, attention_tf),
    "autograd": (residual_torch, residual_tf),
    "adam": (adam_torch, adam_tf),
    "adamw-and-schedules": (scheduled_torch, scheduled_tf),
    "bert": (bert_torch, bert_tf),
    "cnn": (lenet_torch, lenet_tf),
    "deep-gradients": (deep_mlp_torch, deep_mlp_tf),
    "gpt": (gpt_torch, gpt_tf),
    "gradient-descent": (mlp_torch, mlp_tf),
    "losses-and-activations": (classifier_torch, classifier_tf),
    "pipelines": (classifier_torch, classifier_tf),
    "port-doctor": (digits_torch, digits_tf),
    "text": (pooled_text_torch, pooled_text_tf),
    "rnn": (lstm_torch, lstm_tf),
    "stochastic-and-momentum": (momentum_torch, momentum_tf),
    "images": (classifier_torch, classifier_tf),
    "mlp": (text_mlp_torch, text_mlp_tf),
    "resnet": (resnet_torch, resnet_tf),
}


def trains(path):
    course = nbformat.read(path, 4).metadata.get("course", {})
    return course.get("trains", True) is not False


TRAINING = [path for path in NOTEBOOKS if trains(path)]


def definitions(path, tag):
    """Imports of the notebook, and functions and classes of the cells with a tag, as a namespace."""
    kept = []
    for cell in nbformat.read(path, 4).cells:
        if cell.cell_type != "code":
            continue
        try:
            tree = ast.parse(cell.source)
        except SyntaxError:
            continue
        mine = tag in cell.metadata.get("tags", [])
        for node in tree.body:
            if isinstance(node, (ast.Import, ast.ImportFrom)):
                kept.append(node)
            elif mine and isinstance(node, (ast.FunctionDef, ast.ClassDef)):
                kept.append(node)
    names: dict = {}
    exec(compile(ast.Module(kept, []), path.name, "exec"), names)
    return names


def on_meta(step, arguments):
    """Run a step with its tensors on the meta device."""
    moved = [a.to("meta") if hasattr(a, "to") else a for a in arguments]
    with torch.device("meta"):
        return step(*moved)


def traced(step, arguments):
    """Trace a step under a GPU device; return the compute operations that are not on it."""
    model, x, y, *rest = arguments

    def on_gpu(x, y):
        with tf.device("/GPU:0"):
            return step(model, x, y, *rest)

    graph = tf.function(on_gpu, autograph=False).get_concrete_function(x, y).graph
    compute = [op for op in graph.get_operations() if op.type not in NOT_PLACED]
    assert len(compute) >= 3, "the trace holds no step"
    return [f"{op.name} on {op.device or 'no device'}" for op in compute if "GPU:0" not in op.device]


def test_every_notebook_that_trains_is_covered():
    assert TRAINING and {path.stem for path in TRAINING} <= set(STEPS)


@pytest.mark.parametrize("path", TRAINING, ids=lambda p: p.stem)
def test_the_pytorch_step_leaves_nothing_on_the_cpu(path):
    names = definitions(path, "pytorch")
    loss = on_meta(names["step_torch"], STEPS[path.stem][0](names))
    assert loss.device.type == "meta"


@pytest.mark.parametrize("path", TRAINING, ids=lambda p: p.stem)
def test_the_tensorflow_step_lies_on_the_gpu(path):
    names = definitions(path, "tensorflow")
    assert traced(names["step_tf"], STEPS[path.stem][1](names)) == []


# The checks above must be able to fail.


def linear_torch():
    return torch.nn.Linear(5, 3), torch.zeros(8, 5), torch.zeros(8, dtype=torch.int64)


def linear_tf():
    model = tf.keras.Sequential([tf.keras.layers.Dense(3)])
    model.build((None, 5))
    return model, tf.zeros((8, 5)), tf.zeros(8, tf.int64)


def test_labels_left_on_the_cpu_are_found():
    def step(model, x, y):
        labels = torch.zeros(len(x), dtype=torch.int64, device="cpu")
        return torch.nn.functional.cross_entropy(model(x), labels)

    with pytest.raises(Exception, match="device|meta"):
        on_meta(step, linear_torch())


def test_reading_a_number_back_in_the_step_is_found():
    with pytest.raises(Exception, match="meta"):
        on_meta(lambda model, x, y: model(x).sum().item(), linear_torch())


def test_an_operation_left_on_the_cpu_is_found():
    def step(model, x, y):
        with tf.device("/CPU:0"):
            logits = model(x)
        losses = tf.nn.sparse_softmax_cross_entropy_with_logits(labels=y, logits=logits)
        return tf.reduce_mean(losses)

    assert any("CPU:0" in found for found in traced(step, linear_tf()))
