"""Real exporters over our captures: what softflowd and pmacct send, received on loopback."""
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time

# How long an exporter may take for one of our captures before it counts as hung.
PATIENCE = 120.0
# How long after its end a datagram may still arrive on loopback.
LAST = 1.0
# Whose packets follow a capture's where an exporter needs some to be done with those before.
MARKER = "192.0.2.77"


def received(command, port_socket, directory):
    """The datagrams that a command sends to a socket until it ends."""
    datagrams = []
    with open(os.path.join(directory, "output"), "w+b") as output:
        process = subprocess.Popen(command, stdout=output, stderr=output, start_new_session=True)
        deadline, ended = time.monotonic() + PATIENCE, None
        port_socket.settimeout(0.1)
        while time.monotonic() < (deadline if ended is None else ended + LAST):
            try:
                datagrams.append(port_socket.recv(65535))
            except TimeoutError:
                if ended is None and process.poll() is not None:
                    ended = time.monotonic()
        if ended is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
        # The exit status of pmacctd says no more than whether its probe or itself was the first to end.
        if ended is None or not datagrams:
            output.seek(0)
            what = "sent nothing" if ended else f"did not end within {PATIENCE} s"
            raise RuntimeError(f"{command[0]} {what}: {output.read().decode(errors='replace')}")
    return datagrams


def collector():
    """A socket on a free port of loopback, with as much room as the system grants."""
    port_socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    port_socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 1 << 26)
    port_socket.bind(("127.0.0.1", 0))
    return port_socket


def softflowd(capture, *options):
    """What softflowd sends for a capture (an unpacked pcap), its clock set back to that of the capture."""
    with tempfile.TemporaryDirectory() as directory, collector() as port_socket:
        to = f"127.0.0.1:{port_socket.getsockname()[1]}"
        command = ["softflowd", "-r", capture, "-n", to, "-a", "-6", "-d", "-m", "1000000"]
        command += ["-c", "none", "-p", os.path.join(directory, "pid"), *options]
        return received(command, port_socket, directory)


def sfprobe(capture):
    """What pmacct's sFlow probe sends for a capture (an unpacked Ethernet pcap): a sample of each packet.

    It ends without sending what does not fill a datagram: packets of MARKER follow, of which some are sent.
    """
    with tempfile.TemporaryDirectory() as directory, collector() as port_socket:
        marked, config = os.path.join(directory, "marked.pcap"), os.path.join(directory, "pmacctd.conf")
        with open(capture, "rb") as file:
            content = file.read()
        seconds = struct.unpack_from("<I", content, 24)[0] + 7200
        with open(marked, "wb") as file:
            file.write(content + b"".join(records(20 * [b""], 9, seconds, MARKER)))
        with open(config, "w", encoding="ascii") as file:
            file.write(f"daemonize: false\npcap_savefile: {marked}\nplugins: sfprobe[s]\nsampling_rate: 1\n"
                       f"sfprobe_receiver[s]: 127.0.0.1:{port_socket.getsockname()[1]}\nsfprobe_agentip[s]: 192.0.2.9\n")
        return received(["pmacctd", "-f", config], port_socket, directory)


def pcap_of(datagrams, port, seconds):
    """A pcap of datagrams to a collector's port, from this time on, a millisecond apart."""
    header = struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 65535, 1)
    return header + b"".join(records(datagrams, port, seconds, "192.0.2.254"))


def records(payloads, port, seconds, sender):
    """The records of a pcap of Ethernet frames with UDP."""
    for number, payload in enumerate(payloads):
        udp = struct.pack("!HHHH", 40000, port, 8 + len(payload), 0)
        ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, 28 + len(payload), number & 0xFFFF, 0, 64, 17, 0,
                         socket.inet_aton(sender), socket.inet_aton("192.0.2.253"))
        frame = bytes([2, 0, 0, 0, 0, 2, 2, 0, 0, 0, 0, 1, 8, 0]) + ip + udp + payload
        yield struct.pack("<IIII", seconds + number // 1000, number % 1000 * 1000, len(frame), len(frame)) + frame
