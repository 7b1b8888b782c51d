"""The HTTP server of `serve` and `demo`: uvicorn, stopped gracefully by SIGTERM and SIGINT."""

import signal
from types import FrameType
from typing import NoReturn

import uvicorn

from app.base.config import Settings
from app.base.memory import settle_memory
from app.base.observe import configure_logs
from app.main import create_app

GRACE_S = 20
_KEEP_ALIVE_S = 30


def run_server(settings: Settings, *, host: str, port: int, worker: bool = True) -> None:
    """Serve until told to stop; then finish what runs, give leases back and exit with 0."""
    configure_logs(settings.log_format)
    config = uvicorn.Config(
        create_app(settings, worker=worker),
        host=host,
        port=port,
        loop="uvloop",
        http="httptools",
        ws="none",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=GRACE_S,
    )
    # uvicorn shuts down first and then hands the signal back to whoever held it before.
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, _leave)
    server = uvicorn.Server(config)
    settle_memory()
    server.run()
    if not server.started:
        raise SystemExit(1)


def _leave(_number: int, _frame: FrameType | None) -> NoReturn:
    raise SystemExit(0)
