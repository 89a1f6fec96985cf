"""What the notebooks of the course import, and nothing else.

``runtime`` device, seed, threads, scale · ``data`` data sets · ``scratch`` the definitions in NumPy
``pytorch`` and ``tensorflow`` the same things in both frameworks · ``parity`` same weights, same curve
``checks`` claims and exercises · ``metrics`` · ``plots``
"""

from course_lib import runtime as _runtime

_runtime.prepare_imports()  # before torch or TensorFlow: keeps start-up logs away, sets threads
_runtime.show_every_sign()
