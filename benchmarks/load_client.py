"""Many clients of the center's API in one process of their own: one thread and one kept connection each.

Reads one JSON object from stdin, prints one: latencies in ms, what was answered, and how long it all took.
`{"port": 8080, "jobs": [[["POST", "/api/tickets", {…}], …], …]}` has one list of requests for each client. A request
whose body has `"seen": "last"` sends the counter's revision of that client's answer before. All send the `cookie`.
"""

import http.client
import json
import sys
import threading
import time
import uuid
from typing import Any

Job = tuple[str, str, dict[str, Any]]


class Client(threading.Thread):
    """One clerk or kiosk: sends its requests one after another over one connection."""

    def __init__(self, port: int, jobs: list[Job], start: threading.Barrier, cookie: str) -> None:
        super().__init__(name="client", daemon=True)
        self._port = port
        self._jobs = jobs
        self._barrier = start
        self._cookie = {"Cookie": cookie} if cookie else {}
        self.latencies_ms: list[float] = []
        self.answers: list[dict[str, Any]] = []

    def run(self) -> None:
        """Wait for the others, then send."""
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=30)
        connection.connect()
        revision: int | None = None
        self._barrier.wait()
        for method, path, body in self._jobs:
            if body.get("seen") == "last":
                body = {**body, "seen": revision}
            headers = {"Content-Type": "application/json", "Idempotency-Key": str(uuid.uuid4()), **self._cookie}
            began = time.perf_counter()
            connection.request(method, path, json.dumps(body), headers)
            response = connection.getresponse()
            answer = json.loads(response.read())
            self.latencies_ms.append((time.perf_counter() - began) * 1000)
            if response.status < 300 and answer.get("counter"):
                revision = answer["counter"]["revision"]
            self.answers.append({"status": response.status, **answer})
        connection.close()


def main() -> None:
    """Run the clients and print what they saw."""
    order = json.load(sys.stdin)
    barrier = threading.Barrier(len(order["jobs"]) + 1)
    clients = [Client(order["port"], jobs, barrier, order["cookie"]) for jobs in order["jobs"]]
    for client in clients:
        client.start()
    barrier.wait()
    began = time.perf_counter()
    for client in clients:
        client.join()
    json.dump(
        {
            "seconds": time.perf_counter() - began,
            "latencies_ms": [ms for client in clients for ms in client.latencies_ms],
            "answers": [answer for client in clients for answer in client.answers],
        },
        sys.stdout,
    )


if __name__ == "__main__":
    main()
