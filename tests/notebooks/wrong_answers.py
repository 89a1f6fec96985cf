"""Plausible wrong answers to the exercises whose answer is code, three or more for each.

An answer is a function's text, or the pairs (old, new) that turn the solution into it.
"""


def change(*pairs: tuple[str, str]) -> tuple[tuple[str, str], ...]:
    """Each ``old`` of the solution becomes ``new``."""
    return pairs


WRONG = {
    "ex-im-weights": [
        change(("len(labels) / (classes * counts)", "len(labels) / counts")),
        change(("class {empty[0]} has no image: leave it out", "1 class or more has no image")),
        change(("counts == 0", "counts < 0")),
    ],
    "ex-im-bug": [
        change(("batch[:, ::-1], batch)", "batch[::-1], batch)")),
        change(("batch[:, ::-1, ::-1]", "batch[:, :, ::-1]")),
        change(("(flip[:, None, None]", "(turn[:, None, None]")),
    ],
    "ex-im-port": [
        change((", size / 2", ", (size - 1) / 2")),
        change(("unit = (size - 1) / 2", "unit = size / 2")),
        change(("theta[:, 2] * unit", "theta[:, 2]")),
    ],
    "ex-pl-shares": [
        change(("rows[rank::ranks][:count]", "rows[rank * count:(rank + 1) * count]")),
        change((" // ranks // batch * batch", " // ranks")),
        change(("not 0 <= rank < ranks", "rank >= ranks")),
    ],
    "ex-pl-shift": [
        change(("row_rng(seed, epoch, row)", "row_rng(0, epoch, row)")),
        change(("row_rng(seed, epoch, row)", "row_rng(seed, 0, row)")),
        change(("integers(-2, 3, size=2)", "binomial(4, 0.5, size=2) - 2")),
        "def shifted(image, seed, epoch, row):\n"
        "    move = row_rng(seed, epoch, row).integers(-2, 3, size=2)\n"
        "    return np.roll(image, move, axis=(0, 1))\n",
    ],
    "ex-pl-port": [
        change(("drop_remainder=True", "drop_remainder=False")),
        change(("from_tensor_slices(rows)", "range(len(rows))")),
        change(("order.batch(", "order.shuffle(99, seed=0).batch(")),
    ],
    "ex-text-merge": [
        change(("+ times", "+ 1")),
        change(("(-totals[pair], pair)", "(-totals[pair], -pair[0])")),
        change(("zip(word, word[1:])", "zip(word[::2], word[1::2])")),
    ],
    "ex-text-bug": [
        change(("-np.inf", "0.0")),
        change(("-np.inf", "-10.0")),
        change(("(mask[:, :, None]", "(~mask[:, :, None]")),
    ],
    "ex-text-port": [
        change((", padding_idx=0", "")),
        change(('mode="mean"', 'mode="sum"')),
        "def port(table, ids):\n"
        "    table = table.copy()\n"
        "    table[0] = 0\n"
        "    return table[ids].mean(axis=1)\n",
    ],
    "ex-cnn-batches": [
        change(("return assumed //", "return true //")),
        change(("assumed // gcd(true, assumed)", "assumed")),
        change(('raise ValueError(f"both are {true}: nothing is wrong")', "return 1")),
    ],
    "ex-cnn-bug": [
        change(("(0, 3, 1, 2)", "(0, 3, 2, 1)")),
        change(("tf.transpose(maps, (0, 3, 1, 2))", "maps")),
        change((", (0, 3, 1, 2)", "")),
    ],
    "ex-cnn-backwards": [
        change(("[:, :, ::-1, ::-1]", "")),
        change((".transpose(1, 0, 2, 3)", "")),
        change(("padding=k - 1", "padding=0")),
    ],
    "ex-cnn-port": [
        change((", constant_values=-np.inf", "")),
        change(("tf.pad(tf.transpose(images, (0, 2, 3, 1)), around)",
                "tf.transpose(images, (0, 2, 3, 1))"),
               ('(2, 3, 1, 0)), 2, "VALID")', '(2, 3, 1, 0)), 2, "SAME")')),
        change(("tf.transpose(x, (0, 3, 1, 2)).numpy()", "x.numpy()")),
    ],
    "ex-mlp-xor": [
        change(("[0.0, -1.0]", "[0.0, 0.0]")),
        change(("[1.0, -2.0]", "[1.0, -1.0]")),
        change(("[1.0, -2.0]", "[1.0, 1.0]")),
    ],
    "ex-mlp-leak": [
        change(("word_ids(train,", "word_ids([*train, *test],")),
        change(("tuple(split_words(text)) not in seen", "text not in train")),
        change(("encode(kept,", "encode(test,")),
    ],
    "ex-mlp-port": [
        change(("tf.maximum(tf.reduce_sum(mask, axis=1), 1)", "tf.reduce_sum(mask, axis=1)")),
        change(("ids) * mask", "ids)")),
        change(("tf.maximum(tf.reduce_sum(mask, axis=1), 1)", "ids.shape[1]")),
    ],
    "ex-rn-fold": [
        change(("np.sqrt(variance + epsilon)", "(variance + epsilon)")),
        change(("shift - mean * factor", "shift")),
        change(("np.sqrt(variance + epsilon)", "(np.sqrt(variance) + epsilon)")),
    ],
    "ex-rn-bugs": [
        change(("training=True", "training=False")),
        change((" / 255", "")),
        change((", from_logits=True", "")),
    ],
    "ex-rn-port": [
        change(('"VALID"', '"SAME"')),
        change(("(2, 2), (2, 2)", "(1, 1), (1, 1)")),
        'def port(x, kernel):\n    return tf.nn.conv2d(x, kernel, 2, "SAME").numpy()\n',
    ],
    "ex-rnn-last": [
        change(("mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)", "mask.sum(axis=1) - 1")),
        change(("mask.shape[1] - 1 - mask[:, ::-1].argmax(axis=1)", "mask.argmax(axis=1)")),
        change(('raise ValueError("a row of the mask has no real step")', "pass")),
    ],
    "ex-rnn-count": [
        change(("4 * hidden", "3 * hidden")),
        change(("+ biases", "+ 1")),
        change(("hidden + biases", "biases")),
    ],
    "ex-rnn-port": [
        change(("[update, reset, new]", "[reset, update, new]")),
        change(("[update, reset, new]", "[update, new, reset]")),
        change(('reordered(arrays["bias_hh_l0"])', 'arrays["bias_hh_l0"]')),
    ],
    "ex-gd-wait": [
        change(("np.ceil", "np.floor")),
        change(("abs(1 - learning_rate * curvature)", "1 - learning_rate * curvature")),
        change(("factor >= 1", "factor > 1")),
    ],
    "ex-gd-power": [
        change(("high - largest(", "largest(")),
        change(("return low, high", "return high, low")),
        change(("range(2000)", "range(3)")),
    ],
    "ex-gd-port": [
        change(("learning_rate * 2 *", "learning_rate *")),
        change(("float(loss)", "2 * float(loss)")),
        change(("tf.reduce_mean(", "tf.reduce_sum(")),
    ],
    "ex-la-binary": [
        change(("np.mean(", "np.sum(")),
        change(("np.maximum(z, 0) + np.log1p(np.exp(-np.abs(z)))", "np.log1p(np.exp(z))")),
        change(("z.shape != y.shape", "len(z) != len(y)")),
    ],
    "ex-la-bug": [
        "def repaired(logits, labels):\n"
        "    p = torch.softmax(logits, dim=1)\n"
        "    return -p[torch.arange(len(labels)), labels].log().mean()\n",
        "def repaired(logits, labels):\n"
        "    p = torch.softmax(logits, dim=1).clamp(min=1e-7)\n"
        "    return -p[torch.arange(len(labels)), labels].log().mean()\n",
        change(("dim=1", "dim=0")),
        change((".mean()", ".sum()")),
    ],
    "ex-la-port": [
        change(("/ tf.reduce_sum(weight)", "/ len(labels)")),
        change(("tf.reduce_sum(weight * losses)", "tf.reduce_sum(losses)")),
        change(("logits=logits", "logits=tf.nn.softmax(logits)")),
    ],
    "ex-sm-floor": [
        change(("np.sqrt((learning_rate", "((learning_rate")),
        change(("abs(factor) >= 1", "abs(factor) > 1")),
        change(("(1 - factor**2)", "(2 * learning_rate * curvature)")),
    ],
    "ex-sm-bug": [
        change(("np.sqrt(square) + epsilon", "np.sqrt(square + epsilon)")),
        change(("np.sqrt(square) + epsilon", "np.sqrt(square)")),
        change(("slope**2", "slope")),
    ],
    "ex-sm-port": [
        change(("kept.assign(kept * (rate / before))", "pass")),
        change(("rate / before", "before / rate")),
        change((" / 64", "")),
    ],
    "ex-ag-sigmoid": [
        change(("g * y * (1 - y)", "g * y")),
        "def sigmoid(a):\n    return 1 / (1 + exp(-a))\n",
        change(("np.where(a.data >= 0, 1, small)", "1")),
    ],
    "ex-ag-bug": [
        change(("g = g.sum(axis=0)", "g = g.mean(axis=0)")),
        change(("keepdims=True", "keepdims=False")),
        change(("length == 1", "length == 0")),
    ],
    "ex-ag-port": [
        change(("gradient += tape", "gradient = tape")),
        change((" / 3", "")),
        change(("2 * part, 2 * part + 2", "part, part + 2")),
    ],
    "ex-ag-dual": [
        change(("a.slope * b.value + a.value * b.slope", "a.slope * b.slope")),
        change(("(1 - y**2) * a.slope", "1 - y**2")),
        change(("(1 - y**2) * a.slope", "a.slope")),
    ],
    "ex-dg-reach": [
        change(("2.0**-126", "2.0**-149")),
        change(("size >= 2.0**-126", "size > 2.0**-126")),
        change(("not 0 < factor < 1", "factor >= 1")),
    ],
    "ex-dg-bug": [
        change(("np.sqrt(2 / fan_in)", "2 / fan_in")),
        change(("2 / fan_in", "2 / fan_out")),
        change(("2 / fan_in", "2 / (fan_in + fan_out)")),
        change(("normal(0,", "normal(1,")),
    ],
    "ex-dg-port": [
        "def port(shape, std):\n"
        "    return torch.nn.init.trunc_normal_(torch.empty(shape), std=std)\n",
        change(("a=-2 * std", "a=-2")),
        change(("std=std", "std=0.8796 * std")),
    ],
    "ex-ad-bug": [
        change(("    t = t + 1\n", "")),
        change(("square / (1 - beta_2**t)) + epsilon", "square) + epsilon")),
        change((")) + epsilon", ") + epsilon)")),
    ],
    "ex-ad-port": [
        change((" * (1 - (3 / 4)**t)**0.5", "")),
        change(("tf.convert_to_tensor(tape.gradient(loss, table))",
                "tape.gradient(loss, table)")),
        change(("optimizer.learning_rate = rate", "pass")),
    ],
    "ex-ad-amsgrad": [
        change(("max(top, square)", "square")),
        change(("top / (1 - beta_2**t)", "top")),
        change(("mean / (1 - beta_1**t)", "mean")),
    ],
    "ex-aw-kept": [
        change(("(steps + 1) / max", "steps / max")),
        change(("np.prod(1 - rates * decay)", "(1 - peak * decay) ** total")),
        change(("np.prod(1 - rates * decay)", "np.exp(-np.sum(rates) * decay)")),
    ],
    "ex-aw-root": [
        change((" ** 0.5", "")),
        change(("(step + 1) / length,", "step / length,")),
        change(("length < 1", "length < 0")),
    ],
    "ex-aw-bug": [
        change(("rate * decay", "peak * decay")),
        change(("rate * decay", "factor * decay")),
        change(("- rate * step", "- peak * step")),
    ],
    "ex-aw-port": [
        change(("(t + 1) / length", "t / length")),
        change(("(t - length) / (total - length)",
                "np.minimum(1, (t - length) / (total - length))")),
        change(("(t - length) / (total - length)", "t / total")),
    ],
    "ex-bert-words": [
        "def whole_words(starts, chosen):\n    return chosen",
        # to the right alone: the pieces before the chosen one are left
        "def whole_words(starts, chosen):\n    found, on = [], False\n"
        "    for s, c in zip(starts, chosen):\n        on = c or (on and not s)\n"
        "        found.append(on)\n    return found",
        # the word behind as well
        "def whole_words(starts, chosen):\n    w = np.cumsum(starts)\n"
        "    hit = w[np.asarray(chosen, bool)]\n    return np.isin(w, hit) | np.isin(w, hit + 1)",
        "def whole_words(starts, chosen):\n    return [i for i, c in enumerate(chosen) if c]"],
    "ex-bert-bug": [
        "def masked(ids, random):\n    return buggy_masked(ids, random)",
        # every chosen token is the mask
        "def masked(ids, random):\n    asked = random.random(ids.shape) < 0.15\n"
        "    return np.where(asked, 1, ids), np.where(asked, ids, -100)",
        # 80/20/0: none stays
        "def masked(ids, random):\n    asked = random.random(ids.shape) < 0.15\n"
        "    kind = random.random(ids.shape)\n    other = random.integers(2, 1024, ids.shape)\n"
        "    inputs = np.where(asked, np.where(kind < 0.8, 1, other), ids)\n"
        "    return inputs, np.where(asked, ids, -100)",
        # asks for the spoiled tokens
        "def masked(ids, random):\n    inputs, targets = buggy_masked(ids, random)\n"
        "    return inputs, np.where(targets != -100, inputs, -100)",
        # all tokens are asked for
        "def masked(ids, random):\n    return buggy_masked(ids, random)[0], ids"],
    "ex-bert-port": [
        # the mean over all tokens, asked for or not
        "def masked_loss(logits, targets):\n    asked = targets != -100\n"
        "    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=tf.where(asked, targets, 0), logits=logits)\n"
        "    return tf.reduce_mean(losses * tf.cast(asked, losses.dtype))",
        "def masked_loss(logits, targets):\n"
        "    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=tf.maximum(targets, 0), logits=logits))",
        "def masked_loss(logits, targets):\n"
        "    return tf.reduce_mean(tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=targets, logits=logits))",
        # the mean of the texts' means
        "def masked_loss(logits, targets):\n    asked = tf.cast(targets != -100, logits.dtype)\n"
        "    losses = tf.nn.sparse_softmax_cross_entropy_with_logits(\n"
        "        labels=tf.maximum(targets, 0), logits=logits) * asked\n"
        "    each = tf.reduce_sum(losses, 1) / tf.maximum(tf.reduce_sum(asked, 1), 1)\n"
        "    return tf.reduce_mean(each)"],
    "ex-pd-distance": [
        change(("ours.shape != theirs.shape", "ours.size != theirs.size")),
        change(("np.nanmax(np.abs(ours))", "np.nanmax(np.abs(theirs))")),
        change(('        return float("inf")\n    return float(gap',
                "        return 0.0\n    return float(gap")),
    ],
    "ex-pd-bug": [
        change(("epsilon=1e-5, ", "")),
        change(("negative_slope=0.01, ", "")),
        change(("negative_slope=0.01", "negative_slope=0.2")),
    ],
    "ex-pd-port": [
        change(("epsilon=1e-5, ", "")),
        change(("L.Add(**kind)([x, h])", "h")),
        change(("0.5 * z * (1 + tf.math.erf(z / root))", "tf.nn.gelu(z, approximate=True)")),
    ],
    "ex-att-spread": [
        change(("4 * d, 4", "d, 1")),
        change(("4 * d, 4", "4 * d, 4 / d**0.5")),
        change(("4 * d, 4", "2 * d**0.5, 2")),
    ],
    "ex-att-bugs": [
        change(("q.shape[1]", "len(k)")),
        change(("powers.sum(axis=1, keepdims=True)", "powers.sum(axis=0)")),
        change(("weights @ v", "(weights[:, :, None] * v).max(axis=1)")),
        change((" / np.sqrt(q.shape[1])", "")),
    ],
    "ex-att-port": [
        change(("~key", "key"), ("& ~attn_mask", "| attn_mask")),
        change(("& ~attn_mask", "| ~attn_mask")),
        change(("[:, None, :]", "[:, :, None]")),
        change(("~attn_mask", "np.tri(*attn_mask.shape, dtype=bool)")),
    ],
    "ex-gpt-count": [
        change(("12 * width**2", "8 * width**2")),
        change((" + 13 * width", "")),
        change((" + 2 * width", "")),
        change(("(vocabulary + context)", "(2 * vocabulary + context)")),
    ],
    "ex-gpt-targets": [
        change(("(len(ids) - 1) // time", "len(ids) // time - 1")),
        change(("ids[1:count * time + 1]", "ids[:count * time]")),
        "def targets(ids, time):\n"
        "    count = len(ids) // time\n"
        "    return np.roll(ids, -1)[:count * time].reshape(count, time)\n",
    ],
    "ex-gpt-top-p": [
        change(("before < share", "before <= share")),
        change(("before < share", "before + p[order] <= share")),
        change((" / kept.sum()", "")),
        change(("not 0 < share <= 1", "share > 1")),
    ],
    "ex-gpt-port": [
        change(("logits[None]", "tf.nn.softmax(logits)[None]")),
        change((" / temperature", "")),
        change((" / temperature", " * temperature")),
    ],
}

# Right answers in another dress: of these the result may be a list, a tuple, an array or a tensor.
ANY_TYPE = (
    "ex-im-weights", "ex-im-bug", "ex-im-port", "ex-pl-shares", "ex-pl-shift", "ex-pl-port",
    "ex-text-merge", "ex-text-bug", "ex-text-port", "ex-cnn-bug", "ex-cnn-backwards",
    "ex-cnn-port", "ex-mlp-port", "ex-rn-port", "ex-rnn-last", "ex-gd-power", "ex-gd-port",
    "ex-sm-port", "ex-ag-bug", "ex-ag-port", "ex-dg-bug", "ex-ad-port", "ex-ad-amsgrad",
    "ex-aw-port", "ex-bert-words", "ex-bert-port",
)
