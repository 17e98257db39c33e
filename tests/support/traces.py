"""What real contacts do, as edge lists: each number is when the contact changed, in microseconds.

The bounces are measurements of one worn push button by an Arduino with 2.4 µs between two looks at the pin, published
with github.com/adamfk/bouncy-button (session of version 0.2.3, tests 3 to 15). A pulse that was over between two looks
stands as two changes at one time. The bursts are those of the electrical fast transient test of IEC 61000-4-4: 5 kHz
for 15 ms, every 300 ms.
"""

from collections.abc import Iterator, Sequence

Trace = Sequence[int]

# fmt: off
CLOSING: dict[str, Trace] = {  # by test; short: under a millisecond
    "5": (1, 125, 230, 491, 494),
    "7": (1, 25, 28, 78, 81, 81, 83),
    "9": (1,),
}
OPENING: dict[str, Trace] = {
    "4": (1, 2, 48, 53, 412, 472, 606, 613, 736),
    "6": (1, 9_004, 12_164, 12_164, 12_683, 12_827, 12_827, 13_468, 13_468, 13_642, 13_645),
    "12": (1, 1, 2_150),
}
BREAKING: dict[str, Trace] = {  # closing, and the contact breaks for 43 to 87 ms under the finger
    "3": (
        1, 45_461, 45_461, 45_527, 45_527, 45_545, 45_547, 45_623, 45_625, 45_672, 45_680, 45_739, 45_767, 45_802,
        45_814, 45_973, 45_987, 46_018, 46_018, 46_031, 46_033, 46_144, 46_144, 46_194, 46_196, 46_252, 46_258, 46_359,
        46_370, 46_432, 46_443, 46_490, 46_492, 46_674, 46_707, 46_765, 46_792, 46_838, 46_845, 46_910, 109_746,
    ),
    "11": (1, 47_113, 47_116, 47_253, 90_562),
    "13": (1, 17_783, 17_887, 18_132, 105_560),
    "15": (1, 78, 78, 76_797, 125_009, 125_009, 125_017),
}
# fmt: on


def bursts(seconds: int) -> Iterator[int]:
    """Yield the milliseconds at which a pulse comes, so short that both its edges have the same one."""
    for start in range(0, 1000 * seconds, 300):
        for pulse in range(75):
            yield start + pulse // 5
