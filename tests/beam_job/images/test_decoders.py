"""Decoder processes: the same pixels as in this process, and whatever a file does to one costs that file alone."""

import os
import select
import signal
import subprocess
import sys
import zipfile
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from beam_job.images import decoders as module
from beam_job.images.decoder import Decoded, DecodersError, UnforeseenError
from beam_job.images.decoders import Decoders
from beam_job.images.pixels import ImageError, decode
from beam_job.images.pixels.dhash import difference_hash
from tests import decoder_stand_in
from tests.decoder_stand_in import FINE
from tests.images import bomb, encode, heic, kinds, photo

ROOT = Path(__file__).parents[3]
STAND_IN = (sys.executable, decoder_stand_in.__file__)
LONG = 600.0  # seconds that no test comes near
needs_linux = pytest.mark.skipif(sys.platform != "linux", reason="no limit of memory")


def ask(decoders, data, *, size=8, seconds=LONG, memory=2 << 30, max_pixels=10_000_000, accept_truncated=False):
    with decoders.turn() as decoder:
        return decoder.decode(
            data,
            size,
            size,
            max_pixels=max_pixels,
            accept_truncated=accept_truncated,
            seconds=seconds,
            memory=memory,
        )


def code(decoders, data, **limits):
    with pytest.raises(ImageError) as raised:
        ask(decoders, data, **limits)
    assert raised.value.message
    return raised.value.code


@pytest.fixture
def made():
    """Makes decoders, and ends their processes after the test."""
    all_made = []

    def make(number=1, command=STAND_IN):
        all_made.append((Decoders(number, command), number))
        return all_made[-1][0]

    yield make
    for decoders, number in all_made:
        for _ in range(number):
            decoders._free.get(timeout=60).end()


@pytest.fixture(scope="module")
def real():
    decoders = Decoders(1)
    yield decoders
    with decoders.turn() as decoder:
        decoder.end()


def test_pixels_and_errors_are_those_of_this_process(real):
    def outcome(decode, data, accept_truncated):
        try:
            found = decode(data, accept_truncated)
        except ImageError as error:
            return error.code, error.message
        dhash = found.dhash if isinstance(found, Decoded) else difference_hash(found.array)
        return found.width, found.height, dhash, found.array.dtype, found.array.tobytes()

    def here(data, accept_truncated):
        return decode(data, 24, 24, max_pixels=10_000_000, accept_truncated=accept_truncated)

    def there(data, accept_truncated):
        return ask(real, data, size=24, accept_truncated=accept_truncated)

    files = [kind.data for kind in (*kinds().values(), heic())]
    files += [bomb(), b"", b"no image", *(data[: len(data) // 2] for data in files)]
    for data in files:
        for accept_truncated in (False, True):
            assert outcome(there, data, accept_truncated) == outcome(here, data, accept_truncated)


def test_a_decoder_that_takes_too_long_is_ended_and_no_other(made):
    decoders = made(2)
    with ThreadPoolExecutor(2) as threads:
        slow = threads.submit(code, decoders, f"wait {os.devnull}".encode(), seconds=0.02)
        for _ in range(20):
            assert ask(decoders, FINE).array.max() == len(FINE)
        assert slow.result() == "deadline_exceeded"
    for _ in range(2):
        assert ask(decoders, FINE).array.max() == len(FINE)


def test_the_time_that_is_limited_is_the_cpus(made):
    decoders = made()
    with pytest.raises(ImageError, match=r"0\.1 s of CPU time\.$") as raised:
        ask(decoders, b"compute", seconds=0.1)
    assert raised.value.code == "deadline_exceeded"
    assert ask(decoders, FINE).array.max() == len(FINE)


def test_a_process_that_is_kept_waiting_has_more_time(made):
    _, of_cpu, in_all, _ = ask(made(), b"timers", seconds=100)
    assert of_cpu <= 100
    assert in_all > 70 * 100  # beside a program of ordinary priority Linux gives it a seventieth of a core


def test_decoders_leave_the_cores_to_the_model(made):
    decoders = made()
    assert ask(decoders, b"nice").array.max() == 19
    with decoders.turn() as decoder:  # in another session Linux's autogroup would ignore the priority
        assert os.getsid(decoder._process.pid) == os.getsid(0)


@needs_linux
def test_memory_is_limited_for_each_image(made):
    decoders = made()
    ask(decoders, b"take 300000000", memory=400_000_000)
    assert code(decoders, b"take 300000000", memory=200_000_000) == "out_of_memory"
    assert code(decoders, b"broken-for-memory") == "out_of_memory"
    ask(decoders, b"take 300000000", memory=400_000_000)
    assert code(decoders, b"take 300000000", memory=1) == "out_of_memory"
    ask(decoders, b"take 300000000", memory=10**30)


@pytest.mark.parametrize(
    ("data", "says"),
    [
        (b"crash", "SIGSEGV|Segmentation"),
        (b"killed 6", "signal 6"),
        (b"killed 9", "out of memory"),
        (b"exit 0", "status 0"),
        (b"exit 3", "status 3"),
    ],
)
def test_a_decoder_that_dies_is_replaced(made, data, says):
    decoders = made()
    for _ in range(2):
        with pytest.raises(ImageError, match=says) as raised:
            ask(decoders, data)
        assert raised.value.code == "crashed"
        assert ask(decoders, FINE).array.max() == len(FINE)


def test_a_death_that_is_not_the_images_fault_costs_nothing(made, tmp_path):
    decoders = made()
    assert ask(decoders, f"once {tmp_path}/died".encode()).width == 2
    with decoders.turn() as decoder:
        decoder._process.kill()
        decoder._process.wait()
    assert ask(decoders, FINE).width == 2


RIGHT = b'{"number": 1, "width": 1, "height": 1, "dhash": "0123456789abcdef"}\n'


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"null\n",
        b"{}\n",
        b"[" * 60_000 + b"\n",
        b"\xff" * 1_000_000,
        RIGHT[:10],
        RIGHT,
        RIGHT + bytes(8 * 8 * 3 - 1),
        RIGHT.replace(b'"number": 1', b'"number": 9') + bytes(8 * 8 * 3),
        RIGHT.replace(b'"width": 1', b'"width": "1"') + bytes(8 * 8 * 3),
        RIGHT.replace(b'"width": 1', b'"width": -1') + bytes(8 * 8 * 3),
        RIGHT.replace(b'"0123456789abcdef"', b"0") + bytes(8 * 8 * 3),
        RIGHT.replace(b"0123456789abcdef", b"0123456789ABCDEF") + bytes(8 * 8 * 3),
        RIGHT.replace(b"0123456789abcdef", b"0123456789abcde") + bytes(8 * 8 * 3),
        b'{"number": 1, "error": "made_up", "message": ""}\n',
        b'{"number": 1, "error": "corrupt"}\n',
        b'{"number": 1, "unexpected": "KeyError", "message": "", "trace": 5}\n',
    ],
)
def test_an_answer_that_no_decoder_gives_is_a_crash(made, tmp_path, answer):
    (tmp_path / "answer").write_bytes(answer)
    program = (
        "import sys; answers = open(int(sys.argv[2]), 'wb', 0); answers.write(b'ready\\n'); "
        "sys.stdin.buffer.readline(); answers.write(open(sys.argv[1], 'rb').read())"
    )
    assert code(made(1, (sys.executable, "-c", program, f"{tmp_path}/answer")), b"") == "crashed"


def test_what_a_library_prints_goes_nowhere(made, capfd):
    assert ask(made(), b"print").array.max() == len(b"print")
    assert capfd.readouterr() == ("", "")


def test_what_python_prints_before_the_program_begins_is_no_answer(made, tmp_path, monkeypatch, capfd):
    (tmp_path / "sitecustomize.py").write_text("import os; os.write(1, b'This machine belongs to the department.\\n')")
    monkeypatch.syspath_prepend(tmp_path)
    for command in (STAND_IN, module._COMMAND):
        with made(1, command).turn() as decoder:
            assert decoder._ready().poll() is None
    assert capfd.readouterr() == ("", "")


def test_nobody_waits_at_a_decoder_for_the_end_of_standard_error(tmp_path):
    program = (
        "import os, sys; from beam_job.images.decoders import Decoders; turn = Decoders(1).turn(); "
        "decoder = turn.__enter__(); decoder._ready(); os.close(2); sys.stdin.read()"
    )
    pipe = subprocess.PIPE
    with subprocess.Popen([sys.executable, "-c", program], cwd=ROOT, stdin=pipe, stderr=pipe) as process:
        assert process.stderr.read() == b""  # returns when nobody holds it any longer, and the program still runs
        assert process.poll() is None
        process.stdin.close()


@pytest.mark.parametrize("closed", ["0", "01", "012", "2", "12"])
def test_a_host_program_may_have_closed_its_standard_streams(closed):
    """The pipes of a decoder do not take their numbers, which it or the host program may use for something else."""
    program = f"""
import os, sys
from beam_job.images.decoders import Decoders
told = os.dup(1)
for number in {[*map(int, closed)]}:
    os.close(number)
with Decoders(1, sys.argv[1:]).turn() as decoder:
    for _ in range(2):
        decoder.decode(b"print", 8, 8, max_pixels=1, accept_truncated=False, seconds=600, memory=1 << 30)
    standard = [number for number in range(3) if os.path.exists(f"/dev/fd/{{number}}")]
os.write(told, repr(standard).encode())
os._exit(0)
"""
    done = subprocess.run([sys.executable, "-c", program, *STAND_IN], cwd=ROOT, capture_output=True, check=False)
    assert done.stdout.decode() == repr([number for number in range(3) if str(number) not in closed]), done.stderr


def test_an_exception_that_nobody_foresaw_comes_with_its_traceback(made):
    decoders = made()
    with pytest.raises(UnforeseenError) as raised:
        ask(decoders, b"fault")
    assert (raised.value.kind, raised.value.text) == ("KeyError", "'nobody foresaw this'")
    assert 'raise KeyError("nobody foresaw this")' in raised.value.trace
    assert ask(decoders, FINE).width == 2


@pytest.mark.parametrize(
    ("command", "says"),
    [
        (("/no/such/program",), "No such file"),
        ((sys.executable, "-c", "raise SystemExit(3)"), "status 3"),
        ((sys.executable, "-c", "print('Hello, I am no decoder.')"), "cannot be used"),
    ],
)
def test_where_no_process_can_be_started_it_says_so(made, command, says):
    with pytest.raises(DecodersError, match=says):
        ask(made(1, command), FINE)


def test_processes_start_when_they_are_needed(made):
    decoders = made(3)
    for _ in range(5):
        ask(decoders, FINE)
    free = [decoders._free.get() for _ in range(3)]
    assert sum(decoder._process is not None for decoder in free) == 1
    for decoder in free:
        decoders._free.put(decoder)


@needs_linux
def test_a_limit_that_the_system_sets_already_stays(made, tmp_path):
    """As ``ulimit -v`` does for all that is started from a shell."""
    command = ("bash", "-c", 'ulimit -S -v 600000; exec "$@"', "bash", *STAND_IN)
    decoders = made(1, command)
    assert ask(decoders, FINE).width == 2
    assert code(decoders, b"take 600000000") == "out_of_memory"
    ask(decoders, b"take 100000000")


def test_interrupts_are_for_the_parent(made):
    decoders = made()
    ask(decoders, FINE)
    with decoders.turn() as decoder:
        process = decoder._process
        for number in (signal.SIGINT, signal.SIGTERM):
            process.send_signal(number)
    assert ask(decoders, FINE).width == 2
    with decoders.turn() as decoder:
        assert decoder._process is process
        assert os.getpgid(process.pid) == process.pid  # Ctrl-C in a terminal does not reach it


@needs_linux
def test_a_process_at_work_ends_with_its_parent_however_that_ends(tmp_path):
    parent = (
        "import sys; from beam_job.images.decoders import Decoders; "
        "turn = Decoders(1, sys.argv[1:3]).turn(); decoder = turn.__enter__(); "
        "decoder.decode(sys.argv[3].encode(), 8, 8, max_pixels=1, accept_truncated=False, seconds=600, memory=1 << 30)"
    )
    os.mkfifo(tmp_path / "pipe")
    told = os.open(tmp_path / "pipe", os.O_RDONLY | os.O_NONBLOCK)
    with subprocess.Popen([sys.executable, "-c", parent, *STAND_IN, f"wait {tmp_path}/pipe"], cwd=ROOT) as process:
        assert select.select([told], [], [], LONG)[0]
        assert os.read(told, 100) == b"begun\n"
        process.kill()
    assert select.select([told], [], [], LONG)[0]
    assert os.read(told, 100) == b""  # the decoder, which had the other end of the pipe, is gone
    os.close(told)


def test_nothing_is_imported_that_takes_long():
    heavy = "apache_beam", "tensorflow", "requests", "urllib3"
    program = "import sys, beam_job.images.decoder_process; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, check=True)
    assert "PIL.Image" in done.stdout.split()
    assert not {name.partition(".")[0] for name in done.stdout.split()} & set(heavy)


def test_a_program_that_is_a_zip_file_decodes_too(tmp_path):
    (tmp_path / "photo.jpg").write_bytes(encode(photo(64, 48), "JPEG"))
    with zipfile.ZipFile(tmp_path / "program.pyz", "w") as program:
        for path in (ROOT / "beam_job").rglob("*.py"):
            program.write(path, path.relative_to(ROOT))
        program.writestr(
            "__main__.py",
            "from beam_job.images import decoders; from pathlib import Path\n"
            "assert '.pyz' in decoders.__file__\n"
            "with decoders.shared_decoders().turn() as decoder:\n"
            "    found = decoder.decode(Path('photo.jpg').read_bytes(), 8, 8, max_pixels=10_000, "
            "accept_truncated=False, seconds=600, memory=1 << 30)\n"
            "print(found.width, found.height)\n",
        )
    done = subprocess.run([sys.executable, "program.pyz"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert (done.stdout, done.stderr) == ("64 48\n", "")
