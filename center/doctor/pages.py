"""The pages: who has their port, and whether the center answers behind it."""

import json
import ssl
import urllib.error
import urllib.request
from collections.abc import Sequence
from dataclasses import dataclass

from center.config import Http
from host.doctor.finding import Finding, ok, problem, warning
from host.doctor.holders import Held, Processes

TIMEOUT_S = 5.0


@dataclass(frozen=True, slots=True)
class PagesFacts:
    """Who listens on the port, and what the center says of itself."""

    host: str
    port: int
    held: Held | None
    healthy: bool | None = None
    """None when nobody was asked."""
    answer: str = ""


def probe(http: Http, processes: Processes) -> PagesFacts:
    """Look who listens, and ask the center whether it works."""
    held = processes.listening(http.port)
    if held is None:
        return PagesFacts(http.host, http.port, None)
    host = {"0.0.0.0": "127.0.0.1", "::": "[::1]"}.get(http.host, http.host)  # noqa: S104 - compared, not bound
    scheme = "https" if http.cert_file else "http"
    try:
        with urllib.request.urlopen(  # noqa: S310 - our own address
            f"{scheme}://{host}:{http.port}/healthz",
            timeout=TIMEOUT_S,
            context=_any_certificate() if http.cert_file else None,
        ) as answer:
            said = answer.read(1000).decode(errors="replace")
            healthy = json.loads(said).get("status") == "ok"
    except urllib.error.HTTPError as error:
        said, healthy = f"{error.code} {error.reason}", False
        error.close()
    except (OSError, ValueError, AttributeError) as error:
        said, healthy = str(error), False
    return PagesFacts(http.host, http.port, held, healthy, said)


def judge(facts: PagesFacts, *, runs: bool) -> Sequence[Finding]:
    """Judge the pages; `runs`: whether a center runs on this machine."""
    where = f"port {facts.port} of {facts.host}"
    if facts.held is None:
        if runs:
            return [
                problem(
                    "pages-closed",
                    f"nobody listens on {where}, although the center runs",
                    "journalctl -u motcua-center -n 20",
                )
            ]
        return [ok("pages-free", f"{where} is free; the center does not run")]
    strangers = [each for each in facts.held.by if not each.center]
    if strangers and not any(each.center for each in facts.held.by):
        who = ", ".join(map(str, strangers))
        return [
            problem("pages-taken", f"{where} is taken by {who}", "stop that program, or set http.port to a free one")
        ]
    if not facts.healthy:
        return [
            problem(
                "pages-ill",
                f"who listens on {where} does not say that it is well: {facts.answer}",
                "journalctl -u motcua-center -n 20; if it hangs: sudo systemctl restart motcua-center",
            )
        ]
    if not facts.held.by:
        return [
            warning(
                "pages-unseen", f"{where} answers well; who listens is not shown to this user", "run this with sudo"
            )
        ]
    return [ok("pages", f"{where} answers well, by {', '.join(map(str, facts.held.by))}")]


def _any_certificate() -> ssl.SSLContext:
    """Our own machine is asked by its address, for which a certificate need not be made out."""
    context = ssl.create_default_context()
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    return context
