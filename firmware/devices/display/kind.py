"""How a display is put together from its configuration."""

from functools import partial

from contract.states import DisplayDesired
from firmware.devices.display.codecs.screen import ScreenDriver
from firmware.devices.display.config import DisplayConfig
from firmware.devices.display.decisions import DisplayDecisions
from firmware.devices.registry import DeviceContext, Kind
from firmware.ports import Driver

BAUD = 9_600
ANSWER_WITHIN_MS = 300


def assemble(config: DisplayConfig, context: DeviceContext) -> tuple[DisplayDecisions, Driver]:
    """Return the display's two halves; raise ConfigError where a library for its panel is not installed."""
    decisions = DisplayDecisions(stale_after_ms=config.stale_after_s * 1000, memory=context.memory)
    return decisions, _driver(config, context)


def _driver(config: DisplayConfig, context: DeviceContext) -> Driver:
    if config.codec == "screen":
        return ScreenDriver(monotonic_ms=context.monotonic_ms)
    # Imported here: a screen needs no pyserial, a VFD no pymodbus (10 MB).
    from firmware.devices.display.driver import PanelDriver
    from firmware.devices.display.port import SerialPort

    baud = config.baud or BAUD
    open_port = partial(SerialPort, config.port or "", baud, shared=bool(config.shared))
    if config.codec == "cd5220":
        from firmware.devices.display.codecs import cd5220

        return PanelDriver(
            name=context.name,
            codec=cd5220.Cd5220Codec(
                brightness=config.brightness or cd5220.BRIGHTEST,
                glyph_slots=cd5220.GLYPH_SLOTS if config.glyphs is None else config.glyphs,
                refresh_s=config.refresh_s or cd5220.REFRESH_S,
            ),
            open_port=open_port,
            monotonic_ms=context.monotonic_ms,
        )
    from firmware.devices.display.codecs import modbus_led

    return PanelDriver(
        name=context.name,
        codec=modbus_led.ModbusLedCodec(
            unit=config.unit or 1,
            digits=config.digits or modbus_led.DIGITS,
            letters=config.letters is not False,
            overflow=config.overflow or "cut",
            refresh_s=config.refresh_s or modbus_led.REFRESH_S,
        ),
        open_port=open_port,
        monotonic_ms=context.monotonic_ms,
        answer_within_ms=config.answer_within_ms or ANSWER_WITHIN_MS,
        silence_ms=modbus_led.silence_ms(baud),
    )


KIND = Kind(name="display", config=DisplayConfig, desired=DisplayDesired, build=assemble)
