"""Whether a worker of Beam sends every element when it sends by time: through its own data channel, without an engine.

python -m benchmarks.send_buffer --elements 200000 --milliseconds 100
"""

import argparse
import threading

from apache_beam.coders import FastPrimitivesCoder, StrUtf8Coder, TupleCoder, WindowedValueCoder
from apache_beam.runners.worker.data_plane import _GrpcDataChannel
from apache_beam.transforms.window import GlobalWindows


def main() -> None:
    """Prints how many elements arrived."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.send_buffer",
        description=__doc__,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--elements", type=int, default=200_000)
    parser.add_argument("--milliseconds", type=int, default=0, help="From one sending to the next; 0: only by size.")
    options = parser.parse_args()
    count, portions, broken = arrived(options.elements, options.milliseconds)
    print(
        f"{count:,} of {options.elements:,} elements arrived, in {portions:,} portions, {broken:,} of them unreadable"
    )


def arrived(elements: int, milliseconds: int) -> tuple[int, int, int]:
    """Writes elements as a worker does; returns how many arrived, the portions, and how many of these were unreadable.

    Each portion is read by itself, up to its end or to the first element that is not whole.
    """
    channel = _GrpcDataChannel(milliseconds)
    portions: list[bytes] = []
    sending = threading.Thread(target=lambda: portions.extend(_sent(channel)))
    sending.start()
    window = GlobalWindows().get_window_coder()
    coder = WindowedValueCoder(TupleCoder([StrUtf8Coder(), FastPrimitivesCoder()]), window).get_impl()
    stream = channel.output_stream("instruction", "transform")
    written = []
    for number in range(elements):
        element = GlobalWindows.windowed_value((_uri(number), ("u", number)))
        coder.encode_to_stream(element, stream, True)
        stream.maybe_flush()
        written.append(coder.encode_nested(element))
    stream.close()
    channel.close()
    sending.join()
    found, broken, before = set[int](), 0, written[0].index(_uri(0).encode())
    for portion in portions:
        at = 0
        while at < len(portion):
            digits = portion[at + before : at + before + len(_uri(0))][-12:-4]
            number = min(int(digits), elements - 1) if digits.isdigit() else 0
            if not portion.startswith(written[number], at):
                broken += 1
                break
            found.add(number)
            at += len(written[number])
    return len(found), len(portions), broken


def _uri(number: int) -> str:
    return f"/photos/{number:08}.jpg"


def _sent(channel: _GrpcDataChannel) -> list[bytes]:
    return [data.data for elements in channel._write_outputs() for data in elements.data if data.data]  # noqa: SLF001


if __name__ == "__main__":
    main()
