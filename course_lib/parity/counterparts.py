"""The first stages of a visit: which layers belong together, and whether their weights are equal."""

from __future__ import annotations

from course_lib.parity import copied, stacked
from course_lib.parity.capture import Call
from course_lib.parity.composites import COMPOSITES, WITH_PARTS
from course_lib.parity.findings import Finding
from course_lib.parity.lone import lone
from course_lib.parity.matching import align
from course_lib.parity.visit import Visit, run_both

_UNKNOWN = "of a kind that the doctor does not know, or never called"

_STACKED = "layers stacked in one module have no Keras layer each, of their kind and size"


def layers(visit: Visit) -> None:
    """Match the layers of both models, and say what is left over or set otherwise."""
    _, ours, _, theirs = run_both(visit, training=False)
    visit.pairs = align(ours, theirs)
    visit.report.matched = len({id(a.layer) for a, _ in visit.pairs})
    visit.lone = lone(visit.torch_model, visit.keras_model, exactly(visit))
    _modules_left(visit, {c.name for c in ours})
    _layers_left(visit, {c.name for c in theirs})
    _frozen(visit)
    _shares(visit)


def _modules_left(visit: Visit, called: set[str]) -> None:
    seen = {id(m) for a, b in visit.pairs for m in _with_parts(a.layer.modules(), a, b)}
    for path, module in visit.torch_model.named_modules():
        parts = stacked.layers_of(module)
        matched = all(id(part) in seen for part in parts or [module])
        alone = {id(one.parameter) for one in visit.lone}
        own = [p for p in module.parameters(recurse=False) if id(p) not in alone]
        if own and not matched:
            why = _STACKED if getattr(module, "num_layers", 1) > 1 else _UNKNOWN
            why = "no Keras layer of its kind and size" if path in called else why
            visit.report.unmatched.append(
                f"PyTorch {path or 'the model'} ({type(module).__name__}): {why}")


def _with_parts(parts, ours: Call, theirs: Call) -> list:
    """A layer, and its parts where these are compared with it; the first of ``parts`` is the layer."""
    return list(parts) if (ours.kind, theirs.kind) in COMPOSITES else [next(iter(parts))]


def _layers_left(visit: Visit, called: set[str]) -> None:
    seen = {id(part) for a, b in visit.pairs for part in _with_parts(b.layer._flatten_layers(), a, b)}
    seen |= {id(copied.owner(b.layer)) for _, b in visit.pairs}
    layers = list(visit.keras_model._flatten_layers())
    wholes = [layer for layer in layers if type(layer).__name__ in WITH_PARTS or hasattr(layer, "cell")]
    seen |= {id(part) for whole in wholes for part in whole._flatten_layers(include_self=False)}
    alone = {id(one.variable) for one in visit.lone}
    for layer in layers:
        own = [v for v in layer._trainable_variables if id(v) not in alone]
        if (own or layer in wholes) and id(layer) not in seen:
            why = "no PyTorch module of its kind and size" if layer.name in called else _UNKNOWN
            visit.report.unmatched.append(f"Keras {layer.name} ({type(layer).__name__}): {why}")


def _frozen(visit: Visit) -> None:
    trained = [(f"{ours.name} and {theirs.name}", any(p.requires_grad for p in ours.layer.parameters(recurse=False)),
                bool(theirs.layer.trainable)) for ours, theirs in visit.weighted()]
    trained += [(one.where, one.parameter.requires_grad, bool(one.owner.trainable)) for one in visit.lone]
    for where, a, b in trained:
        if a != b:
            who = "PyTorch trains it, Keras does not" if a else "Keras trains it, PyTorch does not"
            visit.report.findings.append(Finding(
                "layers", where, who, None, "Set requires_grad and trainable alike."))


def _shares(visit: Visit) -> None:
    """The share that dropout drops."""
    for mine, other in visit.pairs:
        p, rate = (visit.shares.get(id(c.layer), 0.0) for c in (mine, other))
        if mine.kind in ("Dropout", "MultiheadAttention") and abs(p - rate) > 1e-6:
            visit.report.findings.append(Finding(
                "layers", f"{mine.name} and {other.name}", f"the share that is dropped is {p:g} in"
                f" PyTorch and {rate:g} in Keras", None, "Both take the share that is dropped, not kept."))


def exactly(visit: Visit) -> float:
    """The relative difference up to which copied weights are called equal."""
    return 1e-12 if "float32" not in "".join(visit.report.dtypes) else 1e-6


def weights(visit: Visit) -> None:
    """Compare the weights; then PyTorch's are lent to Keras, so that the rest can be compared."""
    exact = exactly(visit)
    right = {}
    for ours, theirs in visit.weighted():
        for attribute, (_, names, value) in copied.variables(ours, theirs).items():
            words = f"PyTorch's {' + '.join(names)} of {ours.name}"
            right[words if words not in right else f"{words}, which belongs to {attribute}"] = value
    for ours, theirs in visit.weighted():
        found, size = copied.judge(ours, theirs, exact, right)
        visit.report.saw("weights", size)
        visit.report.findings += found
        lend(ours, theirs)


def lend(ours: Call, theirs: Call) -> None:
    """Give a Keras layer PyTorch's weights, where shapes allow it."""
    for variable, _, value in copied.variables(ours, theirs).values():
        if value.shape == tuple(variable.shape):
            variable.assign(value.astype(variable.dtype))
