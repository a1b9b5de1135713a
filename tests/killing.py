"""Kill an extraction at random moments until it is done; run as a program, so that nothing of the tests is hit.

Each child is forked from a process that holds the model already and was never given a second thread, so that a
trial costs what the extraction costs. A kill is the signal that cannot be caught.
"""

import hashlib
import json
import os
import random
import shutil
import signal
import sys
import time
import traceback
from pathlib import Path


def main():
    folder, kind, n_kills, seed = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]), int(sys.argv[4])
    import torch

    torch.set_num_threads(1)
    sys.path.insert(0, str(Path(__file__).parent))
    from families import ALL_FAMILIES
    from msma.extraction import extract, extract_moments
    from tiny import TEXTS, make_tokenizer

    network, tokenizer = ALL_FAMILIES[0].build(), make_tokenizer("none")
    texts = [" ".join(TEXTS[(i + j) % len(TEXTS)] for j in range(2)) + f" {i}" for i in range(240)]
    options = {"tokenizer": tokenizer, "window": 16, "scales": "0-1|2|3-4"}

    def work(out):
        if kind == "moments":
            extract_moments(network, texts, out=out, block=48, sketch_width=4, n_heldout=32, **options)
        else:
            extract(network, texts, out=out, store=kind, attention_texts=16, **options)

    def run(out, *, patience=None):
        """Work in a child; whether it ended by itself."""
        child = os.fork()
        if child == 0:
            status = 1
            try:
                work(out)
                status = 0
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stderr.flush()
                os._exit(status)
        if patience is not None:
            time.sleep(patience)
            os.kill(child, signal.SIGKILL)
        status = os.waitpid(child, 0)[1]
        if not os.WIFSIGNALED(status) and os.WEXITSTATUS(status) != 0:
            raise SystemExit("a run that was not killed failed")
        return not os.WIFSIGNALED(status)

    whole = folder / "whole"
    start = time.perf_counter()
    run(whole)
    seconds = time.perf_counter() - start
    expected = contents(whole)
    rng = random.Random(seed)
    n_killed = n_rounds = 0
    different = []
    stages = {}
    while n_killed < n_kills:
        n_rounds += 1
        out = folder / "killed"
        # Most kills fall where work is done; a run that was faster than its kill is no kill.
        for _ in range(3):
            if run(out, patience=rng.uniform(0, seconds)):
                break
            n_killed += 1
            n_there = len(list(out.rglob("*"))) if out.exists() else 0
            stages[n_there] = stages.get(n_there, 0) + 1
        run(out)
        found = contents(out)
        if found != expected:
            different.append(sorted(set(found.items()) ^ set(expected.items()))[:4])
        shutil.rmtree(out)
    print(
        json.dumps(
            {
                "kills": n_killed,
                "rounds": n_rounds,
                "seconds": seconds,
                "files": len(expected),
                "different": different,
                "stages": len(stages),
            }
        )
    )


def contents(folder):
    """Every file with its checksum; the lock says who was there and not what was found."""
    return {
        str(path.relative_to(folder)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and not path.name.startswith(".lock")
    }


if __name__ == "__main__":
    main()
