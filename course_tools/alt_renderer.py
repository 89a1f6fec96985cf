"""The site's renderer of notebook outputs: myst-nb's own, with alternative texts.

myst-nb takes an image's width and height from the output's metadata and drops its
alternative text. ``plots.show(fig, alt=…)`` stores one under the mime type:
``metadata={"image/png": {"alt": …, "width": …, "height": …}}``. Chosen by
``nb_render_plugin: course`` (entry point group ``myst_nb.renderers``).
"""

from __future__ import annotations

from docutils import nodes
from myst_nb.core.render import MimeData, NbElementRenderer

from course_tools.site import BuildStopped


class AltRenderer(NbElementRenderer):
    """Render notebook outputs; refuse a figure that nobody described."""

    def render_image(self, data: MimeData) -> list[nodes.Element]:
        """Render an image with the alternative text that its output stores.

        Raises ``BuildStopped`` where neither the output nor the cell holds one.
        """
        images = super().render_image(data)
        stored = data.output_metadata.get(data.mime_type, {}).get("alt", "")
        for image in images:
            alt = stored.strip() or image.get("alt", "").strip()
            if not alt:
                cell = (data.cell_index or 0) + 1
                raise BuildStopped(
                    f"{self.source}: the figure of cell {cell} has no alternative text. "
                    "Show it with plots.show(fig, alt=…) and say there what is to be seen."
                )
            image["alt"] = alt
        return images
