"""The update rules of both frameworks in NumPy, with every convention as a switch.

PyTorch and Keras give the same names to rules that differ. Here each rule is written once, with
its conventions as data, so that what separates two optimizers can be tried one at a time.
Sources: the documentation and source of torch.optim 2.13 and keras.optimizers 3.15.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

KINDS = ("SGD", "Adam", "RMSprop", "Adagrad")
_RULES = {"AdamW": "Adam"}   # the same rule, with decoupled decay


def torch_settings(optimizer) -> dict:
    """Settings and conventions of a torch optimizer, by one name for both frameworks."""
    kind = type(optimizer).__name__
    group = optimizer.param_groups[0]
    found = {"kind": _RULES.get(kind, kind), "rate": float(group["lr"]), "decay": float(group["weight_decay"]),
             "decoupled": kind == "AdamW", "constants": "as given", "clip": None}
    if kind == "SGD":
        found |= {"momentum": group["momentum"], "nesterov": group["nesterov"]}
    if kind in ("Adam", "AdamW"):
        found |= {"beta1": group["betas"][0], "beta2": group["betas"][1], "epsilon": group["eps"],
                  "epsilon_at": "the corrected root", "amsgrad": group["amsgrad"]}
    if kind == "RMSprop":
        found |= {"rho": group["alpha"], "epsilon": group["eps"], "epsilon_at": "outside the root",
                  "momentum": group["momentum"], "centered": group["centered"]}
    if kind == "Adagrad":
        found |= {"start": group["initial_accumulator_value"], "epsilon": group["eps"],
                  "epsilon_at": "outside the root", "rate_decay": group["lr_decay"]}
    return found


def keras_settings(optimizer) -> dict:
    """The same of a Keras optimizer."""
    config, kind = optimizer.get_config(), type(optimizer).__name__
    rate = config["learning_rate"]
    found = {"kind": _RULES.get(kind, kind), "rate": float(rate) if np.isscalar(rate) else float(optimizer.learning_rate),
             "decay": float(config.get("weight_decay") or 0.0), "decoupled": True,
             "constants": "rounded to float32", "clip": _clip(config)}
    if kind == "SGD":
        found |= {"momentum": config["momentum"], "nesterov": config["nesterov"]}
    if kind in ("Adam", "AdamW"):
        found |= {"beta1": config["beta_1"], "beta2": config["beta_2"], "epsilon": config["epsilon"],
                  "epsilon_at": "the uncorrected root", "amsgrad": config["amsgrad"]}
    if kind == "RMSprop":
        found |= {"rho": config["rho"], "epsilon": config["epsilon"], "epsilon_at": "inside the root",
                  "momentum": config["momentum"], "centered": config["centered"]}
    if kind == "Adagrad":
        found |= {"start": config["initial_accumulator_value"], "epsilon": config["epsilon"],
                  "epsilon_at": "inside the root", "rate_decay": 0.0}
    return found


def _clip(config):
    for name in ("clipnorm", "global_clipnorm", "clipvalue"):
        if config.get(name):
            return name, float(config[name])
    return None


def run(settings: dict, starts: Sequence[np.ndarray],
        gradients: Sequence[Sequence[np.ndarray]]) -> list[np.ndarray]:
    """Parameters after one update for each list of gradients, in float64."""
    s = dict(settings)
    for name in ("beta1", "beta2"):
        s["corrected " + name] = s.get(name)
    if s["constants"] != "as given":      # Keras keeps the rate, and the betas that it raises to powers
        for name in ("rate", "decay", "start", "corrected beta1", "corrected beta2"):
            s[name] = s.get(name) and float(np.float32(s[name]))
    params = [np.array(p, np.float64) for p in starts]
    memory = [{} for _ in params]
    for step, grads in enumerate(gradients, start=1):
        grads = _clipped([np.array(g, np.float64) for g in grads], s["clip"])
        for n, gradient in enumerate(grads):
            params[n] = _update(s, params[n], gradient, memory[n], step)
    return params


def _clipped(grads, clip):
    if clip is None:
        return grads
    name, limit = clip
    if name == "clipvalue":
        return [np.clip(g, -limit, limit) for g in grads]
    norms = [np.sqrt((g**2).sum()) for g in grads]
    if name == "global_clipnorm":
        norms = [np.sqrt(sum(n**2 for n in norms))] * len(grads)
    return [g * min(1.0, limit / max(n, 1e-300)) for g, n in zip(grads, norms, strict=True)]


def _update(s, p, g, m, step):
    rate, decay = s["rate"], s["decay"]
    if decay and s["decoupled"]:
        p = p * (1 - rate * decay)
    elif decay:
        g = g + decay * p
    if s["kind"] == "SGD":
        if not s["momentum"]:
            return p - rate * g
        m["v"] = s["momentum"] * m.get("v", 0.0) + g
        return p - rate * (g + s["momentum"] * m["v"] if s["nesterov"] else m["v"])
    if s["kind"] == "Adam":
        m["m"] = s["beta1"] * m.get("m", 0.0) + (1 - s["beta1"]) * g
        m["v"] = s["beta2"] * m.get("v", 0.0) + (1 - s["beta2"]) * g**2
        first, second = (1 - s["corrected " + name]**step for name in ("beta1", "beta2"))
        v = m["v"]
        if s["amsgrad"]:
            v = m["top"] = np.maximum(m.get("top", 0.0), v)
        if s["epsilon_at"] == "the corrected root":
            return p - rate * (m["m"] / first) / (np.sqrt(v / second) + s["epsilon"])
        return p - rate * np.sqrt(second) / first * m["m"] / (np.sqrt(v) + s["epsilon"])
    if s["kind"] == "RMSprop":
        v = m["v"] = s["rho"] * m.get("v", 0.0) + (1 - s["rho"]) * g**2
        if s["centered"]:
            m["g"] = s["rho"] * m.get("g", 0.0) + (1 - s["rho"]) * g
            v = v - m["g"]**2
        change = g / _root(v, s)
        if s["momentum"]:
            change = m["b"] = s["momentum"] * m.get("b", 0.0) + change
        return p - rate * change
    m["v"] = m.get("v", s["start"]) + g**2
    return p - rate / (1 + (step - 1) * s["rate_decay"]) * g / _root(m["v"], s)


def _root(v, s):
    if s["epsilon_at"] == "inside the root":
        return np.sqrt(v + s["epsilon"])
    return np.sqrt(v) + s["epsilon"]


# What a differing setting is called, and its Rosetta row by kind of rule.
_NAMES = {
    "rate": "learning rate", "decay": "weight decay", "momentum": "momentum", "nesterov": "Nesterov",
    "beta1": "first beta", "beta2": "second beta", "rho": "weight of the old average", "epsilon": "epsilon",
    "epsilon_at": "place of epsilon", "amsgrad": "AMSGrad", "centered": "centred", "clip": "clipping",
    "start": "first value of the sum of squares", "rate_decay": "decay of the rate",
    "decoupled": "kind of weight decay", "constants": "constants", "kind": "rule",
}


def row_of(name: str, settings: dict) -> str | None:
    """The Rosetta row of a setting that differs."""
    kind = settings["kind"]
    if kind in ("RMSprop", "Adagrad") and name in ("rho", "epsilon", "epsilon_at", "start"):
        return kind.lower()
    if name in ("epsilon", "epsilon_at"):
        return "adam-epsilon"
    if name == "decoupled":
        return "sgd-weight-decay" if kind == "SGD" else "adam-weight-decay"
    if name == "decay":
        return "adamw-decay-default" if kind == "Adam" and settings["decoupled"] else None
    return {"rate": "learning-rate-defaults", "clip": "gradient-clipping",
            "constants": "optimizer-constants"}.get(name)


def say(name: str, ours: dict, theirs: dict) -> str:
    """A setting that differs, in words."""
    words = {True: "decoupled", False: "added to the gradient (L2)"}
    a, b = ours.get(name), theirs.get(name)
    if name == "decoupled":
        a, b = words[a], words[b]
    a, b = (f"{value:g}" if type(value) is float else value for value in (a, b))
    return f"{_NAMES[name]}: PyTorch {a}, Keras {b}"
