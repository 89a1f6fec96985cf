"""The port doctor: where and why a PyTorch model and a Keras model part."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from course_lib.parity import between, capture, copied, settings, update_rules
from course_lib.parity.findings import Finding, Report
from course_lib.parity.loss_causes import loss_cause
from course_lib.parity.matching import align, closest, distance, layouts
from course_lib.parity.weights import ParityError

# Relative differences that are called equal: rounding of one pass, with room for depth.
TOLERANCES = {"float64": 1e-9, "float32": 1e-4}


def explain(
    torch_model, keras_model, batch, *,
    keras_batch=None, losses: tuple[Callable, Callable] | None = None,
    optimizers: tuple | None = None, steps: int = 3, tolerance: float | None = None,
) -> Report:
    """Find where two models part, by how much, and why; neither model is changed.

    The stages, in order: dtypes, layers that belong together, weights, each layer's output in
    inference and in training mode, running statistics, loss, gradients, and the update of the
    optimizers. A layer that differs is put right before the next one is looked at, so that a
    second difference further on is found, too. Dropout is off meanwhile.

    Parameters
    ----------
    torch_model, keras_model
        The two models. The Keras model must have been built (call it once). Layers belong
        together by equal names, else by equal weights, else by order, kind and size.
    batch
        ``x`` or ``(x, y)``: NumPy arrays as PyTorch takes them; ``x`` may be a tuple of arrays (two
        inputs without labels: ``((a, b), None)``).
    keras_batch
        The same as Keras takes it, where it differs. Images (n, c, h, w) are turned to
        (n, h, w, c) without being asked where the first convolution says so.
    losses
        ``(torch_loss(prediction, target), keras_loss(y_true, y_pred))``.
    optimizers
        ``(torch optimizer of this model's parameters, Keras optimizer)``. Both get PyTorch's
        gradients for ``steps`` updates; their own state is put back.
    tolerance
        Largest relative difference that counts as equal; by default 1e-9 in float64 and 1e-4 in
        float32.

    Raises
    ------
    ParityError
        If the Keras model is not built, a model cannot take the batch, or arguments are missing.
    """
    if not keras_model.built:
        raise ParityError(f"Keras model {keras_model.name!r} has no weights yet; call it once on a batch")
    with capture.as_they_were(torch_model, keras_model, optimizers[0] if optimizers else None), \
            capture.without_dropout(torch_model, keras_model) as shares:
        visit = _Visit(torch_model, keras_model, losses, optimizers, steps, shares)
        visit.prepare(batch, keras_batch, tolerance)
        visit.layers()
        visit.weights()
        visit.outputs("outputs", training=False)
        visit.outputs("training outputs", training=True)
        if losses:
            visit.loss()
            visit.gradients()
        if optimizers:
            visit.update()
        return visit.report


@dataclass
class _Visit:
    torch_model: object
    keras_model: object
    losses: tuple | None
    optimizers: tuple | None
    steps: int
    shares: dict = field(default_factory=dict)        # id of a layer -> what it drops
    report: Report = field(default_factory=Report)
    pairs: list = field(default_factory=list)
    predictions: dict = field(default_factory=dict)   # training mode: "torch", "keras" (healed)
    torch_gradients: dict = field(default_factory=dict)
    sparse: dict = field(default_factory=dict)        # id of a Keras variable -> its IndexedSlices

    # --- what goes in ---------------------------------------------------------------------------

    def prepare(self, batch, keras_batch, tolerance) -> None:
        """Arrays for both models in their dtypes."""
        ours = _dtype_of(p for p in self.torch_model.parameters() if p.is_floating_point())
        theirs = _dtype_of(v for v in self.keras_model.weights if "float" in str(v.dtype))
        self.report.dtypes = (ours, theirs)
        if ours != theirs:
            self.report.findings.append(Finding(
                "dtype", "all parameters", f"PyTorch computes in {ours}, Keras in {theirs}",
                "input-dtype", "Build both models with the same dtype."))
        weaker = "float32" if "float32" in (ours, theirs) else ours
        self.tolerance = tolerance or TOLERANCES.get(weaker, 2e-2)
        x, self.y = _split(batch)
        self.keras_y = self.y
        if keras_batch is None:
            keras_x = [np.moveaxis(a, 1, -1) if self._is_image(a) else a for a in x]
        else:
            keras_x, self.keras_y = _split(keras_batch)
        if any(a.dtype.kind == "f" and str(a.dtype) != ours for a in x):
            self.report.notes.append(Finding(
                "dtype", "the batch", f"it is {x[0].dtype} and was given to the models as {ours}: PyTorch"
                " refuses another dtype than its weights', Keras casts in silence", "input-dtype"))
        self.x = [_cast(a, ours) for a in x]
        self.keras_x = [_cast(a, theirs) for a in keras_x]

    def _is_image(self, array) -> bool:
        import torch

        first = next((m for m in self.torch_model.modules()
                      if isinstance(m, (torch.nn.Conv2d, torch.nn.ConvTranspose2d))), None)
        return (array.ndim == 4 and first is not None and array.shape[1] == first.in_channels
                and array.shape[-1] != first.in_channels)

    def _torch_x(self):
        import torch

        return [torch.from_numpy(np.ascontiguousarray(a)) for a in self.x]

    def _run(self, training, heal=None):
        """(torch output, torch calls, Keras output, Keras calls)"""
        import tensorflow as tf

        self.torch_model.train(training)
        try:
            out, calls = capture.run_torch(self.torch_model, self._torch_x(), settings.TORCH_KINDS)
        except Exception as error:
            shapes = [a.shape for a in self.x]
            raise ParityError(f"the PyTorch model cannot take inputs {shapes}: {error}") from error
        try:
            inputs = [tf.constant(a) for a in self.keras_x]
            theirs, keras_calls = capture.run_keras(
                self.keras_model, inputs, settings.KERAS_KINDS, training, heal)
        except Exception as error:
            shapes = [a.shape for a in self.keras_x]
            raise ParityError(f"the Keras model cannot take inputs {shapes}; give keras_batch=(x, y) as"
                              f" it wants them: {error}") from error
        return out, calls, theirs, keras_calls

    # --- layers and weights ---------------------------------------------------------------------

    def layers(self) -> None:
        """Which layers belong together, and what is left over."""
        _, ours, _, theirs = self._run(training=False)
        self.pairs = align(ours, theirs)
        self.report.matched = len({id(a.layer) for a, _ in self.pairs})
        seen = {id(a.layer) for a, _ in self.pairs}, {id(b.layer) for _, b in self.pairs}
        kinds = ({c.name: c.kind for c in ours}, {c.name: c.kind for c in theirs})
        for path, module in self.torch_model.named_modules():
            own = list(module.parameters(recurse=False))
            if own and id(module) not in seen[0]:
                known = ("no Keras layer of its kind and size" if path in kinds[0] else
                         "of a kind that the doctor does not know, or never called")
                self.report.unmatched.append(f"PyTorch {path or 'the model'} ({type(module).__name__}): {known}")
        owners = {id(copied.owner(layer)) for _, layer in ((0, b.layer) for _, b in self.pairs)}
        for layer in self.keras_model._flatten_layers():
            own = layer._trainable_variables
            if own and id(layer) not in seen[1] | owners:
                known = ("no PyTorch module of its kind and size" if layer.name in kinds[1] else
                         "of a kind that the doctor does not know, or never called")
                if not any(layer is copied.owner(b.layer) for _, b in self.pairs):
                    self.report.unmatched.append(f"Keras {layer.name} ({type(layer).__name__}): {known}")
        self._frozen()
        for mine, other in self.pairs:
            p, rate = (self.shares.get(id(c.layer), 0.0) for c in (mine, other))
            if mine.kind == "Dropout" and abs(p - rate) > 1e-6:
                self.report.findings.append(Finding(
                    "layers", f"{mine.name} and {other.name}", f"the share that is dropped is {p:g} in"
                    f" PyTorch and {rate:g} in Keras", None, "Both take the share that is dropped, not kept."))

    def _frozen(self) -> None:
        for ours, theirs in self._weighted():
            a = any(p.requires_grad for p in ours.layer.parameters(recurse=False))
            b = bool(theirs.layer.trainable)
            if a != b:
                who = "PyTorch trains it, Keras does not" if a else "Keras trains it, PyTorch does not"
                self.report.findings.append(Finding(
                    "layers", f"{ours.name} and {theirs.name}", who, None,
                    "Set requires_grad and trainable alike."))

    def _weighted(self):
        """Each matched pair of layers with weights, once."""
        once = {}
        for ours, theirs in self.pairs:
            if (ours.kind, theirs.kind) in settings.LAYOUTS:
                once.setdefault((id(ours.layer), id(theirs.layer)), (ours, theirs))
        return list(once.values())

    def weights(self) -> None:
        """Compare the weights; then PyTorch's are lent to Keras, so that the rest can be compared."""
        right = {f"PyTorch's {' + '.join(names)} of {ours.name}": value
                 for ours, theirs in self._weighted()
                 for _, names, value in copied.variables(ours, theirs).values()}
        for ours, theirs in self._weighted():
            exact = 1e-12 if "float32" not in "".join(self.report.dtypes) else 1e-6
            found, size = copied.judge(ours, theirs, exact, right)
            self.report.saw("weights", size)
            self.report.findings += found
            for variable, _, value in copied.variables(ours, theirs).values():
                if value.shape == tuple(variable.shape):
                    variable.assign(value.astype(variable.dtype))

    # --- outputs --------------------------------------------------------------------------------

    def outputs(self, stage: str, training: bool) -> None:
        """Compare layer by layer; a layer that differs is put right before the next is looked at."""
        with_state = [(m, n, b.clone()) for m in self.torch_model.modules()
                      for n, b in m.named_buffers(recurse=False)]
        state = [(v, v.numpy()) for v in self.keras_model.variables]
        _, ours, _, theirs = self._run(training)
        pairs = align(ours, theirs)
        self._reset(with_state, state)
        partner = {b.key: a for a, b in pairs}
        position = {a.key: n for n, a in enumerate(ours)}
        known, before, last, open_ended = {f.where for f in self.report.findings}, [], "the input", []

        def heal(call):
            nonlocal before, last
            mine = partner.get(call.key)
            if mine is None:
                return None
            now = position[mine.key]
            gap, fitting = self._compare_pair(mine, call, ours, now)
            if open_ended:                # an output of another shape could not be put right:
                given, _ = closest(mine.inputs[:1], call.inputs[0])
                finding = open_ended.pop()
                if given <= self.tolerance:  # what follows did that
                    self.report.findings.remove(finding)
            if np.isfinite(gap):
                self.report.saw(stage, gap)
            healed = fitting is not None and fitting.shape == call.outputs[0].shape
            if gap > self.tolerance:
                count = len(self.report.findings)
                self._judge_pair(stage, mine, call, ours, before, last, gap, known)
                if not healed and len(self.report.findings) > count:
                    open_ended.append(self.report.findings[-1])
            before, last = self._candidates(ours, now), f"{mine.name} and {call.name}"
            return fitting.astype(call.outputs[0].dtype) if healed and gap > self.tolerance else None

        out, ours, their_out, theirs = self._run(training, heal)
        if training:
            self._state(pairs)
        self._reset(with_state, state)
        self._ends(stage, capture.arrays(out), capture.arrays(their_out), before, ours, known, open_ended)
        if training:
            self.predictions = {"torch": out, "keras": their_out}

    @staticmethod
    def _reset(buffers, state):
        import torch

        with torch.no_grad():
            for module, name, value in buffers:
                getattr(module, name).copy_(value)
        for variable, value in state:
            variable.assign(value)

    @staticmethod
    def _candidates(ours, now) -> list[np.ndarray]:
        """What the torch side holds after call ``now``: its outputs, and the last step of a sequence."""
        found = list(ours[now].outputs)
        if ours[now].kind in ("RNN", "LSTM", "GRU"):
            found += [a[:, -1] for a in found if a.ndim == 3] + [a[0] for a in found if a.ndim == 3]
        return found

    def _compare_pair(self, mine, call, ours, now):
        """(distance, torch's numbers in Keras's layout) of one pair of calls."""
        return closest(self._activated(mine, call, self._candidates(ours, now)), call.outputs[0])

    @staticmethod
    def _activated(mine, call, candidates) -> list[np.ndarray]:
        """Torch's numbers after the activation that is part of the Keras layer, if there is one."""
        activation = getattr(call.layer, "activation", None)
        if activation is None or activation.__name__ == "linear" or mine.kind in (
                "RNN", "LSTM", "GRU", *settings.ACTIVATIONS):
            return candidates
        import tensorflow as tf

        views = [array for one in candidates for array in layouts(one)]
        return [activation(tf.constant(np.ascontiguousarray(array))).numpy() for array in views]

    def _judge_pair(self, stage, mine, call, ours, before, last, gap, known) -> None:
        """Say why one pair of calls parts: what it was given, or what it does."""
        where = f"{mine.name} and {call.name}"
        given, _ = closest(mine.inputs[:1], call.inputs[0]) if mine.inputs and call.inputs else (0.0, None)
        if given > self.tolerance:
            cause = self._between(mine.inputs[0], call.inputs[0], before, ours)
            where_to = f"between {last} and {where}"
            padded = self._padded(mine, call)
            if padded:
                where_to, cause, gap = where, padded, gap
            if where_to in known:
                return
            known.add(where_to)
            what = cause.what if cause else (
                "the layers get different numbers: the models' own code before them differs")
            self.report.findings.append(Finding(
                stage, where_to, what, cause.row if cause else None,
                cause.cure if cause else "Compare what each forward or call method does here.",
                given if np.isfinite(given) else gap, cause.after if cause else None))
            return
        if where in known:
            return
        known.add(where)
        self.report.findings.append(self._layer(stage, where, mine, call, gap))

    def _padded(self, mine, call):
        """The input was padded by hand on one side, and by another amount than the other pads."""
        if mine.kind not in ("Conv2d", "MaxPool2d", "AvgPool2d") or mine.inputs[0].ndim != 4:
            return None
        wide = call.inputs[0].shape[1] - mine.inputs[0].shape[2]
        if wide <= 0:
            return None
        row = {"Conv2d": "strided-convolution-padding", "MaxPool2d": "max-pool-padding",
               "AvgPool2d": "average-pool-padding"}[mine.kind]
        return between.Cause(f"Keras's input was padded by {wide} pixels an axis, PyTorch's layer pads"
                             f" {mine.layer.padding} on each side", row, float("nan"))

    def _layer(self, stage, where, mine, call, gap) -> Finding:
        """A layer that gets the same numbers and returns others."""
        rank = call.inputs[0].ndim if call.inputs else 0
        found = [s for s in settings.differing(mine.kind, mine.layer, call.kind, call.layer, rank)
                 if not s.of_state]
        for setting in found:
            after = None
            if setting.changed is not None:
                try:
                    tried = self._activated(mine, call, [setting.changed(mine.inputs[0])])
                    after, _ = closest(tried, call.outputs[0])
                except Exception:  # noqa: BLE001  what cannot be tried is not proven
                    after = None
            if after is None or after <= self.tolerance or len(found) == 1:
                return Finding(stage, where, str(setting), setting.row, _cure(setting), gap, after)
        if found:
            what = "; ".join(map(str, found))
            return Finding(stage, where, what, found[0].row, _cure(found[0]), gap)
        cause = (between.function_cause(mine.inputs[:1], mine.outputs[0], call.outputs[0], self.tolerance)
                 or between.order_cause(mine.outputs[0], call.outputs[0], self.tolerance, mine.inputs[:1]))
        if cause:
            return Finding(stage, where, cause.what, cause.row, cause.cure, gap, cause.after)
        return Finding(stage, where, "the same input leads to different outputs; no setting that the"
                       " doctor knows explains it", None, "Compare the layers' settings by hand.", gap)

    def _between(self, mine, theirs, before, ours):
        """Why the numbers part between two layers."""
        images = [*before]
        earlier = {"the model's input": self.x[0]}
        earlier |= {f"the output of {c.name}": c.outputs[0] for c in ours if c.outputs}
        earlier |= {f"the input of {c.name}": c.inputs[0] for c in ours if c.inputs}
        return (between.rounded_cause(mine, theirs, self.tolerance)
                or between.function_cause(before, mine, theirs, self.tolerance)
                or between.order_cause(mine, theirs, self.tolerance, images)
                or between.sum_cause(mine, theirs, earlier, self.tolerance))

    def _ends(self, stage, mine, theirs, before, ours, known, open_ended) -> None:
        """What the models return, after their last layer."""
        if open_ended:
            if all(closest(mine, array)[0] <= self.tolerance for array in theirs):
                self.report.findings.remove(open_ended[0])
            else:
                return
        for n, array in enumerate(theirs):
            gap, _ = closest(mine[n:n + 1] or mine, array)
            if gap <= self.tolerance:
                self.report.saw(stage, gap)
                continue
            cause = self._between(mine[n] if n < len(mine) else mine[0], array, before, ours)
            where = "what the models return"
            if where in known:
                return
            known.add(where)
            found = Finding(stage, where, cause.what if cause else "the models' own code after their last"
                            " layers differs", cause.row if cause else None, cause.cure if cause else
                            "Compare the ends of forward and call.", gap, cause.after if cause else None)
            of_loss = cause and cause.row == "logits-or-probabilities" and self.losses
            if of_loss:                       # right or wrong: the losses will say
                self.report.notes.append(found)
            else:
                self.report.saw(stage, gap)
                self.report.findings.append(found)

    def _state(self, pairs) -> None:
        """Running statistics after one batch in training mode."""
        done, apart = set(), []
        for ours, theirs in pairs:
            for setting in settings.differing(ours.kind, ours.layer, theirs.kind, theirs.layer):
                where = f"{ours.name} and {theirs.name}"
                if setting.of_state and (where, setting.name) not in done:
                    done.add((where, setting.name))
                    self._of_state(where, setting, ours)
            if not ours.kind.startswith("BatchNorm") or id(ours.layer) in done:
                continue
            done.add(id(ours.layer))
            mean, variance = (v.numpy() for v in (theirs.layer.moving_mean, theirs.layer.moving_variance))
            gap = distance(ours.layer.running_mean.numpy(), mean)
            spread = distance(ours.layer.running_var.numpy(), variance)
            self.report.saw("state", max(gap, spread))
            aligned = not any(f.row == "batch-norm-momentum" for f in self.report.findings)
            if spread > self.tolerance and gap <= self.tolerance and aligned:
                apart.append((spread, ours.name))
        if apart:
            names = ", ".join(name for _, name in apart)
            self.report.notes.append(Finding(
                "state", names, "after one batch the running variances part, the means do not: PyTorch's"
                " is divided by m - 1, Keras's by m", "batch-norm-variance", before=max(apart)[0]))

    def _of_state(self, where, setting, ours) -> None:
        if setting.row == "embedding-padding":
            table = ours.layer.weight.detach().numpy()
            if not np.any(np.concatenate([x.ravel() for x in self.x if x.dtype.kind in "iu"] or [[]])
                          == setting.torch):
                return
            what = (f"PyTorch gives row {setting.torch} no gradient, Keras trains it like every other"
                    + ("" if not table[setting.torch].any() else "; the row is not zero"))
            self.report.findings.append(Finding("gradients", where, what, setting.row))
        else:
            self.report.findings.append(Finding("state", where, str(setting), setting.row))

    # --- loss, gradients, update ----------------------------------------------------------------

    def _loss_torch(self, prediction):
        import torch

        value = self.losses[0](prediction, torch.from_numpy(np.ascontiguousarray(self.y)))
        return value.mean() if value.ndim else value

    def _loss_keras(self, y, prediction):
        import keras
        import tensorflow as tf

        loss = keras.losses.get(self.losses[1]) if isinstance(self.losses[1], str) else self.losses[1]
        return tf.reduce_mean(loss(tf.constant(y) if isinstance(y, np.ndarray) else y, prediction))

    def loss(self) -> None:
        """Both losses of PyTorch's predictions, so that only the losses can differ."""
        import tensorflow as tf

        if self.y is None:
            raise ParityError("losses need labels: give batch=(x, y)")
        mine, theirs = self.predictions["torch"], self.predictions["keras"]
        ends = any(n.where == "what the models return" for n in self.report.notes)
        given = theirs if ends else tf.constant(
            closest(capture.arrays(mine), theirs.numpy())[1].astype(theirs.numpy().dtype))
        ours = float(self._loss_torch(mine))
        keras = float(self._loss_keras(self.keras_y, given))
        gap = abs(ours - keras) / max(abs(ours), abs(keras), 1e-30)
        self.report.saw("loss", gap)
        extra = float(sum(self.keras_model.losses)) if self.keras_model.losses else 0.0
        if gap > self.tolerance:
            kind = getattr(self.losses[1], "dtype", None)
            cause = None
            if gap < 1e-6 and kind == "float32" and "float64" in self.report.dtypes:
                cause = between.Cause("Keras's loss computes in float32, whatever it is given", "loss-object-float32",
                                      float("nan"))
            cause = cause or loss_cause(capture.arrays(mine)[0], np.asarray(self.y), ours, keras, self.losses[0],
                               lambda a, b: float(self._loss_keras(a, tf.constant(b))), self.tolerance)
            if cause is None and ends:
                cause = between.Cause("Keras's model returns probabilities, and its loss takes them for"
                                      " logits, or PyTorch's the other way round", "logits-or-probabilities", float("nan"))
            self.report.findings.append(Finding(
                "loss", "the losses of the same predictions",
                cause.what if cause else f"PyTorch's is {ours:.6g}, Keras's {keras:.6g}; no guess of the"
                " doctor's explains it", cause.row if cause else None,
                cause.cure if cause else "Compute both by hand for two examples.", gap,
                cause.after if cause and cause.after == cause.after else None))
        if extra:
            self._regularized(extra)

    def _regularized(self, extra) -> None:
        decay = self.optimizers[0].param_groups[0].get("weight_decay", 0.0) if self.optimizers else 0.0
        twice = {2 * float(r.l2) for layer in self.keras_model._flatten_layers()
                 if (r := getattr(layer, "kernel_regularizer", None)) is not None and hasattr(r, "l2")}
        text = (f"regularizers add {extra:.3g} to Keras's loss in fit; PyTorch's weight_decay"
                f" {decay:g} belongs to a penalty of {decay / 2:g} times the sum of squares")
        finding = Finding("loss", "the penalties on weights", text, "l2-regularizer")
        aligned = len(twice) == 1 and np.isclose(next(iter(twice)), decay, rtol=1e-5)
        (self.report.notes if aligned else self.report.findings).append(finding)

    def gradients(self) -> None:
        """Gradients of the loss at the same weights, in training mode."""
        import tensorflow as tf

        stages = {f.stage for f in self.report.findings}
        self.torch_model.train(True)
        self.torch_model.zero_grad(set_to_none=True)
        self._loss_torch(self.torch_model(*self._torch_x())).backward()
        self.torch_gradients = {id(p): p.grad.detach().clone() for p in self.torch_model.parameters()
                                if p.grad is not None}
        if stages & {"outputs", "training outputs", "loss"}:
            self.report.unmatched.append("gradients: the outputs or the losses differ already")
            return
        params = self.keras_model.trainable_variables
        with tf.GradientTape() as tape:
            out = capture.call_keras(self.keras_model, [tf.constant(a) for a in self.keras_x], True)
            value = self._loss_keras(self.keras_y, out)
        found = dict(zip(map(id, params), tape.gradient(value, params), strict=True))
        excused = {f.where for f in self.report.findings if f.row == "embedding-padding" or f.stage == "layers"}
        # What is 0 but for rounding, such as a bias before batch normalisation, is called equal.
        floor = 1e-3 * max((float(g.abs().max()) for g in self.torch_gradients.values()), default=0.0)
        for ours, theirs in self._weighted():
            where = f"{ours.name} and {theirs.name}"
            for attribute, (variable, names, _) in copied.variables(ours, theirs).items():
                if attribute.startswith("moving_"):
                    continue
                gradient, mine = found.get(id(variable)), self._gradient(ours, theirs, attribute, names)
                if isinstance(gradient, tf.IndexedSlices):
                    self.sparse[id(variable)] = gradient
                    gradient = tf.convert_to_tensor(gradient)
                if gradient is None and mine is None or where in excused:
                    continue
                if gradient is None or mine is None:
                    side = "Keras" if gradient is None else "PyTorch"
                    self.report.findings.append(Finding(
                        "gradients", f"{where}, {attribute}", f"{side} has no gradient here", None,
                        "Look for detach, no_grad or stop_gradient, and for frozen layers."))
                    continue
                gap = distance(mine, gradient.numpy(), floor)
                self.report.saw("gradients", gap)
                if gap > 10 * self.tolerance:
                    zero = [s for s, g in (("PyTorch", mine), ("Keras", gradient.numpy())) if not np.any(g)]
                    what = f"{zero[0]}'s gradient is 0: something stops it" if zero else "the gradients part"
                    self.report.findings.append(Finding(
                        "gradients", f"{where}, {attribute}", what, None,
                        "Look for detach, no_grad, stop_gradient, clipping, and custom gradients.", gap))

    def _gradient(self, ours, theirs, attribute, names) -> np.ndarray | None:
        """PyTorch's gradient in Keras's layout; two biases that are added have the same one."""
        _, change = settings.LAYOUTS[ours.kind, theirs.kind][attribute]
        own = dict(ours.layer.named_parameters(recurse=False))
        given = [self.torch_gradients.get(id(own[name])) for name in names]
        arrays = [g.numpy() for g in given if g is not None]
        if change is np.add:
            return arrays[0] if arrays else None
        return change(*arrays) if len(arrays) == len(given) else None

    def update(self) -> None:
        """Both optimizers get PyTorch's gradients; what separates their updates is tried in NumPy."""
        ours, theirs = self._updates()
        if not ours:
            return
        a, b = update_rules.torch_settings(self.optimizers[0]), update_rules.keras_settings(self.optimizers[1])
        names = list(ours["start"])
        moved = max((np.abs(ours["end"][n] - ours["start"][n]).max() for n in names), default=0.0)
        gap = max((np.abs(ours["end"][n] - theirs["end"][n]).max() for n in names), default=0.0) / max(moved, 1e-30)
        self.report.saw("update", gap)
        where = f"torch.optim.{type(self.optimizers[0]).__name__} and Keras's {type(self.optimizers[1]).__name__}"
        two = [n for n in ours["twice"] if n in ours["trained"]]
        for name in two:
            self.report.notes.append(Finding(
                "update", name, "PyTorch updates two biases that are added, so their sum moves twice as far"
                " with SGD as Keras's one", "lstm-biases"))
        known = a["kind"] in update_rules.KINDS and b["kind"] in update_rules.KINDS
        if known and a["kind"] == b["kind"]:
            self._rules(where, a, b, ours, theirs, moved, gap)
        elif gap > self.tolerance:
            what = ("the rules differ" if a["kind"] != b["kind"]
                    else "the updates part; the doctor does not know this rule")
            self.report.findings.append(Finding("update", where, what, None, "Use the same rule in both.", gap))
        if "sparse" in theirs:
            gap = max(np.abs(theirs["sparse"][n] - theirs["end"][n]).max() for n in names) / max(moved, 1e-30)
            if gap > self.tolerance:
                self.report.findings.append(Finding(
                    "update", "embeddings", "Keras updates an embedding otherwise when its gradient comes as"
                    " IndexedSlices with repeated rows, as it does from a tape", "embedding-gradients",
                    before=gap))

    def _rules(self, where, a, b, ours, theirs, moved, gap) -> None:
        """Try each setting that differs alone."""
        names = list(ours["start"])
        starts = [ours["start"][n] for n in names]
        gradients = [[g[n] for n in names] for g in ours["gradients"]]

        def apart(one, other):
            return max(np.abs(p - q).max() for p, q in zip(one, other, strict=True)) / max(moved, 1e-30)

        base, full = update_rules.run(a, starts, gradients), update_rules.run(b, starts, gradients)
        proven = apart(full, [theirs["end"][n] for n in names])
        differing = [k for k in a if k in b and a[k] != b[k] and not (
            isinstance(a[k], float) and np.isclose(a[k], b[k], rtol=1e-6, atol=0))]
        if not (a["decay"] or b["decay"]):
            differing = [k for k in differing if k != "decoupled"]
        effects = {k: apart(base, update_rules.run(a | {k: b[k]}, starts, gradients)) for k in differing}
        penalized = any(f.row == "l2-regularizer" for f in self.report.findings)
        for name in sorted(effects, key=effects.get, reverse=True):
            if effects[name] < 1e-12 or penalized and name in ("decay", "decoupled"):
                continue
            row = update_rules.row_of(name, b if name == "decay" else a)
            finding = Finding("update", where, update_rules.say(name, a, b), row,
                              "" if row else "Set both alike.", effects[name], proven)
            threshold = max(self.tolerance, {"constants": 1e-5, "epsilon_at": 1e-6}.get(name, 0.0))
            (self.report.findings if effects[name] > threshold else self.report.notes).append(finding)
        if gap > self.tolerance and not any(e > self.tolerance for e in effects.values()):
            self.report.findings.append(Finding(
                "update", where, "the updates part, though all settings that the doctor knows are alike", None,
                "Compare what happens to the gradients before the update.", gap))

    def _updates(self):
        """Start, end and gradients of every matched parameter, by Keras's path; ({}, {}) where none."""
        import tensorflow as tf
        import torch

        optimizer, original = self.optimizers
        rows, twice, trained = {}, [], set()
        for ours, theirs in self._weighted():
            for attribute, (variable, names, value) in copied.variables(ours, theirs).items():
                own = dict(ours.layer.named_parameters(recurse=False))
                parts = [own.get(n) for n in names]
                if any(p is None for p in parts) or value.shape != tuple(variable.shape):
                    continue
                if settings.LAYOUTS[ours.kind, theirs.kind][attribute][1] is np.add:
                    twice.append(f"{ours.name} and {theirs.name}")
                    if all(p.requires_grad for p in parts):
                        trained.add(twice[-1])
                    continue
                if all(p.requires_grad for p in parts) and theirs.layer.trainable:
                    rows[variable.path] = (variable, ours, theirs, attribute, names)
        if not rows:
            self.report.unmatched.append("update: no parameter that both train")
            return {}, {}
        if not self.torch_gradients:
            rng = np.random.default_rng(0)
            self.torch_gradients = {id(p): torch.from_numpy(rng.normal(size=tuple(p.shape))).to(p.dtype)
                                    for p in self.torch_model.parameters()}
        base = dict(self.torch_gradients)
        first = {n: v[0].numpy().astype(np.float64) for n, v in rows.items()}
        gradients, sparse_steps = [], []
        fresh = type(original).from_config(original.get_config())
        mine = {n: v for n, v in rows.items()
                if self._gradient(v[1], v[2], v[3], v[4]) is not None}
        variables = [mine[n][0] for n in mine]
        fresh.build(variables)
        held = {id(p) for group in optimizer.param_groups for p in group["params"]}
        for step in range(self.steps):
            factor = (1.0, 0.5, -0.25)[step % 3]
            self.torch_gradients = {k: g * factor for k, g in base.items()}
            gradients.append({n: self._gradient(*mine[n][1:]) for n in mine})
            for p in self.torch_model.parameters():
                p.grad = self.torch_gradients.get(id(p))
            optimizer.step()
            fresh.apply([tf.constant(gradients[-1][n]) for n in mine], variables)
        end_ours = {n: copied.variables(v[1], v[2])[v[3]][2].astype(np.float64) for n, v in mine.items()}
        end_theirs = {n: v[0].numpy().astype(np.float64) for n, v in mine.items()}
        missing = [v[1].name for v in mine.values()
                   if not all(id(p) in held for p in v[1].layer.parameters(recurse=False)
                              if p.requires_grad)]
        if missing:
            self.report.findings.append(Finding(
                "update", ", ".join(dict.fromkeys(missing)), "PyTorch's optimizer does not hold these"
                " parameters", None, "Build it from model.parameters()."))
        theirs = {"end": end_theirs}
        if self.sparse:
            for n, v in mine.items():
                v[0].assign(first[n].astype(v[0].dtype))
            other = type(original).from_config(original.get_config())
            other.build(variables)
            for step in range(self.steps):
                factor = (1.0, 0.5, -0.25)[step % 3]
                given = []
                for n in mine:
                    slices = self.sparse.get(id(mine[n][0]))
                    given.append(tf.constant(gradients[step][n]) if slices is None else tf.IndexedSlices(
                        slices.values * factor, slices.indices, slices.dense_shape))
                other.apply(given, variables)
            sparse_steps = {n: v[0].numpy().astype(np.float64) for n, v in mine.items()}
            theirs["sparse"] = sparse_steps
        self.torch_gradients = base
        start = {n: first[n] for n in mine}
        return {"start": start, "end": end_ours, "gradients": gradients, "twice": twice,
                "trained": trained}, theirs


def _cure(setting) -> str:
    if setting.row:
        return ""
    return f"Set the {setting.name} alike."


def _dtype_of(tensors) -> str:
    kinds = {str(t.dtype).removeprefix("torch.") for t in tensors}
    return kinds.pop() if len(kinds) == 1 else (", ".join(sorted(kinds)) or "float32")


def _split(batch):
    """(list of input arrays, labels or None)"""
    if isinstance(batch, tuple) and len(batch) == 2:
        x, y = batch                     # two inputs without labels: ((a, b), None)
    else:
        x, y = batch, None
    parts = x if isinstance(x, (tuple, list)) else [x]
    return [np.asarray(a) for a in parts], None if y is None else np.asarray(y)


def _cast(array, dtype):
    return array.astype(dtype) if array.dtype.kind == "f" and dtype in ("float32", "float64") else array
