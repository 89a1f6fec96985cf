"""How the site's build stops for a fault in a page: one clear message, no traceback."""


class BuildStopped(SystemExit):
    """Stop the build with a message that names the page and what to do.

    Jupyter Book answers any ordinary exception with two tracebacks, in which the reason is
    hard to find. An exit passes through it: Python prints the message and returns status 1.
    """

    def __init__(self, message: str) -> None:
        super().__init__(f"\n\nThe site was not built.\n{message}")
