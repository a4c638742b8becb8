"""A server on loopback that hands requests on with an Authorization header, for tools that cannot add one."""

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import httpx

_OF_A_CONNECTION = {"connection", "content-length", "keep-alive", "transfer-encoding", "content-encoding", "host"}
_SECONDS = 60.0


@contextmanager
def adding_key(url: str, key: str) -> Iterator[str]:
    """Hand on to a server during the block; yield the address to call in its place.

    Args:
        url: The server, without a path.
        key: The bearer token to add.
    """
    with httpx.Client(base_url=url, timeout=_SECONDS, trust_env=False) as upstream:

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"

            def answer(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", "0")))
                headers = [
                    (name, value.strip())
                    for name, value in self.headers.items()
                    if name.lower() not in _OF_A_CONNECTION
                ]
                request = upstream.build_request(
                    self.command, self.path, headers=[*headers, ("authorization", f"Bearer {key}")], content=body
                )
                answer = upstream.send(request)
                self.send_response(answer.status_code)
                for name, value in answer.headers.items():
                    if name.lower() not in _OF_A_CONNECTION:
                        self.send_header(name, value)
                self.send_header("content-length", str(len(answer.content)))
                self.end_headers()
                self.wfile.write(answer.content)

            do_GET = do_POST = do_DELETE = do_OPTIONS = answer  # noqa: N815 - names of the standard library

            def log_message(self, *_: object) -> None:
                """Write no line for each request."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        serving = threading.Thread(target=server.serve_forever, daemon=True)
        serving.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            server.server_close()
            serving.join()
