from pathlib import Path
import nbformat, copy
class Book:
    def __init__(self, root): self.root=root
def portable_notebook(source, notebook, book):
    nb=copy.deepcopy(notebook)
    nb.metadata.pop("source_map",None); nb.metadata.pop("jupytext",None)
    return nb
