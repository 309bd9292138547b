"""Turns what tcpdump wrote into what is committed: a fixed date, private addresses, and small.

Only what a scenario asks for is changed, and each change is named in tests/captures/README.md.
"""
import gzip
import ipaddress
import struct
import subprocess

# 2026-01-05 09:00:00 UTC, a Monday: every capture starts here, so that making it again changes little.
START_US = 1_767_603_600_000_000
GLOBAL_HEADER = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262144, 1)


def read(path):
    """The packets of a little-endian microsecond pcap as (time in µs, original length, bytes)."""
    packets = []
    with open(path, "rb") as file:
        if file.read(24)[:4] != GLOBAL_HEADER[:4]:
            raise ValueError(f"{path}: not a little-endian microsecond pcap")
        while header := file.read(16):
            seconds, micros, captured, original = struct.unpack("<IIII", header)
            packets.append((seconds * 1_000_000 + micros, original, file.read(captured)))
    return packets


def to_fixed_date(packets, start=START_US):
    """The same packets, the first one at `start`."""
    shift = start - packets[0][0]
    return [(time + shift, original, frame) for time, original, frame in packets]


def stretch_pauses(packets, factor, over_us=200_000):
    """Pauses longer than `over_us` last `factor` times as long; answers stay as quick as they were."""
    out, late = [], 0
    previous = packets[0][0]
    for time, original, frame in packets:
        pause = time - previous
        late += int(pause * (factor - 1)) if pause > over_us else 0
        out.append((time + late, original, frame))
        previous = time
    return out


def after(packets, seconds):
    """The packets from `seconds` after the first one on."""
    begin = packets[0][0] + seconds * 1_000_000
    return [packet for packet in packets if packet[0] >= begin]


def ipv4_only_from(packets, address):
    """The IPv4 packets that `address` sent: what a tap on one direction of a link sees."""
    wanted = ipaddress.ip_address(address).packed
    return [p for p in packets if p[2][12:14] == b"\x08\x00" and p[2][26:30] == wanted]


def ipv4_not_from(packets, address):
    """The IPv4 packets that others sent."""
    wanted = ipaddress.ip_address(address).packed
    return [p for p in packets if p[2][12:14] == b"\x08\x00" and p[2][26:30] != wanted]


def tagged(packets, vlan):
    """The packets with an IEEE 802.1Q tag, as a trunk port carries them."""
    tag = struct.pack("!HH", 0x8100, vlan)
    return [(time, original + 4, frame[:12] + tag + frame[12:]) for time, original, frame in packets]


def spoofed_to_private(packets):
    """Moves random public addresses into 10.128.0.0/9, keeping their last 23 bits, and corrects the checksums."""
    return [(time, original, privatised(frame)) for time, original, frame in packets]


def privatised(frame):
    """One frame with private addresses."""
    if frame[12:14] != b"\x08\x00":
        return frame
    out = bytearray(frame)
    for offset in (26, 30):
        if ipaddress.ip_address(bytes(out[offset:offset + 4])).packed[0] == 10:
            continue
        old = bytes(out[offset:offset + 4])
        out[offset] = 10
        out[offset + 1] |= 0x80
        new = bytes(out[offset:offset + 4])
        header = (out[14] & 15) * 4
        adjust_checksum(out, 24, old, new)
        if out[23] == 6 and len(out) >= 14 + header + 18:
            adjust_checksum(out, 14 + header + 16, old, new)
    return bytes(out)


def adjust_checksum(frame, offset, old, new):
    """RFC 1624 equation 3: HC' = ~(~HC + ~m + m')."""
    total = ~struct.unpack_from("!H", frame, offset)[0] & 0xFFFF
    for before, now in zip(struct.unpack("!HH", old), struct.unpack("!HH", new)):
        total += (~before & 0xFFFF) + now
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    struct.pack_into("!H", frame, offset, ~total & 0xFFFF)


def pcap_bytes(packets):
    """A pcap file."""
    parts = [GLOBAL_HEADER]
    for time, original, frame in packets:
        parts.append(struct.pack("<IIII", time // 1_000_000, time % 1_000_000, len(frame), original))
        parts.append(frame)
    return b"".join(parts)


def write(path, packets):
    """Writes the capture; the ending of `path` says how it is wrapped."""
    content = pcap_bytes(packets)
    if path.endswith(".txt"):
        text = ["tcpdump", "-n", "-r", "-"]
        content = subprocess.run(text, input=content, capture_output=True, check=True, env={"TZ": "UTC",
                                 "PATH": "/usr/sbin:/usr/bin:/sbin:/bin"}).stdout
    if ".pcapng" in path:
        content = subprocess.run(["editcap", "-F", "pcapng", "-", "-"], input=content, capture_output=True,
                                 check=True).stdout
    if path.endswith(".gz"):
        content = gzip.compress(content, 9, mtime=0)
    if path.endswith(".zst"):
        content = subprocess.run(["zstd", "-19", "-q", "-c"], input=content, capture_output=True, check=True).stdout
    with open(path, "wb") as file:
        file.write(content)
