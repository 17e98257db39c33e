"""What only the rig has: on SIGUSR1 a part of the daemon fails, as by a fault of a library or a driver.

Python imports a module of this name by itself where PYTHONPATH leads to it; the drop-in of test_units.py does.
RIG_FAULT says which part. Runs inside the virtual machine.
"""

import ctypes
import os
import signal
import threading


def hang_loop() -> None:
    """Keep the main thread, and with it the inbox loop, for ever; all other threads go on."""
    threading.Event().wait()


def end_network() -> None:
    """End the thread of the connection at its next step."""
    (thread,) = (thread for thread in threading.enumerate() if thread.name == "mqtt")
    ctypes.pythonapi.PyThreadState_SetAsyncExc(ctypes.c_ulong(thread.ident or 0), ctypes.py_object(SystemExit))


def hang_port() -> None:
    """Let nobody come back from writing to a serial port."""
    import serial

    serial.Serial.write = lambda *_: threading.Event().wait()


_FAULTS = {"loop": hang_loop, "network": end_network, "port": hang_port}

if _fault := _FAULTS.get(os.environ.get("RIG_FAULT", "")):
    signal.signal(signal.SIGUSR1, lambda *_: _fault())
