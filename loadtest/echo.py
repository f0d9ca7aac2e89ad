"""The yardstick: the leanest honest echo, by Starlette and by bare ASGI, served as a node is served.

Run as `python -m loadtest.echo starlette|asgi PORT`. The uvicorn options are those of service/node.py; what differs
between an echo and a node is therefore only what happens between the parsed request and the written reply.
"""

import sys

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send


async def echo(request: Request) -> Response:
    return Response(await request.body(), media_type="application/json")


async def bare_echo(scope: Scope, receive: Receive, send: Send) -> None:
    if scope["type"] != "http":
        return
    message = await receive()
    body = message["body"]
    while message.get("more_body", False):
        message = await receive()
        body += message["body"]
    headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


def main() -> None:
    kind, port = sys.argv[1], int(sys.argv[2])
    starlette = Starlette(routes=[Route("/echo", echo, methods=["GET", "POST"])])
    uvicorn.run(
        starlette if kind == "starlette" else bare_echo,
        host="127.0.0.1",
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on" if kind == "starlette" else "off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
    )


if __name__ == "__main__":
    main()
