"""What the makers of the course and its instructors run: the ``course`` command."""
