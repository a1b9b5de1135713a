"""The explorer's server: what it answers, what it refuses, and that nothing of a failure reaches the page."""

import asyncio
import json
import logging
import math
import os
import re
import signal
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from pathlib import Path
from types import SimpleNamespace

import pytest
import torch
from transformers import BertForMaskedLM, BertModel

from explained_study import make_study
from explorer_fakes import FakeExplainer, make_encoder, make_writer, served
from language import loaded_model
from msma.errors import ConfigError, CorpusError, MissingExtraError, ModelError
from msma.explanation import Explainer
from planted import N_LAYERS

pytest.importorskip("starlette", reason="the explorer needs: pip install 'msma[explore]'")
pytest.importorskip("uvicorn", reason="the explorer needs: pip install 'msma[explore]'")

from msma.explorer import application, make_app, serving
from msma.explorer.acting import ScaleActor
from msma.explorer.questions import MAX_CHARACTERS, ActQuestion, ExplainQuestion
from msma.explorer.serving import listen, serve
from msma.explorer.subject import describe_study

ACT = {"prompt": "the river rose", "scale": "global", "operation": "scale", "strength": 0.5}


def ask(app, path, body=None, *, method=None, **headers):
    """Put one request to an application, without a network."""
    method = method or ("GET" if body is None else "POST")
    content = body if isinstance(body, bytes) else b"" if body is None else json.dumps(body).encode()
    given = {"host": "127.0.0.1:8765", "content_type": "application/json", **headers}
    given = {name.replace("_", "-"): value for name, value in given.items() if value is not None}
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": method,
        "scheme": "http",
        "path": path,
        "raw_path": path.encode(),
        "query_string": b"",
        "root_path": "",
        "headers": [(name.encode(), value.encode()) for name, value in given.items()],
        "client": ("127.0.0.1", 1),
        "server": ("127.0.0.1", 8765),
    }
    sent = []

    async def run():
        is_read = False

        async def receive():
            nonlocal is_read
            if is_read:
                await asyncio.sleep(3600)
            is_read = True
            return {"type": "http.request", "body": content, "more_body": False}

        async def send(message):
            sent.append(message)

        await app(scope, receive, send)

    asyncio.run(run())
    answer = b"".join(message.get("body", b"") for message in sent[1:])
    return sent[0]["status"], {k.decode(): v.decode() for k, v in sent[0]["headers"]}, answer


@pytest.fixture(scope="module")
def explainer(tmp_path_factory):
    return FakeExplainer(tmp_path_factory.mktemp("explored") / "study")


@pytest.fixture(scope="module")
def app(explainer):
    return make_app(explainer)


def refusal(app, *args, **kwargs):
    status, _, answer = ask(app, *args, **kwargs)
    return status, json.loads(answer)["error"]


def test_every_file_of_the_page_is_served_and_names_only_this_server(app):
    _, headers, page = ask(app, "/")
    assert headers["content-type"].startswith("text/html")
    assert b"tiny &lt;b&gt;decoder&lt;/b&gt; at three scales" in page
    assert b"<script>" not in page
    assert b"style=" not in page
    linked = re.findall(r'(?:src|href)="([^"#]+)"', page.decode())
    assert sorted(linked) == ["explorer.css", "explorer.js", "icon.svg"]
    modules = {"/explorer.js"}
    for path in [f"/{name}" for name in linked]:
        status, headers, content = ask(app, path)
        assert status == 200
        assert headers["x-content-type-options"] == "nosniff"
        modules |= {f"/{found}" for found in re.findall(r'from "\./([\w.]+)"', content.decode())}
        names = re.findall(r"https?://[\w.]+", content.decode())
        assert set(names) <= {"http://www.w3.org"}
    assert len(modules) == 6
    for path in modules:
        status, headers, content = ask(app, path)
        assert (status, headers["content-type"]) == (200, "text/javascript; charset=utf-8")
        assert not re.search(
            r"innerHTML|outerHTML|insertAdjacentHTML|document\.write|eval\(", content.decode()
        )


def test_headers_keep_other_sites_out(app):
    for path in ("/", "/api/study", "/nowhere"):
        _, headers, _ = ask(app, path)
        assert "default-src 'none'" in headers["content-security-policy"]
        assert "unsafe" not in headers["content-security-policy"]
        assert not any(name.startswith("access-control") for name in headers)


def test_the_study_is_told(app, explainer):
    status, _, answer = ask(app, "/api/study")
    study = json.loads(answer)
    assert status == 200
    assert study["scales"][2] == {"name": "global", "layers": [5, 6]}
    assert study["directions"] == ["own", "component 1", "topic=sea"]
    assert len(study["clouds"]["points"]["local"]) == explainer.corpus.states.n_samples
    assert study["clouds"]["groupings"][0]["name"] == "topic"
    assert study["intervention"]["kind"] == "continuation"
    assert len(study["examples"]) == 30
    assert study["examples"][1]["labels"] == "home"
    assert {"column": "topic", "value": "sea"} in study["towards"]
    assert {"column": "question", "value": "True"} in study["towards"]


def test_a_study_without_clouds_is_still_a_study(tmp_path):
    assert describe_study(FakeExplainer(tmp_path / "study", has_clouds=False))["clouds"] is None


def test_a_text_is_explained_as_asked(app, explainer):
    text = "The sea 🐙 rose. No one saw it!"
    status, headers, answer = ask(app, "/api/explain", {"text": text})
    found = json.loads(answer)
    assert (status, headers["content-type"]) == (200, "application/json")
    assert found["text"] == text
    assert [text[t["start"] : t["end"]] for t in found["tokens"]] == [t["text"] for t in found["tokens"]]
    assert explainer.calls[-1] == (text, "own", ("occlusion", "gradient"))
    ask(app, "/api/explain", {"text": text, "direction": "topic=sea", "method": "gradient"})
    assert explainer.calls[-1] == (text, "topic=sea", ("gradient",))


def test_scores_come_unchecked_and_the_check_comes_as_a_second_answer(app, explainer):
    body = {"text": "The boat came home. A bird sang.", "method": "occlusion"}
    first = json.loads(ask(app, "/api/explain", body)[2])["attributions"]
    n_begun, n_checked = len(explainer.calls), len(explainer.checks)
    status, _, answer = ask(app, "/api/check", body)
    checked = json.loads(answer)["attributions"]
    assert status == 200
    assert [one["p_value"] for one in first] == [None] * 3
    assert [one["p_value"] for one in checked] == [0.4, 0.4, 0.02]
    assert [one["scores"] for one in checked] == [one["scores"] for one in first]
    assert (len(explainer.calls), len(explainer.checks)) == (n_begun, n_checked + 1)


def test_what_was_read_is_kept_for_the_last_texts_only(app, explainer):
    bodies = [{"text": f"Boat {k} came."} for k in range(5)]
    for body in bodies:
        ask(app, "/api/explain", body)
    n_begun = len(explainer.calls)
    assert all(ask(app, "/api/check", body)[0] == 200 for body in bodies[1:])
    assert len(explainer.calls) == n_begun
    assert ask(app, "/api/check", bodies[0])[0] == 200
    assert explainer.calls[n_begun:] == [("Boat 0 came.", "own", ("occlusion", "gradient"))]


def test_a_check_that_fails_gets_one_sentence(app):
    body = {"text": "An uncheckable boat."}
    assert ask(app, "/api/explain", body)[0] == 200
    status, said = refusal(app, "/api/check", body)
    assert (status, said) == (400, "a text came whose tokens cannot be taken out; give another")
    assert refusal(app, "/api/check", {"text": ""})[0] == 400


def post(address, path, body):
    headers = {"Content-Type": "application/json"}
    request = urllib.request.Request(f"{address}{path}", json.dumps(body).encode(), headers)
    return json.loads(urllib.request.urlopen(request, timeout=20).read())


def test_other_questions_go_before_a_long_check(explainer):
    slow = {"text": "A slow slow boat came."}
    with served(make_app(explainer)) as address:
        post(address, "api/explain", slow)
        ends = {}

        def check():
            assert len(post(address, "api/check", slow)["attributions"]) == 6
            ends["check"] = time.perf_counter()

        thread = threading.Thread(target=check)
        thread.start()
        time.sleep(0.1)
        assert post(address, "api/explain", {"text": "A boat."})["text"] == "A boat."
        ends["other"] = time.perf_counter()
        thread.join()
    assert ends["other"] < ends["check"] - 0.3


def test_a_check_that_nobody_waits_for_ends(explainer):
    text = "A slow slow boat left."
    with served(make_app(explainer)) as address:
        post(address, "api/explain", {"text": text})
        body = json.dumps({"text": text}).encode()
        port = int(address.rsplit(":", 1)[1].rstrip("/"))
        with socket.create_connection(("127.0.0.1", port)) as line:
            head = f"POST /api/check HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nContent-Type: application/json\r\n"
            line.sendall(f"{head}Content-Length: {len(body)}\r\n\r\n".encode() + body)
            time.sleep(0.2)
        time.sleep(0.3)
        started = time.perf_counter()
        post(address, "api/explain", {"text": "A boat."})
        assert time.perf_counter() - started < 1
        time.sleep(2)
    assert text not in explainer.checks


def test_numbers_that_json_does_not_know_become_null(app, explainer, monkeypatch):
    found = SimpleNamespace(explanation={"p": math.nan, "far": math.inf})
    monkeypatch.setattr(explainer, "begin", lambda *_, **__: found)
    assert json.loads(ask(app, "/api/explain", {"text": "a"})[2]) == {"p": None, "far": None}


def test_a_lone_surrogate_is_no_character(app, explainer):
    status, _, _ = ask(app, "/api/explain", b'{"text": "a \\ud83d boat"}')
    assert status == 200
    assert explainer.calls[-1][0] == "a ? boat"


@pytest.mark.parametrize(
    ("body", "sentence"),
    [
        ({}, "no text came"),
        ({"text": 3}, "no text came"),
        ({"text": " \n"}, "an empty text came"),
        ({"text": "a" * (MAX_CHARACTERS + 1)}, "of 20001 characters came"),
        ({"text": "a", "direction": "up"}, "direction 'up' came; expected one of own, component 1"),
        ({"text": "a", "method": "magic"}, "method 'magic' came"),
        ({"text": "unreadable"}, "the model cannot read"),
        ([1], "no JSON object"),
        (b"{", "no JSON;"),
        (b"[" * 100_000, "no JSON"),
        (b"\xff\xfe{", "no JSON"),
    ],
)
def test_an_impossible_question_gets_one_sentence(app, body, sentence):
    status, said = refusal(app, "/api/explain", body)
    assert status == 400
    assert sentence in said
    assert "\n" not in said


@pytest.mark.parametrize(
    ("changes", "kind", "sentence"),
    [
        ({"prompt": ""}, CorpusError, "an empty prompt came"),
        ({"scale": "huge"}, ConfigError, "scale 'huge' came"),
        ({"operation": "explode"}, ConfigError, "operation 'explode' came"),
        ({"strength": "much"}, ConfigError, "strength 'much' came; expected a number"),
        ({"strength": True}, ConfigError, "expected a number"),
        ({"strength": math.nan}, ConfigError, "expected a number"),
        ({"strength": 11}, ConfigError, "expected -10 to 10"),
        ({"seed": -1}, ConfigError, "seed -1 came"),
        ({"seed": 0.5}, ConfigError, "seed 0.5 came"),
        ({"max_new_tokens": 201}, ConfigError, "from 1 to 200"),
        ({"operation": "translate", "towards": "up"}, ConfigError, "towards 'up' came"),
        ({"operation": "translate", "towards": "text", "text": ""}, CorpusError, "an empty text came"),
    ],
)
def test_an_impossible_intervention_is_told(changes, kind, sentence):
    with pytest.raises(kind, match=re.escape(sentence)):
        ActQuestion.read({**ACT, **changes})


def test_a_question_without_a_direction_takes_the_own_one():
    question = ExplainQuestion.read({"text": "a"}, directions=("own",), methods=("occlusion", "gradient"))
    assert (question.direction, question.methods) == ("own", ("occlusion", "gradient"))


def test_a_model_without_blocks_is_explained_by_leaving_tokens_out(tmp_path, monkeypatch):
    explainer = FakeExplainer(tmp_path / "study")
    monkeypatch.setattr(explainer, "methods", ("occlusion",))
    app = make_app(explainer)
    found = json.loads(ask(app, "/api/explain", {"text": "a boat", "method": "both"})[2])
    assert {one["method"] for one in found["attributions"]} == {"occlusion"}
    status, said = refusal(app, "/api/explain", {"text": "a boat", "method": "gradient"})
    assert (status, said) == (400, "method 'gradient' came; expected one of both, occlusion")


def test_a_defect_is_told_without_its_inside(app, caplog):
    with caplog.at_level(logging.ERROR, logger="msma.explorer"):
        status, said = refusal(app, "/api/explain", {"text": "broken"})
    assert status == 500
    assert "secret" not in said
    assert "Traceback" not in said
    assert "secret of the server" in caplog.text


def test_a_body_without_end_is_cut_off(app):
    status, said = refusal(app, "/api/explain", b'"' + b"a" * application.MAX_BODY)
    assert status == 413
    assert "300000 bytes" in said


def test_what_is_not_there_is_said(app):
    assert refusal(app, "/nowhere") == (404, "there is nothing at /nowhere; open the page at /")
    assert refusal(app, "/api/explain", method="GET")[0] == 405
    assert refusal(app, "/", {"a": 1})[0] == 405


@pytest.mark.parametrize(
    "host", ["evil.example", "evil.example:8765", "192.168.1.9:8765", "", "[", "127.0.0.1.evil.example"]
)
def test_another_name_is_refused(app, host):
    for path, body in (("/", None), ("/api/study", None), ("/api/explain", {"text": "a"})):
        status, said = refusal(app, path, body, host=host)
        assert status == 403
        assert "not this machine's" in said


@pytest.mark.parametrize("host", ["localhost:8765", "127.0.0.1", "LOCALHOST:1", "[::1]:8765", "localhost."])
def test_names_of_this_machine_are_its_own(app, host):
    assert ask(app, "/api/study", host=host)[0] == 200


def test_an_open_server_goes_by_addresses_and_its_own_name(explainer):
    app = make_app(explainer, host="0.0.0.0")
    for host in ("192.168.1.9:8765", "localhost:8765", f"{socket.gethostname()}:8765"):
        assert ask(app, "/api/study", host=host)[0] == 200
    assert ask(app, "/api/study", host="evil.example")[0] == 403


def test_only_its_own_page_may_ask(app):
    body = {"text": "a boat"}
    assert ask(app, "/api/explain", body, origin="http://127.0.0.1:8765")[0] == 200
    for origin in ("http://evil.example", "http://127.0.0.1:1", "null"):
        status, said = refusal(app, "/api/explain", body, origin=origin)
        assert status == 403
        assert "another site" in said
    for kind in ("text/plain", "application/x-www-form-urlencoded", None):
        assert refusal(app, "/api/explain", body, content_type=kind)[0] == 415


def test_the_changed_text_meets_the_same_chance(app):
    still = json.loads(ask(app, "/api/continue", {**ACT, "strength": 0.0})[2])
    assert still["clean"] == still["changed"]
    assert still["relative_norm"] is None
    moved = json.loads(ask(app, "/api/continue", {**ACT, "strength": -0.9, "max_new_tokens": 20})[2])
    assert still["clean"].startswith(moved["clean"])
    assert moved["relative_norm"] == pytest.approx(0.9, abs=1e-3)
    assert moved["layers"] == [5, 6]
    assert moved["n_shared"] < moved["n_clean"] == 20
    assert moved["clean"].startswith(moved["shared_text"])
    assert moved["changed"].startswith(moved["shared_text"])
    assert moved["nats"]["changed"] > 0


def test_every_operation_acts_by_its_strength(explainer):
    actor = ScaleActor(explainer)
    sea = {"column": "topic", "value": "sea"}
    for operation, strength, extra in (
        ("translate", 0.3, {"towards": sea}),
        ("translate", 0.3, {"towards": "text", "text": "the sea and the boat"}),
        ("noise", 0.3, {}),
    ):
        body = {**ACT, "operation": operation, "strength": strength, "scale": "local", **extra}
        found = actor.act(ActQuestion.read(body))
        assert found["relative_norm"] == pytest.approx(0.3, rel=0.15)
    heat = actor.act(ActQuestion.read({**ACT, "operation": "temperature", "strength": 2.0}))
    assert heat["relative_norm"] is None


def test_the_direction_of_a_label_is_the_difference_of_its_means(explainer):
    direction = ScaleActor(explainer)._towards_label("topic", "home")
    largest = abs(direction.vectors).argmax(axis=1)
    assert largest.tolist() == [1] * N_LAYERS
    assert direction.vectors[0, 1] == pytest.approx(3.0, abs=0.7)


@pytest.mark.parametrize(
    "towards", [{"column": "topic", "value": "moon"}, {"column": "mood", "value": "sea"}]
)
def test_a_label_that_nobody_has_is_told(app, towards):
    status, said = refusal(app, "/api/continue", {**ACT, "operation": "translate", "towards": towards})
    assert status == 400
    assert "0 of 90 training samples have" in said


def test_noise_below_nothing_and_heat_of_nothing_are_told(app):
    for operation in ("noise", "temperature"):
        status, _ = refusal(app, "/api/continue", {**ACT, "operation": operation, "strength": -1})
        assert status == 400


def test_an_encoder_fills_in_hidden_tokens(tmp_path):
    explainer = FakeExplainer(tmp_path / "study", loaded=make_encoder(BertForMaskedLM))
    actor = ScaleActor(explainer)
    assert actor.describe()["kind"] == "fills"
    body = {**ACT, "prompt": "the river rose in spring and every boat was under the bridge"}
    found = actor.act(ActQuestion.read({**body, "strength": 0.0}))
    assert found["kind"] == "fills"
    assert [fill["clean"] for fill in found["fills"]] == [fill["changed"] for fill in found["fills"]]
    assert {fill["hidden"] for fill in found["fills"]} <= set(body["prompt"].split())
    assert found["nats"]["clean"] == found["nats"]["changed"]
    moved = actor.act(ActQuestion.read({**body, "operation": "noise", "strength": 2.0}))
    assert moved["nats"]["changed"] != moved["nats"]["clean"]


@pytest.mark.parametrize("stack", ["encoder", "decoder"])
@pytest.mark.parametrize("family", ["t5-decoder", "bart-decoder"])
def test_an_encoder_decoder_writes_what_its_encoder_read(family, stack, tmp_path):
    explainer = make_writer(family, tmp_path / "study", stack=stack)
    actor = ScaleActor(explainer)
    assert actor.describe() == {"kind": "output", "reason": "", "heat": 0.8, "stack": stack}
    sea = {"column": "topic", "value": "sea"}
    for operation, off, on, more in (
        ("scale", 0.0, -0.9, {}),
        ("noise", 0.0, 2.0, {}),
        ("translate", 0.0, 2.0, {"towards": sea}),
        ("translate", 0.0, 2.0, {"towards": "text", "text": "the sea and the boat"}),
    ):
        # A draw of many tokens: of two, the changed model may well write the same.
        drawn = {"seed": 3, "max_new_tokens": 16}
        body = {**ACT, "scale": "intermediate", "operation": operation, **drawn, **more}
        still = actor.act(ActQuestion.read({**body, "strength": off}))
        assert still["kind"] == "output"
        assert still["clean"] == still["changed"]
        assert still["nats"]["clean"] == still["nats"]["changed"] > 0
        assert still["relative_norm"] is None
        moved = actor.act(ActQuestion.read({**body, "strength": on}))
        assert moved["clean"] == still["clean"] != moved["changed"]
        assert moved["nats"]["changed"] != moved["nats"]["clean"]
        assert moved["relative_norm"] == pytest.approx(abs(on), rel=0.15)
        partition = explainer.partition["intermediate"]
        assert moved["layers"] == [partition[0], partition[-1]]
        again = ScaleActor(explainer).act(ActQuestion.read({**body, "strength": on}))
        assert again == moved


def record(block, states):
    return block.register_forward_hook(lambda _m, _a, output: states.append(output[0].detach().clone()))


def test_an_encoder_decoder_is_acted_on_in_the_stack_of_its_study(tmp_path):
    """Of the first blocks of two stacks only that of the study's stack is changed."""
    texts = {}
    for stack in ("encoder", "decoder"):
        explainer = make_writer("t5-encoder", tmp_path / stack, stack=stack)
        network, seen = explainer.loaded.network, {}
        handles = [
            record(body.block[0], seen.setdefault(body, [])) for body in (network.encoder, network.decoder)
        ]
        body = {**ACT, "scale": "local", "strength": -0.9, "max_new_tokens": 1}
        try:
            texts[stack] = ScaleActor(explainer).act(ActQuestion.read(body))
        finally:
            for handle in handles:
                handle.remove()
        clean, changed = seen[getattr(network, stack)][:2]
        assert changed.norm() < 0.2 * clean.norm()
        if stack == "decoder":
            assert torch.equal(*seen[network.encoder][:2])
    assert texts["encoder"]["clean"] == texts["decoder"]["clean"]


def test_more_than_a_decoder_holds_is_told(tmp_path):
    app = make_app(make_writer("bart-decoder", tmp_path / "study", stack="encoder"))
    status, said = refusal(app, "/api/continue", {**ACT, "max_new_tokens": 100})
    assert status == 400
    assert said == "100 new tokens were asked for; the model's decoder holds 64: ask for fewer"


@pytest.mark.parametrize("stack", [pytest.param("encoder", marks=pytest.mark.slow), "decoder"])
def test_a_study_of_an_encoder_decoder_is_explained_and_acted_on(stack, tmp_path):
    explainer = Explainer.open(make_study(tmp_path, loaded=loaded_model("t5-decoder"), stack=stack).folder)
    app = make_app(explainer)
    assert explainer.stack == stack
    body = {"text": "The river rose in spring. Snow fell."}
    tokens = json.loads(ask(app, "/api/explain", body)[2])["tokens"]
    checked = json.loads(ask(app, "/api/check", body)[2])["attributions"]
    assert len(tokens) == len(checked[0]["scores"]) == 9
    assert all(0 < one["p_value"] <= 1 for one in checked)
    act = {**ACT, "operation": "translate", "towards": {"column": "topic", "value": "first"}, "strength": 2.0}
    moved = json.loads(ask(app, "/api/continue", {**act, "scale": "local"})[2])
    assert moved["clean"] != moved["changed"]
    assert moved["layers"] == [explainer.partition["local"][0], explainer.partition["local"][-1]]


def test_a_model_without_a_head_says_why_it_does_not_write(tmp_path):
    loaded = make_encoder(BertModel, has_head=False)
    actor = ScaleActor(FakeExplainer(tmp_path / "study", loaded=loaded))
    assert actor.describe()["kind"] == "none"
    assert "no text to compare" in actor.describe()["reason"]
    with pytest.raises(ModelError, match="no text to compare"):
        actor.act(ActQuestion.read(ACT))


def test_questions_wait_for_one_another_and_too_many_are_sent_away(explainer, monkeypatch):
    at_work, most = 0, 0

    def slow(text, **_settings):
        nonlocal at_work, most
        at_work += 1
        most = max(most, at_work)
        time.sleep(0.05)
        at_work -= 1
        return SimpleNamespace(explanation={"text": text})

    monkeypatch.setattr(explainer, "begin", slow)
    with served(make_app(explainer)) as address:
        codes = []

        def one():
            request = urllib.request.Request(
                f"{address}api/explain", b'{"text": "a"}', {"Content-Type": "application/json"}
            )
            try:
                codes.append(urllib.request.urlopen(request, timeout=20).status)
            except urllib.error.HTTPError as error:
                codes.append((error.code, json.loads(error.read())["error"]))

        threads = [threading.Thread(target=one) for _ in range(14)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
    assert most == 1
    assert codes.count(200) >= 8
    assert all(code == 200 or (code[0] == 503 and "waiting" in code[1]) for code in codes)


def test_a_port_in_use_is_told_before_anything_is_loaded(tmp_path):
    with listen("127.0.0.1", 0) as taken, pytest.raises(ConfigError, match="is in use; give another"):
        serve(tmp_path / "nothing", port=taken.getsockname()[1], opens_browser=False)


@pytest.mark.parametrize(
    ("host", "port", "sentence"),
    [
        ("127.0.0.1", 65536, "port 65536 came; expected 0 to 65535"),
        ("127.0.0.1", -1, "expected 0 to 65535"),
        ("no.such.host.invalid", 0, "is no address of this machine"),
        ("192.0.2.1", 0, "the host is no address of this machine"),
    ],
)
def test_an_impossible_address_is_told(host, port, sentence):
    with pytest.raises(ConfigError, match=re.escape(sentence)):
        listen(host, port)


def test_what_is_announced(monkeypatch):
    said, opened = [], []
    monkeypatch.setattr(serving.webbrowser, "open", opened.append)
    serving._announce("http://127.0.0.1:1/", "127.0.0.1", True, said.append)
    serving._announce("http://127.0.0.1:1/", "0.0.0.0", False, said.append)
    assert said[0] == said[1] == "explorer: http://127.0.0.1:1/ (Ctrl-C ends it)"
    assert "without a password" in said[2]
    assert opened == ["http://127.0.0.1:1/"]


def test_the_command_names_the_extra_that_is_missing(monkeypatch, tmp_path):
    from msma.cli import exploring

    monkeypatch.setattr(exploring, "find_spec", lambda _name: None)
    with pytest.raises(MissingExtraError, match="msma\\[explore\\]"):
        exploring.explore(tmp_path)


def test_the_command_hands_on_where_the_model_goes(monkeypatch, tmp_path, capsys):
    from msma.cli import run
    from msma.explanation import Explainer

    asked = {}

    def refuse(_study, **settings):
        asked.update(settings)
        raise ModelError("device 'quantum' cannot be used here")

    monkeypatch.setattr(Explainer, "open", refuse)
    command = ["explore", str(tmp_path), "--device", "quantum", "--port", "0", "--no-browser"]
    assert run(command) == 2
    assert asked["device"] == "quantum"
    assert "device 'quantum' cannot be used here" in capsys.readouterr().err


_SERVER = """
import sys
sys.path.insert(0, sys.argv[1])
from types import SimpleNamespace
from explorer_fakes import FakeExplainer, make_encoder, served
class Fake(FakeExplainer):
    @classmethod
    def open(cls, study, **_settings):
        return cls(study)
    def prepare(self):
        return self
sys.modules["msma.explanation.explainer"] = SimpleNamespace(Explainer=Fake)
from msma.cli import app, exploring, run
if "explore" not in {command.callback.__name__ for command in app.registered_commands}:
    exploring.register(app)
sys.exit(run(["explore", sys.argv[2], "--port", "0", "--no-browser"]))
"""


@pytest.mark.slow
@pytest.mark.skipif(os.name != "posix", reason="signals as on POSIX")
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_the_command_serves_and_ends_when_told(tmp_path, number, code):
    tests = str(Path(__file__).parents[1])
    command = [sys.executable, "-c", _SERVER, tests, str(tmp_path / "study")]
    streams = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE, "text": True}
    with subprocess.Popen(command, **streams) as process:
        try:
            address = re.search(r"http://127\.0\.0\.1:\d+/", process.stdout.readline())[0]
            assert json.loads(urllib.request.urlopen(f"{address}api/study", timeout=20).read())["directions"]
            process.send_signal(number)
            out, error = process.communicate(timeout=30)
        finally:
            process.kill()
    assert process.returncode == code, error
    assert "Traceback" not in error
    assert ("stopped" in out) == (code == 0)
