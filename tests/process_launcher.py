"""Start a script as several processes, the way ``accelerate launch --cpu --num_processes n`` does."""

import os
import socket
import subprocess
import sys
from pathlib import Path


def launch(script, out, n):
    """Run a script of this folder with ``out`` as its argument, n times at once; give what each of them said."""
    common = {**os.environ, "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}
    if n > 1:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            port = str(probe.getsockname()[1])
        common |= {"WORLD_SIZE": str(n), "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": port}
        common |= {"ACCELERATE_USE_CPU": "true"}
    started = [
        subprocess.Popen(
            [sys.executable, str(Path(__file__).parent / script), str(out)],
            env={**common, **({"RANK": str(k), "LOCAL_RANK": str(k)} if n > 1 else {})},
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        for k in range(n)
    ]
    said = [process.communicate(timeout=600)[0] for process in started]
    assert all(process.returncode == 0 for process in started), "\n".join(said)
    return said
