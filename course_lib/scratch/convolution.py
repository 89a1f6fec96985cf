"""Convolution and pooling, forward and backward, as the formulas say them, in float64.

Maps have the shape (batch, channels, rows, columns), as in PyTorch. A convolution here is what
both frameworks compute under that name: a cross-correlation, which does not flip its kernel.
"""

from __future__ import annotations

import numpy as np


def output_size(
    size: int, kernel: int, stride: int = 1, padding: int = 0
) -> int:
    """How many windows of ``kernel`` pixels fit, each way.

    (size + 2 padding - kernel) // stride + 1, rounded down, where ``padding`` pixels are added on
    each side (Dumoulin and Visin 2016, relationship 6).

    Raises
    ------
    ValueError
        If kernel or stride are below 1, padding is below 0, or not one window fits.
    """
    if kernel < 1 or stride < 1 or padding < 0:
        raise ValueError(
            f"kernel {kernel}, stride {stride}, padding {padding}: give a"
            " kernel and a stride of 1 or more and a padding of 0 or more")
    if kernel > size + 2 * padding:
        least = (kernel - size + 1) // 2
        raise ValueError(
            f"a kernel of {kernel} does not fit into {size} pixels with"
            f" padding {padding} on each side; make the kernel smaller or"
            f" the padding {least} or more")
    return (size + 2 * padding - kernel) // stride + 1


def windows(
    maps: np.ndarray, kernel: tuple[int, int], stride: int = 1,
    padding: int = 0, fill: float = 0.0,
) -> np.ndarray:
    """All windows: (batch, channels, rows, columns, *kernel).

    Rows and columns are those of the output. What lies outside the maps (batch, channels, height,
    width) is ``fill``. Raises ``ValueError`` where the maps do not have four axes, and as
    ``output_size`` does.
    """
    if np.ndim(maps) != 4:
        raise ValueError(f"maps have the shape {np.shape(maps)}; give"
                         " (batch, channels, rows, columns)")
    for size, k in zip(maps.shape[2:], kernel):
        output_size(size, k, stride, padding)
    around = ((0, 0), (0, 0), (padding, padding), (padding, padding))
    padded = np.pad(maps, around, constant_values=fill)
    view = np.lib.stride_tricks.sliding_window_view(padded, kernel, (2, 3))
    return view[:, :, ::stride, ::stride]


def add_windows(
    pieces: np.ndarray, shape: tuple, stride: int = 1, padding: int = 0
) -> np.ndarray:
    """The way back: add each window's numbers where they came from.

    ``pieces`` has the shape that ``windows`` returns for maps of ``shape``; the result has
    ``shape``. What would fall outside is dropped. (The adjoint of ``windows`` with fill 0.)
    """
    rows, columns, kernel = *pieces.shape[2:4], pieces.shape[4:]
    batch, channels, height, width = shape
    edges = 2 * padding
    total = np.zeros((batch, channels, height + edges, width + edges))
    for u, v in np.ndindex(*kernel):             # each place in the window
        total[:, :, u : u + stride * rows : stride,
              v : v + stride * columns : stride] += pieces[..., u, v]
    return total[:, :, padding : padding + height,
                 padding : padding + width]


def convolve(
    maps: np.ndarray, kernels: np.ndarray, bias: np.ndarray,
    stride: int = 1, padding: int = 0,
) -> np.ndarray:
    """Each window times each kernel, summed, plus bias.

    ``maps`` (batch, in, height, width), ``kernels`` (out, in, u, v), ``bias`` (out,); the result
    is (batch, out, rows, columns). Raises ``ValueError`` where the channels or the bias do not
    fit, and as ``output_size`` does.
    """
    check_fitting(maps, kernels, bias)
    view = windows(maps, kernels.shape[2:], stride, padding)
    sums = np.tensordot(view, kernels, axes=((1, 4, 5), (1, 2, 3)))
    return sums.transpose(0, 3, 1, 2) + bias[:, None, None]


def convolve_gradients(
    slope: np.ndarray, maps: np.ndarray, kernels: np.ndarray,
    stride: int = 1, padding: int = 0,
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """From the slope in the outputs, those in maps, kernels and bias.

    ``slope`` (batch, out, rows, columns) is the derivative of the loss by each output of
    ``convolve``; each result has the shape of what it belongs to.
    """
    view = windows(maps, kernels.shape[2:], stride, padding)
    check_slope(slope, (len(maps), len(kernels), *view.shape[2:4]))
    in_kernels = np.tensordot(slope, view, axes=((0, 2, 3), (0, 2, 3)))
    pieces = np.tensordot(slope, kernels, axes=(1, 0))
    in_maps = add_windows(
        pieces.transpose(0, 3, 1, 2, 4, 5), maps.shape, stride, padding)
    return in_maps, in_kernels, slope.sum(axis=(0, 2, 3))


def pool_windows(
    maps: np.ndarray, size: int, stride: int | None, padding: int,
    fill: float,
) -> np.ndarray:
    """The windows of a pool; its stride is its size unless given.

    Raises ``ValueError`` where a window could hold nothing but padding, and as ``windows`` does.
    """
    if padding > size // 2:
        raise ValueError(
            f"padding {padding} is more than half of the pool's size"
            f" {size}: a window could hold no pixel;"
            f" give {size // 2} or less")
    return windows(maps, (size, size), size if stride is None else stride,
                   padding, fill)


def max_pool(
    maps: np.ndarray, size: int = 2, stride: int | None = None,
    padding: int = 0,
) -> np.ndarray:
    """The largest number of each window; the stride is the size.

    ``maps`` (batch, channels, height, width) -> (batch, channels, rows, columns). ``stride`` is
    the size unless it is given. Padding counts as minus infinity.
    """
    view = pool_windows(maps, size, stride, padding, -np.inf)
    return view.max(axis=(4, 5))


def max_pool_gradient(
    slope: np.ndarray, maps: np.ndarray, size: int = 2,
    stride: int | None = None, padding: int = 0,
) -> np.ndarray:
    """The slope goes to each window's largest, the first of equals.

    ``slope`` (batch, channels, rows, columns) -> the shape of ``maps``.
    """
    view = pool_windows(maps, size, stride, padding, -np.inf)
    check_slope(slope, view.shape[:4])
    flat = view.reshape(*view.shape[:4], size * size)
    chosen = np.arange(size * size) == flat.argmax(axis=4)[..., None]
    pieces = (chosen * slope[..., None]).reshape(view.shape)
    return add_windows(pieces, maps.shape, stride or size, padding)


def average_pool(
    maps: np.ndarray, size: int = 2, stride: int | None = None,
    padding: int = 0,
) -> np.ndarray:
    """The mean of each window; padding counts as zeros.

    ``maps`` (batch, channels, height, width) -> (batch, channels, rows, columns). ``stride`` is
    the size unless it is given.
    """
    view = pool_windows(maps, size, stride, padding, 0.0)
    return view.mean(axis=(4, 5))


def average_pool_gradient(
    slope: np.ndarray, maps: np.ndarray, size: int = 2,
    stride: int | None = None, padding: int = 0,
) -> np.ndarray:
    """The slope is shared out equally among the window's pixels.

    ``slope`` (batch, channels, rows, columns) -> the shape of ``maps``.
    """
    view = pool_windows(maps, size, stride, padding, 0.0)
    check_slope(slope, view.shape[:4])
    pieces = np.broadcast_to(slope[..., None, None] / size**2, view.shape)
    return add_windows(pieces, maps.shape, stride or size, padding)


def moved(
    images: np.ndarray, down: np.ndarray, right: np.ndarray
) -> np.ndarray:
    """Each image moved by its own number of pixels; what comes in is 0.

    ``images`` (n, height, width); ``down`` and ``right``, (n,) or one number, are negative for
    up and left. Raises ``ValueError`` where the images do not have three axes.
    """
    if np.ndim(images) != 3:
        raise ValueError(f"images have the shape {np.shape(images)};"
                         " give (n, height, width)")
    most = int(max(np.abs(down).max(), np.abs(right).max()))
    padded = np.pad(images, ((0, 0), (most, most), (most, most)))
    view = np.lib.stride_tricks.sliding_window_view(
        padded, images.shape[1:], (1, 2))
    first = most - np.asarray(down), most - np.asarray(right)
    return view[np.arange(len(images)), *first]


def check_fitting(maps: np.ndarray, kernels: np.ndarray, bias: np.ndarray) -> None:
    """Raise where maps, kernels and bias do not belong together."""
    if np.ndim(kernels) != 4:
        raise ValueError(
            f"kernels have the shape {np.shape(kernels)}; give (out, in, rows, columns)")
    if np.ndim(maps) == 4 and maps.shape[1] != kernels.shape[1]:
        raise ValueError(
            f"maps {maps.shape} have {maps.shape[1]} channels, kernels {kernels.shape} take"
            f" {kernels.shape[1]}; make them equal (channels come second)")
    if np.shape(bias) != kernels.shape[:1]:
        raise ValueError(
            f"bias has the shape {np.shape(bias)}; give one number for each of the"
            f" {len(kernels)} kernels")


def check_slope(slope: np.ndarray, wanted: tuple) -> None:
    """Raise where the slope does not have the shape of the outputs."""
    if np.shape(slope) != wanted:
        raise ValueError(
            f"slope has the shape {np.shape(slope)}, the outputs have {wanted}; make them equal")
