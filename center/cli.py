"""`motcua center`: serve a center by its configuration file, and look after it."""

import argparse
import json
import logging
import sys
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from center.config import Config, read
from center.errors import CenterError, ConfigError
from host import journal


def main(argv: Sequence[str] | None = None) -> int:
    """Run a command; returns 0 done, 1 failed, 2 asked or configured wrongly."""
    parser = argparse.ArgumentParser(prog="motcua center", description="The center: broker, ingest, queue, pages.")
    commands = parser.add_subparsers(dest="command", required=True)
    serve = commands.add_parser("serve", help="run the center until it is stopped")
    serve.add_argument("--config", type=Path, required=True, metavar="FILE", help="the center's TOML file")
    audit = commands.add_parser("audit", help="read the audit log").add_subparsers(dest="what", required=True)
    verify = audit.add_parser("verify", help="check that no entry was changed or taken out")
    verify.add_argument("--config", type=Path, required=True, metavar="FILE", help="the center's TOML file")
    verify.add_argument(
        "--head", action="append", default=[], metavar="SEQ:HASH", help="a head that the journal has; may be repeated"
    )
    entries = audit.add_parser(
        "list", help="print the newest entries as they stand, a JSON object a line, oldest first"
    )
    entries.add_argument("--config", type=Path, required=True, metavar="FILE", help="the center's TOML file")
    entries.add_argument("--last", type=int, default=100, metavar="N", help="how many (100)")
    fsck = commands.add_parser("fsck", help="hold recordings against their index, and incidents against their events")
    fsck.add_argument("--config", type=Path, required=True, metavar="FILE", help="the center's TOML file")
    fsck.add_argument("--repair", action="store_true", help="mend what can be mended; needs the center stopped")
    fsck.add_argument("--json", action="store_true", help="print what was found for a program")
    clips_key = commands.add_parser(
        "clips-key", help="make the key that opens clear versions; prints what stations seal them for"
    )
    clips_key.add_argument("--config", type=Path, required=True, metavar="FILE", help="the center's TOML file")
    _describe_people(commands)
    try:
        arguments = parser.parse_args(argv)
    except SystemExit as error:
        return error.code if isinstance(error.code, int) else 2
    about = journal.start(logging.INFO)
    for talkative in ("alembic", "uvicorn"):
        logging.getLogger(talkative).setLevel(logging.WARNING)
    try:
        config = read(arguments.config)
        about["MOTCUA_CENTER"] = config.id
        if arguments.command == "audit":
            return _verify(config, arguments.head) if arguments.what == "verify" else _list(config, arguments.last)
        if arguments.command == "fsck":
            return _fsck(config, mend=arguments.repair, as_json=arguments.json)
        if arguments.command == "clips-key":
            return _clips_key(config)
        if arguments.command == "people":
            return _people(config, arguments)
        from center.serve import serve as run  # after the configuration: its faults are told at once

        return run(config)
    except ConfigError as error:
        journal.complain(str(error))
        return 2
    except CenterError as error:
        journal.complain(str(error))
        return 1


def _verify(config: Config, heads: Sequence[str]) -> int:
    """Check the audit log; returns 0 where it is whole, 1 where it is not."""
    from center import audit
    from center.storage.reading import read_only

    known = [audit.parse_head(each) for each in heads]
    if None in known:
        raise ConfigError(f"--head {heads[known.index(None)]}: write it as the journal has it, SEQ:HASH")
    with read_only(config.store_url) as connection:
        found = audit.verify(connection, [each for each in known if each is not None])
    if isinstance(found, audit.Broken):
        sys.stdout.write(f"broken: entry {found.seq} {found.why}\n")
        return 1
    sys.stdout.write(f"whole: {found.seq} entries, head {found}\n")
    return 0


def _list(config: Config, count: int) -> int:
    """Print entries of the audit log; returns 0."""
    from msgspec import json

    from center import audit
    from center.storage.reading import read_only

    with read_only(config.store_url) as connection:
        found = audit.newest(connection, None, max(0, count))
    for one in reversed(found):
        sys.stdout.write(json.encode(one).decode() + "\n")
    return 0


def _fsck(config: Config, *, mend: bool, as_json: bool) -> int:
    """Look at the recordings; returns 0 where all is well or was mended, 1 where something is left."""
    from center.cameras import fsck

    found = fsck.repair(config) if mend else fsck.look(config)
    if as_json:
        advised = [{**asdict(one), "advice": fsck.ADVICE[one.kind]} for one in found]
        sys.stdout.write(json.dumps({"whole": not found, "found": advised}, ensure_ascii=False) + "\n")
    else:
        sys.stdout.writelines(f"{one}\n" for one in found)
        sys.stdout.write("whole\n" if not found else f"{len(found)} found\n")
    return 0 if all(one.mended for one in found) else 1


def _clips_key(config: Config) -> int:
    """Make the key for clear versions, or read it; prints the line of station.toml; returns 0."""
    from center.cameras.revealing import make_key

    sys.stdout.write(f'center_key = "{make_key(config)}"\n')
    sys.stderr.write(
        "This line goes into [device.camera] of each station.toml; the private key stays here, in one copy kept safe.\n"
    )
    return 0


def _describe_people(commands: "argparse._SubParsersAction[argparse.ArgumentParser]") -> None:
    people = commands.add_parser("people", help="accounts, through the center that runs; as root or as its own user")
    words = {
        "list": "who has an account",
        "add": "make an account; prints its first password",
        "reset": "give a new first password, which is printed",
        "disable": "let an account log in no more",
        "enable": "let it log in again",
    }
    what = people.add_subparsers(dest="what", required=True)
    for word, meaning in words.items():
        one = what.add_parser(word, help=meaning)
        one.add_argument("--config", type=Path, required=True, metavar="FILE", help="the center's TOML file")
        if word != "list":
            one.add_argument("name", help="the login name, as an.nguyen")
        if word == "add":
            one.add_argument("--full-name", required=True, metavar="NAME")
            one.add_argument(
                "--role", required=True, metavar="ROLE", help="officer, supervisor, director, administrator"
            )


def _people(config: Config, arguments: argparse.Namespace) -> int:
    """Ask the running center; prints what it answers."""
    from center.people.technician import ask

    asked = {key: value for key, value in vars(arguments).items() if key in ("name", "full_name", "role")}
    done = ask(Path(config.data_dir), {"do": arguments.what, **asked})
    if arguments.what == "list":
        for name, full_name, role, state, sessions in done:
            sys.stdout.write(f"{name:20} {role:14} {state or 'active':9} {sessions:2} logged in  {full_name}\n")
    elif done:
        sys.stdout.write(f"{done}\n")
        sys.stderr.write(f"The first password of {arguments.name}; it must be changed at the first login.\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
