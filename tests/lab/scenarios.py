"""What happens in each capture. Run inside the namespaces of world.py: scenarios.py NAME DIRECTORY

A scenario's first doc line is what its capture shows; `truth.tsv` beside the captures says what must be found in it.
"""
import os
import sys
import time

import rewrite
from world import World

HERE = os.path.dirname(os.path.abspath(__file__))
SCENARIOS = {}
# Seconds that a scenario takes, where it is far from the usual half minute.
SECONDS = {"scan_slow_5m": 400, "scan_slow_1h": 200, "demo": 260, "scan_udp": 130, "benign_dead_server": 120,
           "benign_refusing_server": 120, "benign_ping": 90, "benign_ntp": 120}


def scenario(function):
    """Registers a scenario under its name."""
    SCENARIOS[function.__name__] = function
    return function


def helper(world, host, *arguments):
    """Starts one of servers.py's programs on a host."""
    return world.start(host, sys.executable, os.path.join(HERE, "servers.py"), *arguments)


def web_server(world):
    """nginx with small pages and larger downloads on 10.0.0.10 and .11, port 80; text, so that captures stay small."""
    root = os.path.join(world.directory, "www")
    os.makedirs(root)
    for page in range(20):
        with open(os.path.join(root, f"page{page}.html"), "w", encoding="ascii") as file:
            file.write(f"<html><h1>Page {page}</h1>" + "<p>The quick brown fox jumps over the lazy dog.</p>\n" * (20 + 15 * page))
    with open(os.path.join(root, "large.txt"), "w", encoding="ascii") as file:
        file.write("A line of a large text file that is downloaded again and again.\n" * 8000)
    config = os.path.join(world.directory, "nginx.conf")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"""daemon off; user root; pid {world.directory}/nginx.pid; error_log /dev/null;
            events {{ worker_connections 512; }}
            http {{ access_log off; client_body_temp_path {world.directory}/body; proxy_temp_path {world.directory}/proxy;
            fastcgi_temp_path {world.directory}/fcgi; uwsgi_temp_path {world.directory}/uwsgi;
            scgi_temp_path {world.directory}/scgi; keepalive_timeout 30;
            server {{ listen 10.0.0.10:80; listen 10.0.0.11:80; {"listen [fd00:0:0:1::10]:80;" if world.ipv6 else ""}
            root {root}; limit_rate_after 64k; limit_rate 300k; }} }}""")
    world.start("server", "nginx", "-p", world.directory, "-c", config)
    world.wait_for_port("server", "10.0.0.10", 80)


def tls_server(world):
    """A second nginx: the same pages over TLS on 10.0.0.10, port 443, with a certificate of its own."""
    key, certificate, config = (os.path.join(world.directory, name) for name in ("key.pem", "cert.pem", "tls.conf"))
    world.sh("server", f"openssl req -x509 -newkey rsa:2048 -nodes -subj /CN=web.lab.example -days 9 -keyout {key} -out {certificate}")
    with open(config, "w", encoding="ascii") as file:
        file.write(f"""daemon off; user root; pid {world.directory}/tls.pid; error_log /dev/null; events {{ }}
            http {{ access_log off; server {{ listen 10.0.0.10:443 ssl http2; ssl_certificate {certificate};
            ssl_certificate_key {key}; root {world.directory}/www; }} }}""")
    world.start("server", "nginx", "-p", world.directory, "-c", config)
    world.wait_for_port("server", "10.0.0.10", 443)


def dns_server(world):
    """dnsmasq on 10.0.0.53 that knows every name under lab.example."""
    world.start("server", "dnsmasq", "--keep-in-foreground", "--no-resolv", "--no-hosts", "--user=root", "--no-ping",
                "--conf-file=/dev/null", f"--pid-file={world.directory}/dnsmasq.pid", "--listen-address=10.0.0.53",
                "--bind-interfaces", "--address=/web.lab.example/10.0.0.10", "--address=/lab.example/10.0.0.11",
                "--local=/lab.example/")
    world.wait_for_port("server", "10.0.0.53", 53)


def target_services(world):
    """The targets' open ports, and the far hosts' port 445."""
    for address in ("10.0.0.20", "10.0.0.21", "10.0.0.22"):
        helper(world, "target", "listen", address, "22", "80", "443", "445")
        world.wait_for_port("target", address, 445)
    for address in ("10.0.2.5", "10.0.2.50"):
        helper(world, "far", "listen", address, "445", "22")
        world.wait_for_port("far", address, 22)


def nmap(options, targets="10.0.0.20", ending="pcap.gz", change=None, ipv6=False):
    """A scenario that is one nmap run against the targets' services."""
    def body(out, name):
        with World(ipv6=ipv6) as world:
            target_services(world)
            world.capture()
            world.sh("attacker", f"nmap -n {options} {targets}")
            world.stop()
            finish(world, out, name, ending, change)
    return body


def finish(world, out, name, ending="pcap.gz", change=None):
    """Moves the capture to its fixed date and writes it."""
    packets = rewrite.read(world.raw)
    if change:
        packets = change(packets)
    rewrite.write(os.path.join(out, f"{name}.{ending}"), rewrite.to_fixed_date(packets))


def nmap_scenario(name, doc, **arguments):
    """Registers an nmap scenario."""
    def run(out):
        nmap(**arguments)(out, name)
    run.__doc__ = doc
    SCENARIOS[name] = run


nmap_scenario("scan_syn", "nmap SYN scan of 1,000 ports of one host", options="-sS -Pn")
nmap_scenario("scan_syn_text", "the same kind of scan of 200 ports as tcpdump -n text", options="-sS -Pn --top-ports 200",
              ending="tcpdump.txt")
nmap_scenario("scan_syn_three", "nmap SYN scan of 100 ports of three hosts at once", options="-sS -Pn -F",
              targets="10.0.0.20-22", ending="pcapng.zst")
nmap_scenario("scan_syn_router", "nmap SYN scan of a host that never answers", options="-sS -Pn --top-ports 300",
              targets="10.9.9.9")
nmap_scenario("scan_connect", "nmap connect scan of 500 ports", options="-sT -Pn --top-ports 500")
nmap_scenario("scan_udp", "nmap UDP scan of 60 ports, slowed down by the target's ICMP rate limit",
              options="-sU -Pn --top-ports 60")
nmap_scenario("scan_fin", "nmap FIN scan of 300 ports", options="-sF -Pn --top-ports 300")
nmap_scenario("scan_null", "nmap NULL scan of 300 ports", options="-sN -Pn --top-ports 300")
nmap_scenario("scan_xmas", "nmap XMAS scan of 300 ports", options="-sX -Pn --top-ports 300")
nmap_scenario("scan_ack", "nmap ACK scan of 300 ports", options="-sA -Pn --top-ports 300")
nmap_scenario("scan_slow_5m", "nmap SYN scan of 60 ports, one every 5 s", options="-sS -Pn --top-ports 60 --scan-delay 5s "
              "--max-scan-delay 5s")
nmap_scenario("scan_slow_1h", "nmap SYN scan of 100 ports, one every 36 s (made at one a second, pauses stretched)",
              options="-sS -Pn -F --scan-delay 1s --max-scan-delay 1s", change=lambda p: rewrite.stretch_pauses(p, 36))
nmap_scenario("scan_ipv6", "nmap SYN scan of 300 ports over IPv6", options="-6 -sS -Pn --top-ports 300",
              targets="fd00:0:0:1::20", ipv6=True)
nmap_scenario("scan_vlan", "nmap connect scan of 300 ports inside VLAN 42 (tagged afterwards)", options="-sT -Pn --top-ports 300",
              change=lambda p: rewrite.tagged(p, 42))
nmap_scenario("scan_replies_only", "what the target of a SYN scan sent, and nothing else", options="-sS -Pn --top-ports 300",
              change=lambda p: rewrite.ipv4_only_from(p, "10.0.0.20"))
nmap_scenario("scan_requests_only", "what a SYN scan sent, without the answers", options="-sS -Pn --top-ports 300",
              change=lambda p: rewrite.ipv4_only_from(p, "10.0.0.66"))
nmap_scenario("sweep_tcp", "nmap SYN sweep of port 445 over a /24 with three hosts", options="-sS -Pn -p 445",
              targets="10.0.2.0/24")
nmap_scenario("sweep_udp", "nmap UDP sweep of port 161 over a /24 with three hosts", options="-sU -Pn -p 161 --max-retries 1",
              targets="10.0.2.0/24")
nmap_scenario("sweep_icmp", "nmap ping sweep of a /24 with three hosts", options="-sn -PE", targets="10.0.2.0/24")
nmap_scenario("sweep_arp", "nmap ARP sweep of the local /24", options="-sn -PR", targets="10.0.0.0/24")


@scenario
def flood_one_source(out):
    """hping3 SYN flood of a web server from one host, 250/s for 12 s, beside ordinary clients"""
    flood(out, "flood_one_source", "hping3 -q -S -p 80 -i u4000 -c 3000 10.0.0.10")


@scenario
def flood_spoofed(out):
    """hping3 SYN flood of a web server with random sources, 250/s for 12 s, beside ordinary clients"""
    flood(out, "flood_spoofed", "hping3 -q -S -p 80 --rand-source -i u4000 -c 3000 10.0.0.10",
          rewrite.spoofed_to_private)


def flood(out, name, command, change=None):
    """A flood of 10.0.0.10:80 while clients read pages there."""
    with World() as world:
        web_server(world)
        world.capture()
        world.start("client", "sh", "-c", browse(["10.0.0.101", "10.0.0.102", "10.0.0.103"], 20, 1))
        time.sleep(3)
        world.sh("attacker", command, check=False)
        time.sleep(8)
        world.stop()
        finish(world, out, name, "pcap.zst", change)


def browse(addresses, rounds, pause, base="http://10.0.0.10"):
    """A shell script: each client reads two pages over one connection, waits, and comes again."""
    loops = [f"(for i in $(seq {rounds}); do curl -s -o /dev/null -o /dev/null --interface {address} --max-time 20 "
             f"{base}/page$((({number} + i) % 20)).html {base}/page$((({number} * 3 + i) % 20)).html; sleep {pause}; done) &"
             for number, address in enumerate(addresses)]
    return "\n".join(loops) + "\nwait\n"


@scenario
def benign_browsing(out):
    """six clients look up names and read pages for a minute"""
    with World() as world:
        web_server(world)
        dns_server(world)
        world.capture()
        lookups = "for i in $(seq 40); do dig +short @10.0.0.53 -b 10.0.0.10$((1 + i % 6)) host$i.lab.example A " \
                  "host$i.lab.example AAAA >/dev/null; sleep 1; done &\n"
        world.sh("client", lookups + browse([f"10.0.0.{n}" for n in range(101, 107)], 25, 1.5))
        world.stop()
        finish(world, out, "benign_browsing", "pcap.zst")


@scenario
def benign_downloads(out):
    """one client downloads six large files at once, twice"""
    with World() as world:
        web_server(world)
        world.capture()
        parallel = " ".join(f"-o /dev/null http://10.0.0.1{n % 2}/large.txt?{n}" for n in range(6))
        world.sh("client", f"curl -s --parallel {parallel}; sleep 5; curl -s --parallel {parallel}")
        world.stop()
        finish(world, out, "benign_downloads", "pcap.zst")


@scenario
def benign_busy_server(out):
    """forty clients make a thousand short connections to one web server in half a minute"""
    with World() as world:
        web_server(world)
        world.capture()
        loops = "\n".join(f"(for i in $(seq 25); do curl -s -o /dev/null --interface 10.0.0.{n} "
                          f"http://10.0.0.10/page$((i % 3)).html; sleep 0.8; done) &" for n in range(101, 141))
        world.sh("client", f"{loops}\nwait\n")
        world.stop()
        finish(world, out, "benign_busy_server", "pcap.zst")


@scenario
def benign_ftp(out):
    """forty downloads over passive data connections: one client, many ports of one server, every handshake completes"""
    with World() as world:
        helper(world, "server", "ftp", "10.0.0.10")
        world.wait_for_port("server", "10.0.0.10", 21)
        world.capture()
        files = " ".join(f"-o /dev/null ftp://10.0.0.10/file{n}.txt" for n in range(40))
        world.sh("client", f"curl -s --interface 10.0.0.101 {files}")
        world.stop()
        finish(world, out, "benign_ftp", "pcap.zst")


@scenario
def benign_protocols(out):
    """a few clients speak TLS, HTTP, DNS over TCP, FTP, SMTP and SSH; some log-ins are refused"""
    with World() as world:
        web_server(world)
        tls_server(world)
        dns_server(world)
        for kind, port in (("ftp", 21), ("smtp", 25), ("ssh", 22)):
            helper(world, "server", kind, "10.0.0.11")
            world.wait_for_port("server", "10.0.0.11", port)
        world.capture()
        quiet = "curl -s -k -o /dev/null --interface 10.0.0.101"
        name = "--resolve web.lab.example:443:10.0.0.10 https://web.lab.example/page1.html"
        hello = "openssl s_client -connect 10.0.0.10:443 </dev/null >/dev/null 2>&1"
        for command in (f"{quiet} {name}", f"{quiet} --http1.1 --tls-max 1.2 {name}", f"{quiet} --no-alpn https://10.0.0.10/page2.html",
                        f"{hello} -tls1_2 -cipher ECDHE-RSA-AES128-GCM-SHA256", f"{hello} -alpn h2,http/1.1 -servername www.lab.example",
                        f"{quiet} --data-binary @nginx.conf http://10.0.0.10/page3.html http://10.0.0.10/none/here?a=1 -o /dev/null",
                        f"{quiet} -A 'Mozilla/5.0 (X11; Linux x86_64; rv:128.0) Gecko/20100101 Firefox/128.0' http://10.0.0.10/page4.html",
                        "dig +tcp +keepopen +short @10.0.0.53 -b 10.0.0.102 web.lab.example A web.lab.example AAAA none.lab.example TXT",
                        f"{quiet} ftp://somebody:wrong@10.0.0.11/file.txt", f"{quiet} ftp://somebody:right@10.0.0.11/file.txt",
                        f"{quiet} --mail-from a@lab.example --mail-rcpt b@lab.example -T nginx.conf smtp://10.0.0.11",
                        f"{quiet} --user somebody:wrong --mail-from a@lab.example --mail-rcpt b@lab.example -T nginx.conf smtp://10.0.0.11",
                        "ssh -b 10.0.0.103 -F none -o StrictHostKeyChecking=no somebody@10.0.0.11"):
            world.sh("client", command, check=False, timeout=20)
        world.stop()
        finish(world, out, "benign_protocols")


@scenario
def benign_dns(out):
    """three clients make five hundred look-ups at the local resolver, many for names that are not there"""
    with World() as world:
        dns_server(world)
        world.capture()
        world.sh("client", "for i in $(seq 500); do dig +short @10.0.0.53 -b 10.0.0.10$((1 + i % 3)) "
                           "host$i.$([ $((i % 4)) = 0 ] && echo missing || echo lab).example >/dev/null; sleep 0.02; done")
        world.stop()
        finish(world, out, "benign_dns")


@scenario
def benign_ntp(out):
    """two clients ask for the time every 4 s, each time from a new port"""
    with World() as world:
        helper(world, "server", "ntp", "10.0.0.11")
        time.sleep(1)
        world.capture()
        second = helper(world, "second", "ask-ntp", "10.0.0.11", "25", "4")
        helper(world, "attacker", "ask-ntp", "10.0.0.11", "25", "4").wait()
        second.wait()
        world.stop()
        finish(world, out, "benign_ntp")


@scenario
def benign_dead_server(out):
    """a client tries again and again to reach a server that is gone: SYNs without an answer"""
    with World() as world:
        world.capture()
        world.sh("client", "for i in $(seq 12); do curl -s --interface 10.0.0.101 --connect-timeout 8 http://10.9.9.9/; "
                           "sleep 1; done", check=False)
        world.stop()
        finish(world, out, "benign_dead_server")


@scenario
def benign_refusing_server(out):
    """a client asks a server whose service is down every 2 s, and is refused each time"""
    with World() as world:
        world.capture()
        world.sh("client", "for i in $(seq 45); do curl -s --interface 10.0.0.101 http://10.0.0.20:8080/; sleep 2; done",
                 check=False)
        world.stop()
        finish(world, out, "benign_refusing_server")


@scenario
def benign_ping(out):
    """a host pings two others once a second for a minute"""
    with World() as world:
        world.capture()
        world.sh("client", "ping -q -c 60 10.0.0.20 & ping -q -c 60 10.0.2.50 & wait")
        world.stop()
        finish(world, out, "benign_ping", "pcapng.gz")


@scenario
def benign_traceroute(out):
    """traceroute over four hops with UDP, ICMP and TCP probes, and one that never arrives"""
    with World() as world:
        target_services(world)
        world.capture()
        world.sh("client", "traceroute -n 10.0.5.5; traceroute -n -I 10.0.5.5; traceroute -n -T -p 80 10.0.5.5; "
                           "traceroute -n -m 8 -w 1 10.0.9.9", check=False)
        world.stop()
        finish(world, out, "benign_traceroute")


@scenario
def benign_midstream(out):
    """the middle of five long transfers whose beginnings were not captured"""
    with World() as world:
        helper(world, "server", "stream", "10.0.0.10", "8443")
        world.wait_for_port("server", "10.0.0.10", 8443)
        world.capture()
        world.sh("client", "for n in 1 2 3 4 5; do (curl -s -o /dev/null --http0.9 --max-time 30 "
                           "--interface 10.0.0.10$n http://10.0.0.10:8443/) & done; wait", check=False)
        world.stop()
        finish(world, out, "benign_midstream", "pcap.zst", lambda packets: rewrite.after(packets, 4))


@scenario
def benign_requests_only(out):
    """browsing seen from one side: what the clients sent"""
    one_sided(out, "benign_requests_only", rewrite.ipv4_not_from)


@scenario
def benign_replies_only(out):
    """browsing seen from one side: what the web server sent"""
    one_sided(out, "benign_replies_only", rewrite.ipv4_only_from)


def one_sided(out, name, keep):
    """Four clients read pages; only one direction is kept."""
    with World() as world:
        web_server(world)
        world.capture()
        world.sh("client", browse([f"10.0.0.{n}" for n in range(101, 105)], 15, 1))
        world.stop()
        finish(world, out, name, "pcap.zst", lambda packets: keep(packets, "10.0.0.10"))


@scenario
def benign_ipv6(out):
    """neighbour discovery and browsing over IPv6"""
    with World(ipv6=True) as world:
        web_server(world)
        time.sleep(2)
        world.capture()
        world.sh("client", browse(["fd00:0:0:1::101", "fd00:0:0:1::102"], 15, 1, "http://[fd00:0:0:1::10]"))
        world.stop()
        finish(world, out, "benign_ipv6", "pcap.zst")


@scenario
def demo(out):
    """four minutes of browsing and look-ups; at 60 s a port scan, at 120 s a sweep, at 180 s a SYN flood"""
    with World() as world:
        web_server(world)
        dns_server(world)
        target_services(world)
        world.capture()
        began = time.monotonic()
        world.start("client", "sh", "-c", browse([f"10.0.0.{n}" for n in range(101, 107)], 60, 3))
        world.start("client", "sh", "-c", "for i in $(seq 110); do dig +short @10.0.0.53 -b 10.0.0.10$((1 + i % 6)) "
                    "host$((i % 30)).lab.example; sleep 2; done")
        for at, host, command in [(60, "attacker", "nmap -n -sS -Pn --top-ports 500 10.0.0.20"),
                                  (120, "second", "nmap -n -sS -Pn -p 445 10.0.2.0/24"),
                                  (180, "attacker", "hping3 -q -S -p 80 --rand-source -i u4000 -c 3000 10.0.0.10")]:
            time.sleep(max(0.0, began + at - time.monotonic()))
            world.sh(host, command, check=False)
        time.sleep(max(0.0, began + 235 - time.monotonic()))
        world.stop()
        finish(world, out, "demo", "pcap.zst", rewrite.spoofed_to_private)


if __name__ == "__main__":
    SCENARIOS[sys.argv[1]](sys.argv[2])
