"""One process of a joint training: ``python joint_processes.py OUT``, launched alone or with others."""

import sys

import torch

from joint_inputs import LABELS, build, make_documents, small
from msma.replication import train_jointly

if __name__ == "__main__":
    network, tokenizer = build("gpt2", is_still=False)
    trained = train_jointly(
        network.double(),
        make_documents(),
        labels=LABELS,
        config=small(epochs=2, micro_batch=3, learning_rate=1e-3, checkpoint_every=1),
        tokenizer=tokenizer,
        out=sys.argv[1],
    )
    print(trained.provenance["n_processes"], torch.get_num_threads())
