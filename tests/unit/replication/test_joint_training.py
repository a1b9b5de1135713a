"""Joint training: plain fine-tuning without terms, resuming, what is left alone, and every refusal."""

import copy
import json
import sys
from itertools import islice

import pytest
import torch
from torch.nn import functional

from joint_inputs import LABELS, build, make_documents, make_joint, small
from msma.corpora import Document
from msma.errors import (
    ConfigError,
    CorpusError,
    MissingExtraError,
    ScaleError,
    StorageError,
    TrainingError,
)
from msma.models import load_model
from msma.models.accelerating import find_processes
from msma.replication import JointTrainingConfig, Quirks, TrainedArm, train_jointly
from msma.replication.drawing import epoch_batches, place_seed
from msma.scales import ScalePartition


def train(*, arm="full", name="bert", is_still=True, documents=None, labels=LABELS, config=None, **options):
    network, tokenizer = build(name, is_still=is_still)
    return train_jointly(
        options.pop("model", network),
        make_documents() if documents is None else documents,
        labels=labels,
        arm=arm,
        config=small() if config is None else config,
        tokenizer=tokenizer,
        **options,
    )


def is_same(one, other):
    ours, theirs = one.model.network.state_dict(), other.model.network.state_dict()
    parts = [(ours[key], theirs[key]) for key in ours]
    for mine, yours in ((one.maps, other.maps), (one.heads, other.heads)):
        for key, part in mine.items():
            parts += zip(part.state_dict().values(), yours[key].state_dict().values(), strict=True)
    return one.history == other.history and all(torch.equal(a, b) for a, b in parts)


def fine_tune_plainly(network, tokenizer, documents, config, train_positions):
    """Multi-task fine-tuning written without anything of the package but its order and its seeds."""
    tokens = [tokenizer(d.text)["input_ids"] for d in documents]
    columns = [[d.sentence_labels[0]["who"] for d in documents]]
    columns += [[d.labels[name] for d in documents] for name in ("verb", "place")]
    codes = []
    for column in columns:
        classes = sorted({column[i] for i in train_positions})
        codes.append(torch.tensor([classes.index(v) if v in classes else -1 for v in column]))
    with torch.random.fork_rng():
        torch.manual_seed(place_seed(config.seed, "heads"))
        heads = [torch.nn.Linear(32, int(code[train_positions].max()) + 1) for code in codes]
    groups = [
        {"params": list(network.parameters()), "lr": 0.0},
        {"params": [p for head in heads for p in head.parameters()], "lr": 0.0},
    ]
    optimizer = torch.optim.AdamW(groups, weight_decay=config.weight_decay)
    batches = [
        torch.as_tensor(train_positions)[batch]
        for epoch in range(1, config.epochs + 1)
        for batch in epoch_batches(
            len(train_positions), batch_size=config.batch_size, seed=config.seed, epoch=epoch
        )
    ]
    rising = round(config.warmup * len(batches))
    for step, batch in enumerate(batches):
        share = (step + 1) / rising if step < rising else (len(batches) - step) / (len(batches) - rising)
        for group, height in zip(optimizer.param_groups, (config.learning_rate, config.head_lr), strict=True):
            group["lr"] = height * share
        rows = [tokens[i] for i in batch]
        width = max(map(len, rows))
        ids = torch.tensor([row + [1] * (width - len(row)) for row in rows])
        mask = torch.tensor([[1] * len(row) + [0] * (width - len(row)) for row in rows])
        network.train()
        hidden = network(input_ids=ids, attention_mask=mask, output_hidden_states=True).hidden_states
        kept = mask[:, :, None].bool()
        pooled = [torch.where(kept, h, 0.0).sum(dim=1) / mask.sum(dim=1, keepdim=True) for h in hidden]
        scales = [torch.stack(pooled[part]).mean(dim=0) for part in (slice(0, 2), slice(2, 4), slice(4, 5))]
        loss = sum(
            functional.cross_entropy(head(scale), code[batch])
            for head, scale, code in zip(heads, scales, codes, strict=True)
        )
        optimizer.zero_grad()
        loss.backward()
        torch.nn.utils.clip_grad_norm_(
            [*network.parameters(), *(p for h in heads for p in h.parameters())], 1.0
        )
        optimizer.step()
    return network, heads


class TestPlainFineTuning:
    @pytest.mark.parametrize(
        "changes", [{}, {"lambda_geo": 0.0, "lambda_info": 0.0, "lambda_curv": 0.0}], ids=["arm", "lambdas"]
    )
    def test_without_terms_it_is_plain_fine_tuning_bit_for_bit(self, changes):
        config = small(epochs=3, micro_batch=None, learning_rate=1e-3, **changes)
        trained = train(config=config, arm="full" if changes else "baseline")
        _, _, samples = make_joint(config, is_double=False)
        network, tokenizer = build()
        plain, heads = fine_tune_plainly(
            network, tokenizer, make_documents(), config, samples.splits["train"]
        )
        assert len(trained.history) == 9
        ours = trained.model.network.state_dict()
        assert not torch.equal(
            build()[0].state_dict()["embeddings.word_embeddings.weight"],
            ours["embeddings.word_embeddings.weight"],
        )
        for key, value in plain.state_dict().items():
            assert torch.equal(value, ours[key]), key
        for head, own in zip(heads, trained.heads.values(), strict=True):
            assert torch.equal(head.weight, own.weight)
            assert torch.equal(head.bias, own.bias)

    def test_it_learns_labels_that_can_be_learned(self):
        config = small(epochs=25, learning_rate=1e-4, head_lr=3e-2, batch_size=12, micro_batch=12)
        trained = train(name="gpt2", config=config, arm="baseline", documents=make_documents(60))
        for scale in LABELS:
            row = trained.accuracies.row("label_accuracy", target=scale, split="test")
            assert row.value > 0.9
            assert row.null < 0.8
            assert row.low <= row.value <= row.high

    def test_the_terms_are_lowered_by_training(self):
        changes = {"start": "random", "batch_size": 12, "micro_batch": 12, "head_lr": 3e-3}
        trained = train(config=small(epochs=5, learning_rate=1e-4, **changes), documents=make_documents(60))
        first, last = trained.history[0], trained.history[-1]
        assert last["geo"] < 0.8 * first["geo"]
        assert last["info"] < first["info"] - 1.0


class TestGoingOn:
    def test_it_goes_on_bit_for_bit(self, tmp_path):
        config = small(epochs=3, learning_rate=1e-3, estimator="mine")

        def stop_at_3(epoch, model, maps):
            if epoch == 3:
                raise InterruptedError
            return {"epoch": epoch}

        options = {"config": config, "is_still": False, "evaluate_at": (0, 1, 3)}
        whole = train(**options, evaluate=lambda epoch, model, maps: {"epoch": epoch})
        with pytest.raises(InterruptedError):
            train(**options, out=tmp_path, evaluate=stop_at_3)
        asked = []
        after = train(
            **options, out=tmp_path, evaluate=lambda e, model, maps: asked.append(e) or {"epoch": e}
        )
        assert asked == [3]
        assert after.evaluations == whole.evaluations == {k: {"epoch": k} for k in (0, 1, 3)}
        assert is_same(whole, after)
        assert not list((tmp_path / "checkpoint").glob("*"))
        again = train(**options, out=tmp_path, evaluate=lambda *_: pytest.fail("it is trained already"))
        assert is_same(whole, again)

    def test_fewer_checkpoints_go_on_further_back(self, tmp_path):
        config = small(epochs=3, checkpoint_every=2)

        def stop_at_3(epoch, model, maps):
            if epoch == 3:
                raise InterruptedError

        with pytest.raises(InterruptedError):
            train(config=config, out=tmp_path, evaluate=stop_at_3, arm="only_geo")
        asked = []
        train(
            config=config,
            out=tmp_path,
            evaluate=lambda e, *_: asked.append(e),
            evaluate_at=(1, 2, 3),
            arm="only_geo",
        )
        assert asked == [3]

    def test_other_settings_are_refused(self, tmp_path):
        train(config=small(epochs=1), out=tmp_path)
        with pytest.raises(StorageError, match="holds a joint training with config"):
            train(config=small(epochs=2), out=tmp_path)
        with pytest.raises(StorageError, match="with arm = 'full', and this one has 'no_geo'"):
            train(config=small(epochs=1), out=tmp_path, arm="no_geo")
        with pytest.raises(StorageError, match="with data = "):
            train(config=small(epochs=1), out=tmp_path, documents=make_documents(29))

    def test_the_same_seed_gives_the_same_and_another_another(self):
        one, same, other = (train(config=small(seed=seed, epochs=1), is_still=False) for seed in (1, 1, 2))
        assert is_same(one, same)
        assert not is_same(one, other)

    def test_what_asks_in_between_changes_nothing(self):
        def draw(epoch, model, maps):
            assert not model.network.training
            torch.rand(5)
            states = torch.rand(2, 32)
            assert maps["global", "intermediate"].transform(states).shape == (2, 32)
            assert maps["global", "intermediate"].transform(states.numpy()).dtype == states.numpy().dtype

        options = {"is_still": False, "arm": "only_info"}
        assert is_same(train(**options), train(**options, evaluate=draw, evaluate_at=(0, 1, 2)))


class TestWhatIsGiven:
    @pytest.mark.parametrize("name", ["bert", "gpt2", "t5-encoder", "llama"])
    def test_any_family_and_the_model_given_stays_as_it_is(self, name):
        network, _ = build(name)
        before = copy.deepcopy(network.state_dict())
        trained = train(name=name, model=network, config=small(epochs=1, learning_rate=1e-2))
        assert all(torch.equal(before[key], value) for key, value in network.state_dict().items())
        after = trained.model.network.state_dict()
        assert any(not torch.equal(before[key], after[key]) for key in before)
        assert all(torch.isfinite(value).all() for value in after.values() if value.is_floating_point())

    def test_a_loaded_model_and_one_by_name(self, tmp_path):
        network, tokenizer = build()
        network.save_pretrained(tmp_path)
        tokenizer.save_pretrained(tmp_path)
        loaded = load_model(network, tokenizer=tokenizer)
        one = train(model=loaded, arm="only_geo")
        assert one.model.network is not network
        assert is_same(one, train(model=tmp_path, arm="only_geo"))

    def test_the_start_and_the_partition_by_choice(self):
        for start in ("identity", "random", "procrustes"):
            trained = train(config=small(epochs=1, start=start), arm="only_geo")
            assert trained.config.start == start
        config = small(epochs=1)
        assert train(partition="0-1|2|3-4", config=config, arm="only_geo").partition.written == "0-1|2|3-4"
        partition = ScalePartition.thirds(5)
        assert train(partition=partition, config=config, arm="only_geo").partition is partition

    def test_labels_left_out_leave_heads_out_and_are_said(self):
        said = []
        trained = train(labels={"global": "place"}, say=said.append, arm="only_geo")
        assert set(trained.heads) == {"global"}
        assert "local: no label, so that this scale has no head" in said
        assert said == trained.provenance["notes"]
        documents = [Document(d.text, d.id, labels={"topic": d.labels["place"]}) for d in make_documents()]
        assert set(train(labels=None, documents=documents, arm="only_geo").heads) == {"global"}
        assert set(train(labels=None, arm="only_geo").heads) == set()

    def test_some_texts_may_lack_a_label(self):
        documents = [
            Document(d.text, d.id, labels={"place": d.labels["place"] if int(d.id) % 3 else None})
            for d in make_documents()
        ]
        trained = train(labels={"global": "place"}, documents=documents, arm="baseline")
        counts = [row.n for row in trained.accuracies]
        assert sum(counts) == 20

    def test_long_texts_are_cut_and_said(self):
        said = []
        train(config=small(epochs=1, max_tokens=6), say=said.append, arm="baseline")
        assert "30 of 30 texts are cut at 6 tokens" in said

    def test_the_published_quirks_train_too(self):
        trained = train(config=small(quirks=Quirks.published(), estimator="mine"))
        assert trained.history[0]["info"] >= 0.0
        assert trained.history[0]["curv"] > 1.0

    def test_tied_to_disk_and_back(self, tmp_path):
        trained = train(config=small(quirks=Quirks(diagonal_kl=True)))
        found = TrainedArm.load(trained.save(tmp_path / "arm"))
        assert is_same(trained, found)
        assert (found.arm, found.config, found.labels, found.classes) == (
            *(trained.arm, trained.config, trained.labels, trained.classes),
        )
        assert found.accuracies == trained.accuracies
        assert found.partition == trained.partition
        assert found.provenance == json.loads(json.dumps(trained.provenance))


class TestLogging:
    def test_every_term_goes_to_tensorboard(self, tmp_path):
        pytest.importorskip("tensorboard", reason="pip install 'msma[replicate]'")
        from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

        trained = train(out=tmp_path, tensorboard=True)
        events = EventAccumulator(str(tmp_path / "tensorboard")).Reload()
        assert {"loss", "geo", "info", "curv", "ce_global"} <= set(events.Tags()["scalars"])
        logged = [event.value for event in events.Scalars("loss")]
        assert logged == pytest.approx([line["loss"] for line in trained.history])

    def test_without_the_package_it_says_what_brings_it(self, tmp_path, monkeypatch):
        monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
        with pytest.raises(MissingExtraError, match=r"msma\[replicate\]"):
            train(tensorboard=tmp_path)

    def test_true_needs_a_folder(self):
        with pytest.raises(ConfigError, match="tensorboard=True came without a folder"):
            train(tensorboard=True)

    def test_several_processes_need_accelerate(self, monkeypatch):
        monkeypatch.setenv("WORLD_SIZE", "2")
        monkeypatch.setitem(sys.modules, "accelerate", None)
        with pytest.raises(MissingExtraError, match=r"msma\[large\]"):
            find_processes()


class TestRefusals:
    @pytest.mark.parametrize(
        ("changes", "message"),
        [
            ({"lambda_geo": -1.0}, "lambda_geo=-1.0 came; expected a finite number from 0"),
            ({"lambda_info": float("nan")}, "lambda_info=nan came"),
            ({"learning_rate": 0.0}, "learning_rate=0.0 came; expected a finite number above 0"),
            ({"batch_size": 1}, "batch_size=1 came; expected a whole number from 2"),
            ({"epochs": 1.5}, "epochs=1.5 came; expected a whole number from 1"),
            ({"epochs": True}, "epochs=True came"),
            ({"head_lr": "fast"}, "head_lr='fast' came"),
            ({"warmup": 1.5}, "warmup=1.5 came; expected a share"),
            ({"estimator": "club"}, "estimator='club' came; expected one of infonce"),
            ({"start": "best"}, "start='best' came; expected one of identity"),
            ({"stack": "middle"}, "stack='middle' came"),
            ({"recompute": "no"}, "recompute='no' came"),
            ({"quirks": "published"}, "quirks='published' came; expected Quirks"),
        ],
    )
    def test_impossible_settings(self, changes, message):
        with pytest.raises(ConfigError, match=message):
            JointTrainingConfig(**changes)

    def test_settings_that_are_not_whole(self):
        with pytest.raises(ConfigError, match="not whole"):
            JointTrainingConfig.from_dict({"epochs": 2})
        with pytest.raises(ConfigError, match="not whole"):
            JointTrainingConfig.from_dict({"quirks": {}, "epoch": 2})

    def test_arms_and_labels(self):
        with pytest.raises(ConfigError, match="arm 'none' came"):
            train(arm="none")
        with pytest.raises(ConfigError, match="labels came for 'middle'"):
            train(labels={"middle": "verb"})
        with pytest.raises(
            ConfigError,
            match="label 'mood' was asked for at scale 'global', and no text has it; "
            "there are place, verb, who",
        ):
            train(labels={"global": "mood"})
        with pytest.raises(ConfigError, match="nothing to train"):
            train(labels={}, arm="baseline")

    def test_too_few_texts(self):
        with pytest.raises(CorpusError, match="no text with a token"):
            train(documents=[])
        with pytest.raises(CorpusError, match="at least 3"):
            train(documents=make_documents(2))
        with pytest.raises(CorpusError, match="1 text to train on came"):
            train(documents=make_documents(3), labels={})

    def test_a_model_that_does_not_fit(self):
        with pytest.raises(ScaleError, match="a partition of 7 layers came for a model of 5"):
            train(partition=ScalePartition.thirds(7))
        with pytest.raises(ConfigError, match=r"a model in torch\.bfloat16 came"):
            train(model=build()[0].to(torch.bfloat16))

    def test_divergence_is_named(self):
        with pytest.raises(TrainingError, match=r"training diverged at step \d+ \(epoch \d\): '.+' became"):
            train(config=small(learning_rate=1e30, warmup=0.0))
        with pytest.raises(TrainingError, match="'loss' became"):
            train(config=small(head_lr=300.0, warmup=0.0, epochs=6), arm="baseline")

    def test_folders_that_hold_no_whole_arm(self, tmp_path):
        with pytest.raises(StorageError, match="no trained arm"):
            TrainedArm.load(tmp_path)
        place = train(arm="only_geo").save(tmp_path / "arm")
        sign = json.loads((place / "arm.json").read_text())
        del sign["labels"]
        (place / "arm.json").write_text(json.dumps(sign))
        with pytest.raises(StorageError, match="does not hold a whole trained arm"):
            TrainedArm.load(place)

    def test_a_place_that_cannot_be_written(self, tmp_path):
        (tmp_path / "file").write_text("")
        with pytest.raises(StorageError):
            train(arm="only_geo").save(tmp_path / "file")


def test_documents_may_come_only_once():
    once = train(documents=islice(make_documents(), 30), arm="only_geo")
    assert once.history == train(arm="only_geo").history
