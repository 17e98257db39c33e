import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.vm import image
from tests.vm.machine import Machine


@pytest.fixture(scope="session")
def machine() -> Iterator[Machine]:
    """A booted Debian 12 with a simulated board, one for all tests; nothing of ours is in it yet."""
    try:
        made = image.ready()
    except image.UnavailableError as reason:
        pytest.skip(str(reason))
    with tempfile.TemporaryDirectory(prefix="motcua-vm-") as folder:
        disk = Path(folder, "disk.qcow2")
        shutil.copyfile(made.disk, disk)
        booted = Machine(made.kernel, made.initrd, disk, made.key, Path(folder))
        try:
            booted.start(snapshot=Machine.SNAPSHOT)
            yield booted
        finally:
            booted.stop()
