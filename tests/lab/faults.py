"""Captures of TCP connections to which everything happens that `tcp.analysis` has a name for: losses before and behind the
tap, reordering, frames captured twice, full windows, probes, keep-alives. The same bytes on every machine."""
import os
import random
import struct

START_US = 1_767_603_600_000_000
FIN, SYN, RST, PSH, ACK = 1, 2, 4, 8, 16
# Times in µs: the way from client to tap takes none, from tap to server and back a round trip.
ROUND_TRIP = 30_000
TIMEOUT = 250_000
MSS = 1000


def checksum(data):
    """RFC 1071."""
    data += bytes(len(data) % 2)
    total = sum(struct.unpack(f"!{len(data) // 2}H", data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return ~total & 0xFFFF


class Capture:
    """Frames of one client and one server."""

    def __init__(self, port):
        self.frames, self.time, self.ids = [], START_US, [1, 30_000]
        self.ends = (bytes([10, 1, 0, 1]), port), (bytes([10, 1, 0, 2]), 80)
        self.seq, self.acked, self.window = [1000 + port, 500_000 + port], [0, 0], [60_000, 60_000]

    def frame(self, sender, flags, seq, ack, payload=b"", window=None, after=0):
        """One frame `after` µs later, which is captured if the caller puts it into `frames`."""
        self.time += after
        (src, src_port), (dst, dst_port) = self.ends[sender], self.ends[1 - sender]
        window = self.window[sender] if window is None else window
        options = bytes([2, 4, 3, 232]) if flags & SYN else b""
        header = struct.pack("!HHIIBBHHH", src_port, dst_port, seq % 2**32, ack % 2**32, (5 + len(options) // 4) << 4, flags, window, 0, 0)
        segment = header + options + payload
        segment = segment[:16] + struct.pack("!H", checksum(src + dst + struct.pack("!HH", 6, len(segment)) + segment)) + segment[18:]
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 20 + len(segment), self.ids[sender] % 65536, 0x4000, 64, 6, 0, src, dst)
        self.ids[sender] += 1
        ip = ip[:10] + struct.pack("!H", checksum(ip)) + ip[12:]
        macs = bytes([2, 0, 0, 0, 0, 1 + (1 - sender)]) + bytes([2, 0, 0, 0, 0, 1 + sender])
        return self.time, macs + b"\x08\x00" + ip + segment

    def send(self, *arguments, **options):
        """A frame that is captured."""
        self.frames.append(self.frame(*arguments, **options))

    def open(self):
        """The handshake."""
        self.send(0, SYN, self.seq[0], 0)
        self.send(1, SYN | ACK, self.seq[1], self.seq[0] + 1, after=ROUND_TRIP)
        self.seq = [self.seq[0] + 1, self.seq[1] + 1]
        self.send(0, ACK, self.seq[0], self.seq[1], after=100)
        self.acked = [self.seq[1], self.seq[0]]

    def data(self, sender, length=MSS, after=200, is_captured=True):
        """The next segment with payload; returns where it begins."""
        begin = self.seq[sender]
        frame = self.frame(sender, ACK | PSH, begin, self.acked[sender], bytes([65 + begin % 26]) * length, after=after)
        if is_captured:
            self.frames.append(frame)
        self.seq[sender] = begin + length
        return begin

    def again(self, sender, begin, length=MSS, after=TIMEOUT):
        """A segment sent before."""
        self.send(sender, ACK | PSH, begin, self.acked[sender], bytes([65 + begin % 26]) * length, after=after)

    def ack(self, sender, number=None, after=300, window=None):
        """A bare ACK, by default of all that the other end sent."""
        self.acked[sender] = self.seq[1 - sender] if number is None else number
        self.send(sender, ACK, self.seq[sender], self.acked[sender], after=after, window=window)

    def close(self):
        """Both FINs."""
        for end in (1, 0):
            self.send(end, ACK | FIN, self.seq[end], self.seq[1 - end], after=500)
            self.seq[end] += 1
        self.send(1, ACK, self.seq[1], self.seq[0], after=300)


def lost_on_the_path(c):
    """The last segment of a burst never arrives, and is sent again after a timeout."""
    for _ in range(3):
        begin = c.data(1)
    c.ack(0, begin)
    c.again(1, begin)
    c.ack(0)


def lost_inside_a_burst(c):
    """A segment is missing at the receiver: three duplicate ACKs ask for it."""
    hole = c.data(1)
    c.ack(0, hole, after=100)
    for _ in range(3):
        c.data(1, after=100)
        c.ack(0, hole, after=50)
    c.again(1, hole, after=2_000)
    c.ack(0)


def sent_again_for_nothing(c):
    """The ACK was late: the segment had arrived."""
    begin = c.data(1)
    c.ack(0)
    c.again(1, begin)
    c.ack(0, after=50)


def overtaken(c):
    """A segment arrives after the two that were sent after it."""
    begin = c.seq[1]
    c.seq[1] += MSS
    c.data(1)
    c.data(1)
    c.again(1, begin, after=500)
    c.ack(0)


def captured_twice(c):
    """A mirrored port gives every frame of a burst a second time."""
    first = len(c.frames)
    for _ in range(3):
        c.data(1)
    c.frames[first:] = [(time + late, frame) for time, frame in c.frames[first:] for late in (0, 40)]
    c.ack(0, after=1_000)


def window_closes(c):
    """The receiver has no room: probes of a byte until it has."""
    c.data(1)
    c.ack(0, window=0)
    for pause in (400_000, 800_000):
        c.send(1, ACK, c.seq[1], c.acked[1], b"p", after=pause)
        c.send(0, ACK, c.seq[0], c.seq[1], window=0, after=300)
    c.ack(0, after=50_000)
    c.data(1)
    c.ack(0)


def kept_alive(c):
    """Nothing is said for seconds but that the other end is there."""
    for _ in range(2):
        c.send(1, ACK, c.seq[1] - 1, c.acked[1], after=4_000_000)
        c.ack(0)


def lost_by_the_tap(c):
    """What the capture lost was received: the ACK says so."""
    c.data(1)
    c.data(1, is_captured=False)
    c.ack(0)
    c.data(1)
    c.ack(0)


def nothing(c):
    """A request and its answer."""
    c.data(0, 120)
    c.ack(1, after=ROUND_TRIP)
    for _ in range(4):
        c.data(1)
    c.ack(0)


EVENTS = [lost_on_the_path, lost_inside_a_burst, sent_again_for_nothing, overtaken, captured_twice, window_closes, kept_alive,
          lost_by_the_tap, nothing]


def write(path, captures):
    """All frames by time."""
    frames = sorted((frame for capture in captures for frame in capture.frames), key=lambda frame: frame[0])
    with open(path, "wb") as file:
        file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1))
        for time, frame in frames:
            file.write(struct.pack("<IIII", time // 1_000_000, time % 1_000_000, len(frame), len(frame)) + frame)


def make(directory):
    """A capture for each event alone, and some in which they follow each other by chance. Returns the paths."""
    paths = []
    for event in EVENTS:
        capture = Capture(40_000)
        capture.open()
        nothing(capture)
        event(capture)
        nothing(capture)
        capture.close()
        paths.append(os.path.join(directory, f"{event.__name__}.pcap"))
        write(paths[-1], [capture])
    for seed in range(4):
        chance = random.Random(seed)
        captures = []
        for port in range(20):
            capture = Capture(40_000 + port)
            capture.time += chance.randrange(20_000_000)
            capture.open()
            for _ in range(chance.randrange(1, 12)):
                chance.choice(EVENTS)(capture)
            capture.close()
            captures.append(capture)
        paths.append(os.path.join(directory, f"by_chance_{seed}.pcap"))
        write(paths[-1], captures)
    return paths
