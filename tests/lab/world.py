"""A small network made of Linux namespaces, and the processes that live in it.

    lan 10.0.0.0/24 (bridge, tcpdump listens here)
      .1 router   .10 .11 .53 servers   .20 .21 .22 targets   .66 .67 attackers   .101 to .160 clients
    behind the router
      10.0.2.0/24 with hosts .5 .50 .200 and nobody else; 10.0.3.1, 10.0.4.1, 10.0.5.5 one more hop away each;
      everything else falls into a hole without an answer

Hardware addresses are fixed, IPv6 is off unless a scenario wants it, and segmentation offload is off, so that a capture
shows what a wire would.
"""
import os
import shutil
import signal
import subprocess
import tempfile
import time

HOSTS = {
    "router": ["10.0.0.1"],
    "server": ["10.0.0.10", "10.0.0.11", "10.0.0.53"],
    "target": ["10.0.0.20", "10.0.0.21", "10.0.0.22"],
    "attacker": ["10.0.0.66"],
    "second": ["10.0.0.67"],
    "client": [f"10.0.0.{n}" for n in range(101, 161)],
}


def unshare_command():
    """The command that starts a program in namespaces of its own, dying with all its children."""
    # Not as root of the user namespace: tools that think they are root drop privileges, which it cannot give them.
    user = [] if os.geteuid() == 0 else ["--user", "--map-current-user", "--keep-caps"]
    return ["unshare", *user, "--net", "--mount", "--pid", "--fork", "--kill-child", "--mount-proc"]


def namespaces_work():
    """Whether this machine lets us make the namespaces a scenario needs."""
    if not shutil.which("unshare"):
        return False
    probe = "mount -t tmpfs none /run && mkdir /run/netns"
    return subprocess.run([*unshare_command(), "sh", "-c", probe], capture_output=True).returncode == 0


def run(*command, **options):
    """Runs a command to its end; an error names it."""
    done = subprocess.run(command, capture_output=True, text=True, **options)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)}: exit {done.returncode}: {done.stderr.strip()}")
    return done.stdout


class World:
    """The network of one scenario. Use as a context manager, inside the namespaces of `unshare_command`."""

    def __init__(self, ipv6=False):
        self.ipv6 = ipv6
        self.processes = []
        self.directory = tempfile.mkdtemp(prefix="weir-lab-")
        self.raw = os.path.join(self.directory, "raw.pcap")
        self.tcpdump = None

    def __enter__(self):
        # A private /run: the names of our namespaces are seen by nobody else, and vanish with us.
        run("mount", "-t", "tmpfs", "none", "/run")
        os.makedirs("/run/netns")
        self.namespace("switch")
        self.ip("switch", "link", "add", "lan", "type", "bridge", "forward_delay", "0", "stp_state", "0",
                "mcast_snooping", "0")
        self.ip("switch", "link", "set", "lan", "up")
        for number, (host, addresses) in enumerate(HOSTS.items(), 1):
            self.host(number, host, addresses)
        self.behind_the_router()
        return self

    def __exit__(self, *_):
        for process in self.processes:
            process.kill()
        shutil.rmtree(self.directory, ignore_errors=True)

    def namespace(self, name):
        """A network namespace without IPv6 unless the scenario wants it."""
        run("ip", "netns", "add", name)
        if not self.ipv6:
            self.sh(name, "echo 1 > /proc/sys/net/ipv6/conf/all/disable_ipv6;"
                          "echo 1 > /proc/sys/net/ipv6/conf/default/disable_ipv6")
        self.ip(name, "link", "set", "lo", "up")

    def ip(self, namespace, *arguments):
        """`ip ARGUMENTS` in a namespace."""
        run("ip", "-n", namespace, *arguments)

    def host(self, number, name, addresses):
        """A host on the lan, plugged into the bridge."""
        self.namespace(name)
        port = f"port{number}"
        self.ip("switch", "link", "add", port, "address", f"02:00:00:00:ff:{number:02x}", "type", "veth",
                "peer", "name", "eth0", "address", f"02:00:00:00:00:{number:02x}", "netns", name)
        self.ip("switch", "link", "set", port, "master", "lan", "up")
        self.ip(name, "link", "set", "eth0", "up")
        self.wire_offload_off("switch", port)
        self.wire_offload_off(name, "eth0")
        for address in addresses:
            self.ip(name, "address", "add", f"{address}/24", "dev", "eth0")
            if self.ipv6:
                last = address.rsplit(".", 1)[1]
                self.ip(name, "address", "add", f"fd00:0:0:1::{last}/64", "dev", "eth0", "nodad")
        if name != "router":
            self.ip(name, "route", "add", "default", "via", "10.0.0.1")

    def wire_offload_off(self, namespace, device):
        """Frames leave at the size and with the checksums they have on a wire."""
        self.sh(namespace, f"ethtool -K {device} tx off rx off sg off tso off gso off gro off >/dev/null")

    def behind_the_router(self):
        """The far network, a chain of routers, and the hole."""
        chain = [("router", "far", "10.0.2.1", ["10.0.2.5", "10.0.2.50", "10.0.2.200"]),
                 ("router", "hop2", "10.0.3.254", ["10.0.3.1"]), ("hop2", "hop3", "10.0.4.254", ["10.0.4.1"]),
                 ("hop3", "end", "10.0.5.254", ["10.0.5.5"])]
        for near, name, gateway, addresses in chain:
            self.namespace(name)
            self.ip(near, "link", "add", f"to-{name}", "type", "veth", "peer", "name", "eth0", "netns", name)
            self.ip(near, "link", "set", f"to-{name}", "up")
            self.ip(near, "address", "add", f"{gateway}/24", "dev", f"to-{name}")
            self.ip(name, "link", "set", "eth0", "up")
            for address in addresses:
                self.ip(name, "address", "add", f"{address}/24", "dev", "eth0")
            self.ip(name, "route", "add", "default", "via", gateway)
        for router in ("router", "hop2", "hop3"):
            self.sh(router, "echo 1 > /proc/sys/net/ipv4/ip_forward")
        for prefix in ("10.0.4.0/24", "10.0.5.0/24"):
            self.ip("router", "route", "add", prefix, "via", "10.0.3.1")
        self.ip("hop2", "route", "add", "10.0.5.0/24", "via", "10.0.4.1")
        self.ip("router", "route", "add", "blackhole", "default")

    def sh(self, host, script, check=True, timeout=None):
        """Runs a shell script on a host to its end."""
        command = ["nsenter", f"--net=/run/netns/{host}", "sh", "-c", script]
        done = subprocess.run(command, capture_output=True, text=True, timeout=timeout, cwd=self.directory)
        if check and done.returncode:
            raise RuntimeError(f"{host}: {script}: exit {done.returncode}: {done.stderr.strip()}")
        return done.stdout

    def start(self, host, *command):
        """Starts a process on a host; it is killed when the world ends."""
        process = subprocess.Popen(["nsenter", f"--net=/run/netns/{host}", *command], cwd=self.directory,
                                   stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def wait_for_port(self, host, address, port):
        """Waits until something listens; call it before the capture starts."""
        probe = f"exec 3<>/dev/tcp/{address}/{port}"
        for _ in range(100):
            if subprocess.run(["nsenter", f"--net=/run/netns/{host}", "bash", "-c", probe],
                              capture_output=True).returncode == 0:
                return
            time.sleep(0.1)
        raise RuntimeError(f"nothing listens on {address}:{port}")

    def capture(self):
        """Starts tcpdump on the bridge and waits until it listens."""
        # Neighbours learnt while servers started would hide the first ARP exchange of the scenario.
        for host in HOSTS:
            self.ip(host, "neigh", "flush", "all")
        command = ["nsenter", "--net=/run/netns/switch", "tcpdump", "-i", "lan", "-n", "-U", "-s", "0",
                   "-B", "16384", "-w", self.raw, *(["-Z", "root"] if os.geteuid() == 0 else [])]
        self.tcpdump = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True)
        for line in self.tcpdump.stderr:
            if "listening on" in line:
                return
        raise RuntimeError("tcpdump did not start")

    def stop(self, linger=1.5):
        """Stops the capture after the last answers came in, and checks that the kernel dropped nothing."""
        time.sleep(linger)
        self.tcpdump.send_signal(signal.SIGINT)
        report = self.tcpdump.communicate()[1]
        if "0 packets dropped by kernel" not in report:
            raise RuntimeError(f"tcpdump lost packets: {report.strip()}")
