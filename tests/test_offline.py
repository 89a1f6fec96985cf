"""`make test` blocks the network; here the block itself is tested."""

import os
import subprocess
import sys
from pathlib import Path

OFFLINE = Path(__file__).parent / "_offline"


def run(code, **environment):
    environment = {**os.environ, "PYTHONPATH": str(OFFLINE), **environment}
    environment.pop("COURSE_ALLOW_NETWORK", None)
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, env=environment)


def test_another_host_is_refused_by_name_and_by_number():
    by_name = run("import urllib.request; urllib.request.urlopen('https://pypi.org', timeout=5)")
    assert by_name.returncode and "without a network" in by_name.stderr
    by_number = run("import socket; socket.create_connection(('192.0.2.1', 80), timeout=5)")
    assert by_number.returncode and "without a network" in by_number.stderr


def test_this_machine_is_reachable():
    code = (
        "import socket; s = socket.create_server(('127.0.0.1', 0));"
        "socket.create_connection(s.getsockname()).close(); print('reached')"
    )
    assert run(code).stdout == "reached\n"
