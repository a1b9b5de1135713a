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
_LOG = logging.getLogger("msma.explorer")
_DEFECT = "something went wrong inside msma, not by your doing; the terminal that runs the explorer says what"

Work: TypeAlias = Callable[[Mapping[str, Any]], Any]


class _OneAtATime:
    """Runs the model for one question at a time, in a thread, so that the page stays served."""

    def __init__(self) -> None:
        self._lock, self._waiting = asyncio.Lock(), 0

    async def run(self, request: Request, work: Callable[[], Any]) -> Any:
        if self._waiting >= _MOST_WAITING:
            raise HTTPException(
                503, f"{self._waiting} questions are waiting for the model; ask again shortly"
            )
        self._waiting += 1
        try:
            async with self._lock:
                if await request.is_disconnected():
                    raise HTTPException(499, "nobody waits for the answer any more")
                return await run_in_threadpool(work)
        finally:
            self._waiting -= 1


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
    actor, turn = ScaleActor(explainer), _OneAtATime()
    study = {**describe_study(explainer), "intervention": actor.describe()}

    def explain(body: Mapping[str, Any]) -> Any:
        question = ExplainQuestion.read(body, directions=explainer.directions)
        return explainer.explain(question.text, direction=question.direction, methods=question.methods)

    def act(body: Mapping[str, Any]) -> Any:
        return actor.act(ActQuestion.read(body))

    async def tell_study(_request: Request) -> Response:
        return JsonAnswer(study)

    return Starlette(
        routes=[
            *(Route(path, _give(file)) for path, file in render_files(study).items()),
            Route("/api/study", tell_study),
            Route("/api/explain", _answer(explain, turn), methods=["POST"]),
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
            return JsonAnswer(await turn.run(request, lambda: work(body)))
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
