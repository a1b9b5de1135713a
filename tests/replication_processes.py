"""Run by several processes at once: a tiny replication into the folder given."""

import sys

import torch

from joint_inputs import LABELS, build, make_documents, small
from msma.replication import replicate

if __name__ == "__main__":
    torch.set_num_threads(1)
    network, tokenizer = build("gpt2")
    arms = ("baseline", "full")
    config = small(epochs=1, batch_size=12)
    done = replicate(
        network,
        make_documents(60),
        arms=arms,
        seeds=(0,),
        config=config,
        labels=LABELS,
        tokenizer=tokenizer,
        out=sys.argv[1],
    )
    print(len(done.cells))
