"""The first login of a fresh center, by the password that its program said once: for programs that drive a real one."""

import http.client
import json
import re

from simulator.ports import HOST

_SAID = re.compile(r"log in as (\S+) with the password (\S+) ")
_OWN = "bốn từ không liên quan"
_PATIENCE_S = 30.0


class NoPasswordError(ValueError):
    """The program has not said a first password."""


def sign_in(port: int, log: str) -> str:
    """Log in with the password in the program's log and change it; return the `Cookie` header of the session."""
    said = _SAID.search(log)
    if said is None:
        raise NoPasswordError("the center has named no first password; was it started with an empty folder?")
    cookie = _post(port, "/api/login", {"name": said[1], "password": said[2]}, "")
    return _post(port, "/api/me/password", {"old": said[2], "new": _OWN}, cookie)


def _post(port: int, path: str, body: dict[str, str], cookie: str) -> str:
    connection = http.client.HTTPConnection(HOST, port, timeout=_PATIENCE_S)
    try:
        headers = {"Content-Type": "application/json", **({"Cookie": cookie} if cookie else {})}
        connection.request("POST", path, json.dumps(body), headers)
        answer = connection.getresponse()
        said = answer.read()
        if answer.status != 200:
            raise ConnectionError(f"POST {path}: {answer.status} {said.decode(errors='replace')}")
        given = answer.headers.get_all("Set-Cookie") or []
    finally:
        connection.close()
    return "; ".join(each.partition(";")[0] for each in given)
