"""Widgets of the book: alive in JupyterLab, and on the website with no kernel.

Each is one JavaScript module (``NAME.js`` joined with ``base.js``) and a small Python class. In a
notebook it is an anywidget: moving it changes its Python traits. Its stored output is HTML that
holds the same module in a sandboxed frame, with a drawn picture where no script runs.

In Colab anywidget itself switches on ``google.colab.output.enable_custom_widget_manager``, which
Colab asks of widgets that are not its own. Not yet tried in Colab.
"""

from course_lib.widgets.attention import AttentionWidget
from course_lib.widgets.convolution import ConvolutionWidget
from course_lib.widgets.descent import DescentWidget
from course_lib.widgets.graph import GraphWidget

__all__ = ["AttentionWidget", "ConvolutionWidget", "DescentWidget", "GraphWidget"]
