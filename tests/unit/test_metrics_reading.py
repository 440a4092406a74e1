"""Reading what another process tells: straight to its port, and whatever it answers."""

import socket
import threading
from collections.abc import Callable

import pytest

from firstcome.metrics.reading import read

pytestmark = pytest.mark.unit

HEAD = b"HTTP/1.0 200 OK\r\nContent-Length: 100\r\n\r\n"


def answering(answer: bytes) -> tuple[str, Callable[[], None]]:
    """Return the address of somebody who says this once, and what ends him."""
    listener = socket.create_server(("127.0.0.1", 0))

    def serve() -> None:
        with listener, listener.accept()[0] as client:
            client.recv(4096)
            client.sendall(answer)

    thread = threading.Thread(target=serve, daemon=True)
    thread.start()
    return f"http://127.0.0.1:{listener.getsockname()[1]}/metrics", thread.join


@pytest.mark.parametrize("answer", [HEAD + b"firstcome_reco", b"garbage\r\n\r\n", b""])
def test_process_that_dies_in_mid_answer_is_as_good_as_silent(answer: bytes) -> None:
    url, end = answering(answer)
    with pytest.raises(OSError, match=r".+"):
        read(url, 2.0)
    end()


def test_proxy_of_the_environment_is_not_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:9")
    monkeypatch.delenv("no_proxy", raising=False)
    url, end = answering(b"HTTP/1.0 200 OK\r\n\r\nfirstcome_up 1\n")
    assert read(url, 2.0) == "firstcome_up 1\n"
    end()
