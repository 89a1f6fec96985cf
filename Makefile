# Every target is done by make.py, which sets itself up; here a fitting Python is found for it.
# Windows, or no make:  python make.py book
# Options go through ARGS:  make notebooks ARGS="gradient-descent --seeds 5"

TARGETS := book serve test lab notebooks lock bench clean help
.PHONY: $(TARGETS)
.DEFAULT_GOAL := help

FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))

$(TARGETS):
	@for python in $(PYTHON) python3 python3.12 python3.13 python3.11 python; do \
	  if "$$python" -c '$(FITS)' >/dev/null 2>&1; then exec "$$python" make.py $@ $(ARGS); fi; \
	done; \
	echo "This needs a Python from 3.11 to 3.13 and found none; install one, or name it: make $@ PYTHON=/path/to/python3.12" >&2; \
	exit 1
