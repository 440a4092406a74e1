"""Jars from a repository that does not answer."""

import socket
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from firstcome.local import jars

pytestmark = pytest.mark.unit


def _answer(repository: socket.socket, says: bytes) -> socket.socket:
    """Take one request, say so much, and go silent."""
    repository.settimeout(10)
    client, _ = repository.accept()
    client.recv(65_536)
    client.sendall(says)
    return client


@pytest.mark.parametrize("says", [b"", b"HTTP/1.1 200 OK\r\ncontent-length: 100\r\n\r\nhalf"])
def test_download_that_hangs_is_given_up_with_what_to_do(
    says: bytes, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as repository:
        monkeypatch.setattr(jars, "REPOSITORY", f"http://127.0.0.1:{repository.getsockname()[1]}")
        monkeypatch.setattr(jars, "SILENT_SECONDS", 0.3)
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        with ThreadPoolExecutor(1) as threads:
            answered = threads.submit(_answer, repository, says)
            with pytest.raises(jars.JarsUnavailable, match="check the network and start again"):
                jars._fetch(jars.KAFKA.locked()[0], tmp_path)
            answered.result(10).close()
