"""The web application: one page, what it asks, and what it is told when something cannot be done."""

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeAlias

from starlette.applications import Starlette
from starlette.concurrency import run_in_threadpool
from starlette.exceptions import HTTPException
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from msma.errors import ConfigError, MsmaError
from msma.explanation.checking import UncheckedExplanation
from msma.explorer.acting import ScaleActor
from msma.explorer.answers import JsonAnswer
from msma.explorer.guarding import Guard
from msma.explorer.pages import File, render_files
from msma.explorer.questions import ActQuestion, ExplainQuestion
from msma.explorer.subject import TextExplainer, describe_study

#: Largest body of a question: the longest text, every character written as an escape, and room to spare.
MAX_BODY = 300_000
#: Questions that may wait for the model at once.
_MOST_WAITING = 8
#: Explanations whose scores can be checked without reading the text again.
_MOST_BEGUN = 4
_LOG = logging.getLogger("msma.explorer")
_DEFECT = "something went wrong inside msma, not by your doing; the terminal that runs the explorer says what"

#: Called now and then by work that takes long: other questions go first, and nobody waiting ends it.
GiveWay: TypeAlias = Callable[[], None]
Work: TypeAlias = Callable[[Mapping[str, Any], GiveWay], Any]


class _OneAtATime:
    """Runs the model for one question at a time, in a thread, so that the page stays served."""

    def __init__(self) -> None:
        self._lock, self._waiting = asyncio.Lock(), 0

    async def run(self, request: Request, work: Callable[[GiveWay], Any]) -> Any:
        if self._waiting >= _MOST_WAITING:
            raise HTTPException(
                503, f"{self._waiting} questions are waiting for the model; ask again shortly"
            )
        self._waiting += 1
        try:
            async with self._lock:
                await _check_waited_for(request)
                loop = asyncio.get_running_loop()

                def give_way() -> None:
                    asyncio.run_coroutine_threadsafe(self._let_others_go_first(request), loop).result()

                return await run_in_threadpool(work, give_way)
        finally:
            self._waiting -= 1

    async def _let_others_go_first(self, request: Request) -> None:
        self._lock.release()
        await self._lock.acquire()  # behind those that wait already
        await _check_waited_for(request)


async def _check_waited_for(request: Request) -> None:
    if await request.is_disconnected():
        raise HTTPException(499, "nobody waits for the answer any more")


class _Begun:
    """The last explanations that were given, to check their scores by what was read for them."""

    def __init__(self, explainer: TextExplainer) -> None:
        self._explainer = explainer
        self._kept: dict[ExplainQuestion, UncheckedExplanation] = {}

    def begin(self, question: ExplainQuestion) -> UncheckedExplanation:
        found = self._explainer.begin(question.text, direction=question.direction, methods=question.methods)
        self._kept.pop(question, None)
        self._kept[question] = found
        while len(self._kept) > _MOST_BEGUN:
            del self._kept[next(iter(self._kept))]
        return found

    def find(self, question: ExplainQuestion) -> UncheckedExplanation:
        return self._kept.get(question) or self.begin(question)


def make_app(explainer: TextExplainer, *, host: str = "127.0.0.1") -> Starlette:
    """Make the web application on an explainer.

    Args:
        explainer: Explains texts against a study; see :class:`msma.explanation.Explainer`.
        host: Address that it will be served at, by which it knows its own name.

    Returns:
        An ASGI application.

    Raises:
        MissingExtraError: When jinja2 is not installed.
    """
    actor, begun, turn = ScaleActor(explainer), _Begun(explainer), _OneAtATime()
    study = {**describe_study(explainer), "intervention": actor.describe()}

    def read(body: Mapping[str, Any]) -> ExplainQuestion:
        return ExplainQuestion.read(body, directions=explainer.directions, methods=explainer.methods)

    def explain(body: Mapping[str, Any], _give_way: GiveWay) -> Any:
        return begun.begin(read(body)).explanation

    def check(body: Mapping[str, Any], give_way: GiveWay) -> Any:
        return {"attributions": begun.find(read(body)).check(give_way=give_way).attributions}

    def act(body: Mapping[str, Any], _give_way: GiveWay) -> Any:
        return actor.act(ActQuestion.read(body))

    async def tell_study(_request: Request) -> Response:
        return JsonAnswer(study)

    return Starlette(
        routes=[
            *(Route(path, _give(file)) for path, file in render_files(study).items()),
            Route("/api/study", tell_study),
            Route("/api/explain", _answer(explain, turn), methods=["POST"]),
            Route("/api/check", _answer(check, turn), methods=["POST"]),
            Route("/api/continue", _answer(act, turn), methods=["POST"]),
        ],
        middleware=[Middleware(Guard, host=host)],
        exception_handlers={HTTPException: _tell_refusal},
    )


def _give(file: File) -> Callable[[Request], Awaitable[Response]]:
    async def give(_request: Request) -> Response:
        return Response(file.content, media_type=file.media_type)

    return give


def _answer(work: Work, turn: _OneAtATime) -> Callable[[Request], Awaitable[Response]]:
    async def answer(request: Request) -> Response:
        try:
            body = await _read_body(request)
            return JsonAnswer(await turn.run(request, lambda give_way: work(body, give_way)))
        except MsmaError as error:
            return JsonAnswer({"error": " ".join(str(error).split())}, status_code=400)
        except HTTPException:
            raise
        except Exception:
            _LOG.exception("a question could not be answered")
            return JsonAnswer({"error": _DEFECT}, status_code=500)

    return answer


async def _read_body(request: Request) -> Mapping[str, Any]:
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > MAX_BODY:
            raise HTTPException(413, f"a question of more than {MAX_BODY} bytes came; shorten the text")
        parts.append(part)
    try:
        body = json.loads(b"".join(parts))
    except (ValueError, RecursionError) as error:
        raise ConfigError("a question came that is no JSON; send it as the page does") from error
    if not isinstance(body, dict):
        raise ConfigError("a question came that is no JSON object; send it as the page does")
    return body


async def _tell_refusal(request: Request, error: Exception) -> Response:
    if not isinstance(error, HTTPException):
        raise error
    sentence = {
        404: f"there is nothing at {request.url.path}; open the page at /",
        405: f"{request.url.path} does not answer {request.method}",
    }.get(error.status_code, error.detail)
    return JsonAnswer({"error": sentence}, status_code=error.status_code, headers=error.headers)
