"""The Rosetta table: each measured difference between PyTorch and TensorFlow, and its cure.

Each row is established by the measurement of its name in ``tests/rosetta``; the page
``book/rosetta.md`` is made of both by ``course rosetta``.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """One difference: what each framework does, and what makes them agree.

    ``page`` is where the book meets it, below ``book/``, with its ``#heading``; "" if nowhere yet.
    """

    topic: str
    pytorch: str
    tensorflow: str
    cure: str
    page: str = ""
    kind: str = ""  # a key of GROUPS


GROUPS = {
    "layers": "Layers",
    "statistics": "Activations and statistics",
    "losses": "Losses",
    "optimizers": "Optimizers",
    "loops": "Data and loops",
    "gradients": "Gradients",
}

_HERE = "#what-differs-between-the-frameworks-here"
_IMAGES = f"01-datasets/images.md{_HERE}"
_PIPELINES = f"01-datasets/pipelines.md{_HERE}"
_TEXT = f"01-datasets/text.md{_HERE}"
_TEXT_NUMBERS = "01-datasets/text.md#same-numbers"
_MLP = f"02-architectures/mlp.md{_HERE}"
_CNN = f"02-architectures/cnn.md{_HERE}"
_RNN = f"02-architectures/rnn.md{_HERE}"
_RESNET = f"02-architectures/resnet.md{_HERE}"
_BATCH_NORM = "02-architectures/resnet.md#batch-normalisation-from-scratch"
_DESCENT = f"03-gradient-descent/gradient-descent.md{_HERE}"
_LOSSES = f"03-gradient-descent/losses-and-activations.md{_HERE}"
_MOMENTUM = f"03-gradient-descent/stochastic-and-momentum.md{_HERE}"
_ADAM = f"05-adam/adam.md{_HERE}"
_DEEP = f"04-backpropagation/deep-gradients.md{_HERE}"
_AUTOGRAD = f"04-backpropagation/autograd.md{_HERE}"
_ADAMW = f"05-adam/adamw-and-schedules.md{_HERE}"

_LAYERS = {
    "strided-convolution-padding": Row(
        "Convolution with stride 2: the padding",
        "`padding=1` pads all four sides.",
        '`padding="same"` pads as little as it must: an even image only on the right and below.',
        'Keras: `ZeroPadding2D(1)`, then `padding="valid"`.',
        _CNN, "layers"),
    "max-pool-padding": Row(
        "Max pooling with padding",
        "`MaxPool2d(3, 2, padding=1)` pads all sides, with −∞.",
        '`padding="same"` pads an even image only on the right and below.',
        "TensorFlow: `tf.pad` all sides with −∞, then pool without padding.",
        _CNN, "layers"),
    "average-pool-padding": Row(
        "Average pooling at the border",
        "The padded zeros count in the mean.",
        "The mean is over the pixels of the image alone.",
        "PyTorch: `count_include_pad=False`, where both pad alike (3 wide, stride 1).",
        _CNN, "layers"),
    "transposed-convolution": Row(
        "Transposed convolution that doubles the size",
        "`ConvTranspose2d(…, 3, stride=2, padding=1, output_padding=1)` cuts the full result on"
        " the left and above.",
        '`padding="same"` cuts it on the right and below.',
        "PyTorch: no padding, then keep the first 2n rows and columns.",
        "", "layers"),
    "flatten-order": Row(
        "The order of a flattened image",
        "Channel by channel.",
        "Pixel by pixel.",
        "Keras: `Permute((3, 1, 2))` before `Flatten`, or turn the weights of the layer after it.",
        _CNN, "layers"),
    "kernel-layout": Row(
        "How a dense layer keeps its weights",
        "`Linear` keeps `(out, in)`.",
        "`Dense` keeps `(in, out)`.",
        "Transpose; `parity.copy_weights` does. A square matrix fits both ways, in silence.",
        _DESCENT, "layers"),
    "channels-last": Row(
        "Where the channels stand",
        "`(batch, channels, height, width)`.",
        "`(batch, height, width, channels)`.",
        "Move the axis, `np.moveaxis(x, 1, -1)`; do not reshape.",
        _CNN, "layers"),
    "lstm-biases": Row(
        "The biases of an LSTM",
        "Two, of which only the sum counts. Both are trained, so the sum moves twice as far.",
        "One.",
        "Copy the sum, and freeze one of PyTorch's two.",
        _RNN, "layers"),
    "gru-gates": Row(
        "The gates of a GRU",
        "Stacked as r, z, n.",
        "Stacked as z, r, n. Both keep two biases.",
        "Reorder weights and biases; `parity.copy_weights` does.",
        _RNN, "layers"),
    "forget-gate-bias": Row(
        "How the forget gate of an LSTM starts",
        "Two biases drawn about 0.",
        "At 1 (`unit_forget_bias=True`).",
        "PyTorch: set that quarter of one bias to 1 and of the other to 0.",
        _RNN, "layers"),
    "padded-sequences": Row(
        "Sequences of unequal length",
        "An LSTM reads the padding too, unless the batch is packed.",
        "An LSTM that is given a mask skips the padding.",
        "PyTorch: `pack_padded_sequence`. Keras: `mask=` or `mask_zero=True`.",
        _RNN, "layers"),
    "embedding-padding": Row(
        "`padding_idx` and `mask_zero`",
        "`padding_idx` makes one row 0 and keeps its gradient at 0. It is no mask: a mean still"
        " divides by all places.",
        "`mask_zero=True` leaves the row alone and makes a mask, which later layers obey.",
        "PyTorch: `EmbeddingBag` with `padding_idx`, or a mean over real places written out.",
        _MLP, "layers"),
    "mask-dropped": Row(
        "A mask that falls off",
        "There is none: you write the mask where it is used.",
        "A mask rides on the tensor; arithmetic on the tensor drops it without a warning.",
        "Keras: hand it on yourself, `layer(x, mask=mask)`.",
        _TEXT, "layers"),
    "ids-not-whole": Row(
        "Word numbers that are not whole",
        "`Embedding` raises an error.",
        "`Embedding` cuts 1.9 to 1 in silence.",
        "Round and convert to whole numbers first.",
        _MLP, "layers"),
    "ids-out-of-range": Row(
        "A word number beyond the table",
        "`Embedding` raises an error.",
        "On the CPU an error too; compiled with XLA (`jit_compile=True`) the last row, without a"
        " word.",
        "Check the ids before the compiled part, as `tf.debugging.assert_less` does.",
        _TEXT, "layers"),
    "padding-alone": Row(
        "A text of nothing but padding",
        "`EmbeddingBag` with `padding_idx` returns 0.",
        "`GlobalAveragePooling1D` behind a mask divides 0 by 0: not a number.",
        "Refuse such texts; or divide by the number of words or 1, whichever is larger.",
        _TEXT, "layers"),
    "attention-mask": Row(
        "A boolean attention mask",
        "`nn.MultiheadAttention`: True means blocked. (`scaled_dot_product_attention`: allowed.)",
        "`MultiHeadAttention`: True means allowed.",
        "Invert it for `nn.MultiheadAttention`: `~mask`.",
        "", "layers"),
    "batch-norm-epsilon": Row(
        "ε of batch normalisation",
        "1e-5.",
        "1e-3.",
        "Keras: `epsilon=1e-5`.",
        _BATCH_NORM, "layers"),
    "batch-norm-momentum": Row(
        "Momentum of batch normalisation",
        "0.1, the weight of the *new* value.",
        "0.99, the weight of the *old* value.",
        "Keras: `momentum=0.9` for PyTorch's 0.1.",
        _BATCH_NORM, "layers"),
    "batch-norm-variance": Row(
        "Running variance of batch normalisation",
        "Keeps the unbiased variance of each batch, divided by n − 1.",
        "Keeps the biased one, divided by n. Outputs in training mode do not differ.",
        "Convert when you copy: the part that came from batches, times n/(n − 1). The start of 1"
        " still weighs momentum to the power of the steps.",
        _BATCH_NORM, "layers"),
    "batch-of-one": Row(
        "Batch normalisation of a single row",
        "Raises an error in training mode.",
        "Returns the shift β for every input, without a word.",
        "No batch of one in training; for use, the running statistics: `eval()`,"
        " `training=False`.",
        _RESNET, "layers"),
    "layer-norm-epsilon": Row(
        "ε of layer normalisation",
        "1e-5.",
        "1e-3.",
        "Keras: `epsilon=1e-5`.",
        _DEEP, "layers"),
    "group-norm-epsilon": Row(
        "ε of group normalisation",
        "1e-5.",
        "1e-3.",
        "Keras: `epsilon=1e-5`.",
        "", "layers"),
    "rms-norm-epsilon": Row(
        "ε of RMS normalisation",
        "The machine epsilon of the input's type.",
        "1e-6.",
        "PyTorch: `eps=1e-6`.",
        "", "layers"),
    "initialisers": Row(
        "How dense layers start",
        "Weights and biases uniform within ±1/√inputs.",
        "Weights from Glorot's uniform distribution, biases 0.",
        "Copy the weights, `parity.copy_weights`, or draw both with one rule of your own.",
        _DESCENT, "layers"),
    "embedding-start": Row(
        "How word vectors start",
        "Normal, standard deviation 1.",
        "Uniform within ±0.05, about a thirtieth of that.",
        "Copy the table, or set the start in both.",
        _MLP, "layers"),
    "truncated-normal": Row(
        "A truncated normal start",
        "`trunc_normal_(std=0.02)` cuts at ±2 as a number, here 100 σ: it cuts nothing.",
        "`TruncatedNormal(stddev=0.02)` cuts at two σ.",
        "PyTorch: `a=-2 * std, b=2 * std`.",
        _DEEP, "layers"),
    "he-normal": Row(
        "He's normal start",
        "`kaiming_normal_` does not cut.",
        "`he_normal` cuts at two deviations of a wider normal distribution, which restores the"
        " variance.",
        "PyTorch: `trunc_normal_` with the standard deviation divided by 0.8796, cut at two of"
        " those.",
        _MLP, "layers"),
    "prelu-start": Row(
        "The start of PReLU's slope",
        "0.25, one slope for all channels.",
        "0, one slope for each entry of the input.",
        "Keras: `alpha_initializer=Constant(0.25)`, and `shared_axes` to share slopes.",
        "", "layers"),
}

_STATISTICS = {
    "gelu": Row(
        "GELU",
        "Exact.",
        "Exact in layers, activations and `tf.nn`; the tanh formula in `keras.ops.gelu`.",
        "`approximate=False`.",
        _LOSSES, "statistics"),
    "gelu-float64": Row(
        "GELU in float64",
        "Right to the last digits.",
        "The constant 1/√2 passes through float32, so the result is right to eight digits.",
        "Write it out: `0.5 * x * (1 + tf.math.erf(x / np.sqrt(2)))`.",
        "", "statistics"),
    "leaky-relu-slope": Row(
        "The slope of leaky ReLU",
        "0.01.",
        "0.3 in Keras's layer, 0.2 in `tf.nn.leaky_relu`.",
        "Keras: `negative_slope=0.01`; it is kept in float32.",
        _LOSSES, "statistics"),
    "softplus-threshold": Row(
        "Softplus of large numbers",
        "The number itself above `threshold=20`.",
        "The formula everywhere.",
        "PyTorch in float64: `threshold=40`.",
        "", "statistics"),
    "standard-deviation": Row(
        "Standard deviation and variance",
        "`torch.std` divides by n − 1.",
        "`tf.math.reduce_std`, `tf.nn.moments` and `Normalization` divide by n, as NumPy does.",
        "PyTorch: `correction=0`.",
        _IMAGES, "statistics"),
    "median": Row(
        "The median of an even number of values",
        "`torch.median` takes the lower of the middle two.",
        "`keras.ops.median` takes their mean, as NumPy does.",
        "PyTorch: `torch.quantile(x, 0.5)`.",
        "", "statistics"),
    "subnormal-numbers": Row(
        "Numbers below 1.2e-38 in float32",
        "Kept, with fewer and fewer digits, down to 1.4e-45.",
        "Rounded to 0 on the CPU.",
        "Compute in float64, or multiply by a power of two that keeps the numbers above 1.2e-38.",
        _DEEP, "statistics"),
    "norm-of-zero": Row(
        "The gradient of a norm at 0",
        "0.",
        "Not a number, which then spreads through all weights.",
        "TensorFlow: take the root only where the square is positive (`tf.where` inside the root"
        " and outside).",
        _AUTOGRAD, "statistics"),
}

_LOSS_ROWS = {
    "logits-or-probabilities": Row(
        "What cross-entropy takes",
        "Logits.",
        "Probabilities, unless `from_logits=True`.",
        "Return logits; Keras: `from_logits=True`.",
        _LOSSES, "losses"),
    "double-softmax": Row(
        "A softmax before a loss that takes logits",
        "In silence a double softmax.",
        "Keras finds the logits behind a softmax of its own, warns and repairs; behind"
        " `tf.nn.softmax` it cannot.",
        "No softmax at the end of the model.",
        _LOSSES, "losses"),
    "probabilities-clipped": Row(
        "A confident mistake, told in probabilities",
        "Takes logits; the loss grows with the margin.",
        "Probabilities that do not come from a Keras softmax are clipped at 1e-7: the loss stops"
        " at 16.1, and the gradient is exactly 0.",
        "Logits and `from_logits=True`.",
        _LOSSES, "losses"),
    "class-weights": Row(
        "Class weights",
        "The weighted sum over the *sum of the weights* in the batch.",
        "The weighted sum over the *number* of rows.",
        'PyTorch: `reduction="sum"`, divided by the number of rows.',
        _IMAGES, "losses"),
    "kl-divergence": Row(
        "Kullback–Leibler divergence",
        "`mean` divides by the number of entries (and warns).",
        "Sums over classes, then takes the mean over rows.",
        'PyTorch: `reduction="batchmean"`.',
        _LOSSES, "losses"),
    "label-smoothing": Row(
        "Label smoothing",
        "Works on integer labels.",
        "Only the loss for one-hot labels has it; the sparse one refuses the argument.",
        "Keras: one-hot labels, and `label_smoothing` of `CategoricalCrossentropy`.",
        _LOSSES, "losses"),
    "mse-broadcast": Row(
        "Squared error of shapes (n, 1) and (n,)",
        "`MSELoss` broadcasts to (n, n), with a warning.",
        "`MeanSquaredError` squeezes and is right; written by hand it broadcasts in silence.",
        "Give both one shape, and check it.",
        _LOSSES, "losses"),
    "loss-argument-order": Row(
        "The order of a loss's arguments",
        "`loss(prediction, target)`.",
        "`loss(y_true, y_pred)`. Swapped one-hot labels are wrong in silence.",
        "Turn them round.",
        _LOSSES, "losses"),
    "ignore-index": Row(
        "Leaving padding out of a loss",
        "`ignore_index` divides by the number of real targets.",
        "`sample_weight` of 0 and 1 divides by all places.",
        "Keras: `ignore_class`.",
        _TEXT, "losses"),
    "loss-object-float32": Row(
        "Losses in float64",
        "Computed in the input's type.",
        "A Keras loss *object* casts to float32; a loss *function* does not.",
        'Keras: `dtype="float64"` for the object.',
        _LOSSES, "losses"),
    "class-axis": Row(
        "Where a loss looks for the classes",
        "`cross_entropy`: axis 1, also for `(rows, classes, steps)`.",
        "The last axis.",
        "PyTorch: move classes to axis 1, `.transpose(1, 2)`. Where steps and classes are equal in"
        " number, the wrong order raises nothing.",
        "", "losses"),
    "cosine-similarity": Row(
        "Cosine similarity",
        "`cosine_similarity` is 1 for equal directions.",
        "The loss `cosine_similarity` is −1 for them, so that it can be minimised.",
        "Change the sign.",
        "", "losses"),
    "poisson-loss": Row(
        "The Poisson loss",
        "Takes the logarithm of the rate (`log_input=True`).",
        "Takes the rate, and adds 1e-7 inside the logarithm.",
        "PyTorch: `log_input=False, eps=1e-7`.",
        "", "losses"),
}

_OPTIMIZERS = {
    "adam-epsilon": Row(
        "ε of Adam",
        "1e-8, added to the root of the *corrected* second moment.",
        "1e-7, added to the root *before* the correction.",
        "One formula of your own in both; or in PyTorch `eps = ε/√(1 − β₂ᵗ)`, set before each"
        " step t.",
        _TEXT_NUMBERS, "optimizers"),
    "optimizer-constants": Row(
        "Rates and momenta in float64",
        "Kept in float64.",
        "The rate and other constants pass through float32.",
        "Sums of few powers of two, such as 1/8 and 0.875; or a formula of your own.",
        _MOMENTUM, "optimizers"),
    "rmsprop": Row(
        "RMSprop",
        "Decay 0.99; ε 1e-8, outside the root.",
        "Decay 0.9; ε 1e-7, inside the root.",
        "One formula in both, as `TorchRMSprop` and `TFRMSprop` of this course.",
        _MOMENTUM, "optimizers"),
    "adagrad": Row(
        "Adagrad",
        "The sum of squares starts at 0; ε 1e-10, outside the root.",
        "Starts at 0.1; ε 1e-7, inside the root.",
        "One positive start in both, and ε = 0.",
        _ADAM, "optimizers"),
    "adadelta": Row(
        "Adadelta",
        "Rate 1, decay 0.9, ε 1e-6.",
        "Rate 0.001, decay 0.95, ε 1e-7.",
        "Set all three; the formula is the same.",
        _ADAM, "optimizers"),
    "momentum-buffer": Row(
        "Momentum when the rate changes",
        "The rate stands outside the velocity: a new rate acts at once.",
        "The rate stands inside: the steps already taken coast on.",
        "Keras: multiply `optimizer.momentums` by new rate over old at each change. At a constant"
        " rate the two agree.",
        _MOMENTUM, "optimizers"),
    "adam-weight-decay": Row(
        "`weight_decay` of Adam",
        "Added to the gradient (L2), and so divided by the second moment.",
        "Decoupled: taken from the weights.",
        "PyTorch: `AdamW`.",
        _ADAMW, "optimizers"),
    "adamw-decay-default": Row(
        "The default decay of AdamW",
        "0.01.",
        "0.004.",
        "Set it in both.",
        _ADAMW, "optimizers"),
    "sgd-weight-decay": Row(
        "`weight_decay` of SGD with momentum",
        "Added to the gradient, so momentum carries it.",
        "Decoupled: taken from the weights.",
        "Keras: add `decay * weights` to the gradient yourself.",
        _ADAMW, "optimizers"),
    "l2-regularizer": Row(
        "L2 regularisers and weight decay",
        "`weight_decay=λ` adds λ·w to the gradient.",
        "`L2(λ)` adds λ·Σw² to the loss, without ½: 2λ·w to the gradient.",
        "PyTorch: `weight_decay=2λ`, for SGD.",
        _ADAMW, "optimizers"),
    "gradient-clipping": Row(
        "Clipping gradients by their norm",
        "`clip_grad_norm_`: one norm over all tensors, plus 1e-6.",
        "`clipnorm`: each tensor by itself.",
        "Keras: `global_clipnorm`; PyTorch's 1e-6 remains.",
        _RNN, "optimizers"),
    "clipping-overflow": Row(
        "Clipping where the norm overflows",
        "`clip_grad_norm_` divides by infinity: all gradients 0, in silence.",
        "`global_clipnorm` and `tf.clip_by_global_norm` return NaN; `clipnorm` 0.",
        "Divide by the largest entry before squaring; PyTorch: `error_if_nonfinite=True` raises.",
        _DEEP, "optimizers"),
    "cosine-schedule": Row(
        "A cosine schedule after its end",
        "`CosineAnnealingLR` climbs again after T steps.",
        "`CosineDecay` stays at its lowest.",
        "Let T be the number of all steps.",
        _ADAMW, "optimizers"),
    "exponential-schedule": Row(
        "A rate that falls by a factor every k steps",
        "`StepLR` falls in stairs.",
        "`ExponentialDecay` falls a little at each step.",
        "Keras: `staircase=True`.",
        _ADAMW, "optimizers"),
    "decay-exclusions": Row(
        "Parameters that do not decay",
        "Groups of parameters, one with `weight_decay=0`.",
        "`exclude_from_weight_decay`; a second call replaces the first, in silence.",
        "Keras: all names and variables in one call.",
        _ADAMW, "optimizers"),
    "clipping-slices": Row(
        "Clipping the gradient of an embedding",
        "Clipped as the gradient that it is.",
        "`clip_by_global_norm`, `clipnorm`, `global_clipnorm` and `clipvalue` clip the"
        " `IndexedSlices` before the rows of one word are added up.",
        "TensorFlow: `tf.convert_to_tensor(gradient)` before clipping.",
        _ADAMW, "optimizers"),
    "warm-up-start": Row(
        "The first step of a warm-up",
        "`LinearLR` begins above 0, at a third of the rate if nothing is said.",
        "`CosineDecay` begins at `initial_learning_rate`, 0 in its documentation: the first step"
        " moves nothing.",
        "One table of rates, (t + 1)/W of the peak, in both.",
        _ADAMW, "optimizers"),
    "schedule-clock": Row(
        "When a schedule goes on",
        "When you call `schedule.step()`, after an update or after an epoch.",
        "With every update.",
        "PyTorch: call it after each `optimizer.step()`, and count in updates.",
        _ADAMW, "optimizers"),
    "learning-rate-defaults": Row(
        "Default learning rates",
        "SGD 1e-3; RMSprop and Adagrad 1e-2; Adadelta 1; NAdam and Adamax 2e-3.",
        "SGD 1e-2; the others 1e-3.",
        "Always write the rate.",
        _DESCENT, "optimizers"),
    "embedding-gradients": Row(
        "Gradients of an embedding",
        "Dense, unless `sparse=True`.",
        "`IndexedSlices`, one slice for each row looked up. Where rows repeat, Adam, AdamW, NAdam,"
        " RMSprop, Adagrad, Adadelta and Ftrl take another step than with a dense gradient; SGD"
        " and Lion do not.",
        "TensorFlow: `tf.convert_to_tensor(gradient)` before `apply`.",
        _MLP, "optimizers"),
    "adam-sparse": Row(
        "Adam and sparse gradients",
        "`Adam` refuses the gradient of `Embedding(sparse=True)`. `SparseAdam` adds repeated rows"
        " up, and moves only the rows of the batch.",
        "Every row moves in every step: its mean gradient is not 0 where its gradient is.",
        "Dense gradients: `sparse=False` in PyTorch, `tf.convert_to_tensor` in TensorFlow.",
        _ADAM, "optimizers"),
    "nadam": Row(
        "The warm-up of NAdam's momentum",
        "β₁(1 − ½ · 0.96^(0.004 t)).",
        "β₁(1 − ½ · 0.96^t), 250 times as fast; 0.96 in float32.",
        "PyTorch: `momentum_decay=1`; then set the rate and ε too.",
        _ADAM, "optimizers"),
    "nesterov-without-momentum": Row(
        "Nesterov without momentum",
        "Raises an error.",
        "Plain SGD, without a word.",
        "Give a momentum.",
        _MOMENTUM, "optimizers"),
}

_LOOPS = {
    "training-mode": Row(
        "Training mode",
        "A module starts in training mode and stays there until `eval()`.",
        "A model called as `model(x)` is in inference mode; `fit` passes `training=True`.",
        "Say it in both: `model.train()` and `model(x, training=True)`.",
        _RESNET, "loops"),
    "keras-input-dtype": Row(
        "A float64 model with a float32 entrance",
        "A model has no entrance of its own: the input keeps its dtype.",
        "`keras.Input` takes `floatx`, float32, even where all layers compute in float64, and rounds.",
        "Keras: `keras.Input(shape, dtype=\"float64\")`.",
        "07-best-practices/port-doctor.md#what-differs-between-the-frameworks-here", "loops"),
    "input-dtype": Row(
        "float64 into a float32 layer",
        "Raises an error.",
        "Casts to float32 in silence.",
        "One type for data and model; for a proof float64 in both.",
        _DESCENT, "loops"),
    "gradients-add-up": Row(
        "Two backward passes",
        "Gradients add up in `.grad` until they are cleared.",
        "Each tape gives fresh ones.",
        "PyTorch: `optimizer.zero_grad()` in each step.",
        _DESCENT, "loops"),
    "rate-in-a-compiled-step": Row(
        "A Python number inside a step",
        "Read at each step.",
        "`tf.function` reads it once, when it traces; later changes do nothing.",
        "TensorFlow: a `tf.Variable`, changed by `assign`.",
        _MOMENTUM, "loops"),
    "division-in-a-graph": Row(
        "Dividing pixels by 255",
        "Divides.",
        "Inside `tf.function` the division may become a product with 1/255, which rounds"
        " differently.",
        "Divide before the compiled part.",
        _PIPELINES, "loops"),
    "seeds": Row(
        "One seed, two generators",
        "Draws of its own.",
        "Other draws.",
        "Draw in NumPy and hand the numbers to both.",
        "", "loops"),
    "shuffle-buffer": Row(
        "What shuffling means",
        "`shuffle=True` permutes all rows.",
        "`shuffle(size)` mixes within a buffer: with a small one rows stay near their place.",
        "A buffer as large as the data; for equal batches, one order drawn in NumPy.",
        _PIPELINES, "loops"),
    "shuffle-after-batch": Row(
        "Shuffle and batch",
        "The sampler comes first by construction.",
        "`batch` before `shuffle` shuffles whole batches.",
        "TensorFlow: `shuffle`, then `batch`; for equal batches, one order drawn in NumPy.",
        _PIPELINES, "loops"),
    "unequal-shards": Row(
        "Shares that do not come out even",
        "`DistributedSampler` repeats rows until all shares are equally long.",
        "`shard` gives each row once; shares differ in length.",
        "Drop the rest: `drop_last=True`; `.take(rows // shares)`.",
        _PIPELINES, "loops"),
    "flip-of-a-stack": Row(
        "Turning a stack of images upside down",
        "`torch.flipud` reverses the first axis, the stack.",
        "`tf.image.flip_up_down` reverses the height of each image.",
        "PyTorch: `torch.flip(images, [1])`, the axis by number.",
        _IMAGES, "loops"),
    "augmentation-mode": Row(
        "Augmentation in evaluation",
        "A function that you call or do not.",
        "`RandomFlip` is active in `model(x)`, unlike dropout.",
        "Keras: `training=False`, or `predict`.",
        _IMAGES, "loops"),
    "resize-dtype": Row(
        "Resizing bytes",
        "`interpolate` returns bytes for bytes.",
        "`tf.image.resize` returns float32 from 0 to 255; it does not divide.",
        "Convert and divide by 255 yourself, in both.",
        _IMAGES, "loops"),
    "resize-corners": Row(
        "Where pixels lie when an image is resized",
        "`align_corners=True`, found in much old code, puts the outer pixels' middles on each"
        " other.",
        "`tf.image.resize` aligns the images' edges and has no such switch.",
        "PyTorch: `align_corners=False`, the default.",
        _IMAGES, "loops"),
    "resize-nearest": Row(
        "Resizing to the nearest pixel",
        '`mode="nearest"` measures from each pixel\'s corner.',
        '`method="nearest"` measures from its middle.',
        'PyTorch: `mode="nearest-exact"`.',
        "", "loops"),
    "resize-bicubic": Row(
        "Bicubic resizing",
        "The cubic with a = −0.75.",
        "The cubic with a = −0.5.",
        "PyTorch: `antialias=True`, which takes TensorFlow's cubic, where the image grows.",
        "", "loops"),
}

_GRADIENTS = {
    "max-ties": Row(
        "The gradient of a maximum with a tie",
        "`x.max(dim=…)` gives all of it to one of the equal entries; `amax` shares it.",
        "`tf.reduce_max` shares it.",
        "PyTorch: `x.amax(dim=…)`.",
        _AUTOGRAD, "gradients"),
    "maximum-ties": Row(
        "The gradient of `maximum(a, b)` where a = b",
        "Half to each.",
        "All of it to the first.",
        "In both: `b + relu(a - b)`, which gives it to b.",
        _AUTOGRAD, "gradients"),
    "rounding-gradient": Row(
        "The gradient of `round` and `floor`",
        "0.",
        "None, as if there were no way through.",
        "TensorFlow: `tape.gradient(y, x, unconnected_gradients=\"zero\")`.",
        _AUTOGRAD, "gradients"),
    "deviation-of-equal-values": Row(
        "The gradient of a standard deviation of equal values",
        "0.",
        "Not a number.",
        "In both: the root of the variance plus a small ε.",
        _AUTOGRAD, "gradients"),
    "selu-at-zero": Row(
        "The gradient of SELU at 0",
        "The slope of its left side, 1.758.",
        "The slope of its right side, 1.051.",
        "In both: written out with `where`.",
        _AUTOGRAD, "gradients"),
    "zero-log-zero": Row(
        "The gradient of p log p at p = 0, by `xlogy`",
        "Not finite, and it spreads.",
        "0 where p is 0.",
        "PyTorch: `xlogy` of the entries above 0 alone.",
        _AUTOGRAD, "gradients"),
    "vector-loss": Row(
        "The gradient of a loss that is not one number",
        "Raises an error.",
        "The gradient of the sum, in silence.",
        "Reduce the loss yourself, in both.",
        _AUTOGRAD, "gradients"),
    "changed-before-backward": Row(
        "A parameter changed between loss and gradient",
        "Raises an error, where the old value is needed.",
        "The gradient at the old value, in silence.",
        "First the gradient, then the change.",
        _AUTOGRAD, "gradients"),
    "unwatched-tensor": Row(
        "The gradient in a tensor that nobody declared",
        "Raises an error without `requires_grad=True`.",
        "None: only a trainable `tf.Variable` is watched.",
        "TensorFlow: `tape.watch(x)`.",
        _AUTOGRAD, "gradients"),
}

ROWS: dict[str, Row] = {**_LAYERS, **_STATISTICS, **_LOSS_ROWS, **_OPTIMIZERS, **_LOOPS, **_GRADIENTS}
