#!/usr/bin/env python3
"""The house's own rules for what is in deploy/: what a linter cannot know, because it compares files with each other.

usage: rules.py ROOT COMPOSE-MODEL.json

ROOT is the repository, COMPOSE-MODEL.json is deploy/compose.yaml as Compose's own parser understands it (anchors merged,
variables filled in). Prints one line for each broken rule. Exit status: 0 none, 1 some.
"""
import fnmatch
import json
import os
import re
import subprocess
import sys

OPERATIONS = {
    "topic": {"Read", "Write", "Create", "Delete", "Alter", "Describe", "DescribeConfigs", "AlterConfigs"},
    "group": {"Read", "Describe", "Delete"},
    "transactional_id": {"Write", "Describe"},
    "cluster": {"Create", "ClusterAction", "Describe", "DescribeConfigs", "AlterConfigs", "Alter", "IdempotentWrite"},
}
SECRET = re.compile(r"PASSWORD|SECRET|TOKEN|CREDENTIAL|PRIVATE_?KEY", re.IGNORECASE)
# What librdkafka's configure fails without; a slim Rust image has a C compiler, and none for C++.
BUILD_PACKAGES = {"g++", "make", "pkg-config", "libssl-dev", "zlib1g-dev"}
# Principals of others: their groups are named nowhere in our sources.
FOREIGN = {"User:weir-siem"}


def text(root, path):
    with open(os.path.join(root, path), encoding="utf-8") as file:
        return file.read()


def first(pattern, content, what):
    found = re.search(pattern, content, re.MULTILINE)
    if not found:
        raise SystemExit(f"rules.py: no {what} found; mend this rule")
    return found.group(1)


def workspace_version(root):
    return first(r'^version = "([^"]+)"', text(root, "Cargo.toml"), "workspace version")


def image_user(root):
    return first(r"^USER (\S+)", text(root, "deploy/Dockerfile"), "USER in the Dockerfile")


def dockerfile(root, _model):
    content = text(root, "deploy/Dockerfile")
    lines = [line for line in content.splitlines() if not line.lstrip().startswith("#")]
    code = "\n".join(lines)
    toolchain = first(r'^channel = "([^"]+)"', text(root, "rust-toolchain.toml"), "channel in rust-toolchain.toml")
    if f"ARG RUST_VERSION={toolchain}\n" not in code:
        yield f"Dockerfile: RUST_VERSION is not {toolchain}, as in rust-toolchain.toml"
    if f"ARG VERSION={workspace_version(root)}\n" not in code:
        yield f"Dockerfile: VERSION is not {workspace_version(root)}, as in Cargo.toml"
    users = re.findall(r"^USER (\S+)", code, re.MULTILINE)
    if len(users) != 1 or not re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[0]):
        yield f"Dockerfile: USER must stand once, as a number that is not 0, not {users}"
    if 'ENTRYPOINT ["weir"]' not in lines:
        yield 'Dockerfile: ENTRYPOINT is not ["weir"]'
    for package in sorted(BUILD_PACKAGES - set(code.replace("\\\n", " ").split())):
        yield f"Dockerfile: the builder lacks {package}"
    for line in lines:
        if re.match(r"\s*(ARG|ENV)\s", line) and SECRET.search(line):
            yield f"Dockerfile: a secret in an image can be read by everybody who has it: {line.strip()}"
        if re.match(r"ADD\s", line):
            yield f"Dockerfile: COPY instead of ADD: {line.strip()}"
    for command in re.findall(r"cargo (?:chef cook|build|install)[^\n]*", code):
        if "--locked" not in command:
            yield f"Dockerfile: not what Cargo.lock says: {command}"


def ignored(path, patterns):
    """Whether .dockerignore leaves a path out: the last pattern that matches it, or a folder above it, decides."""
    out = False
    parts = path.split("/")
    above = ["/".join(parts[: length + 1]) for length in range(len(parts))]
    for pattern in patterns:
        keeps = pattern.startswith("!")
        if any(matches(candidate, pattern.lstrip("!")) for candidate in above):
            out = not keeps
    return out


def matches(path, pattern):
    if pattern.startswith("**/"):
        rest = pattern[3:]
        return any(matches(path.split("/", skipped)[-1], rest) for skipped in range(path.count("/") + 1))
    parts, wanted = path.split("/"), pattern.split("/")
    return len(parts) == len(wanted) and all(map(fnmatch.fnmatchcase, parts, wanted))


def context(root, _model):
    lines = [line.strip() for line in text(root, ".dockerignore").splitlines()]
    patterns = [line for line in lines if line and not line.startswith("#")]
    needed = {"Cargo.toml", "Cargo.lock", "LICENSE", "tests/Cargo.toml"}
    for folder, folders, files in os.walk(root):
        folders[:] = [name for name in folders if name not in ("target", ".git", "node_modules")]
        for name in files:
            path = os.path.relpath(os.path.join(folder, name), root)
            if name == "Cargo.toml" and path.startswith(("schemas/", "services/")):
                needed.add(path)
            if name.endswith(".rs") and path.startswith(("schemas/src/", "services/")):
                included = re.findall(r'include_(?:bytes|str)!\("([^"]+)"\)', text(root, path))
                needed.update(os.path.normpath(os.path.join(os.path.dirname(path), target)) for target in included)
    for path in sorted(needed):
        if ignored(path, patterns):
            yield f".dockerignore: the build needs {path}"
    for path in [".git/config", ".env", "weir.toml", "server.pem", "target/release/weir", "services/bus/target/debug/x",
                 "tests/captures/scan_syn.pcap.gz", "deploy/compose.yaml", "README.md"]:
        if not ignored(path, patterns):
            yield f".dockerignore: {path} would get into the context"


def compose(root, model):
    services, networks = model["services"], model.get("networks", {})
    version, user = workspace_version(root), image_user(root)
    kafka = first(r"<kafka\.version>([^<]+)<", text(root, "tests/kafka/pom.xml"), "Kafka's version in tests/kafka/pom.xml")
    for name, service in services.items():
        ours = service["image"].startswith("weir:")
        yield from every_service(name, service, services, networks)
        if ours:
            yield from our_service(name, service, networks, version, user)
        elif service["image"] != f"apache/kafka:{kafka}":
            yield f"{name}: {service['image']} is not the broker that tests run with (apache/kafka:{kafka})"
    owned = text(root, "deploy/Dockerfile")
    for name, service in services.items():
        for volume in service.get("volumes") or []:
            is_ours = service["image"].startswith("weir:") and volume["type"] == "volume"
            if is_ours and f"install --directory --owner={user.split(':')[0]}" not in owned:
                yield f"{name}: the image gives {volume['target']} no owner"
            if volume["type"] == "bind" and not os.path.isfile(volume["source"]):
                yield f"{name}: {volume['source']} does not exist; Docker would make a folder of it"
    instances = [service.get("environment", {}).get("WEIR__DETECTOR__INSTANCE") for service in services.values()
                 if service.get("command", [None])[0] == "detector"]
    if len(instances) < 2 or len(set(instances)) != len(instances) or None in instances:
        yield f"detectors need an instance each, and there are to be two at least: {instances}"


def every_service(name, service, services, networks):
    if ":" not in service["image"] or service["image"].endswith(":latest"):
        yield f"{name}: {service['image']} is not one version"
    if service.get("cap_drop") != ["ALL"] or service.get("cap_add") or service.get("privileged"):
        yield f"{name}: needs no capability; cap_drop: [ALL]"
    if "no-new-privileges:true" not in service.get("security_opt", []):
        yield f"{name}: security_opt lacks no-new-privileges:true"
    for limit in ("mem_limit", "cpus", "pids_limit"):
        if not service.get(limit):
            yield f"{name}: no {limit}"
    for network in service.get("networks") or {}:
        if network not in networks:
            yield f"{name}: {network} is no network"
    if "restart" not in service:
        yield f"{name}: no restart policy"
    for port in service.get("ports") or []:
        if port.get("host_ip") != "127.0.0.1":
            yield f"{name}: port {port['target']} is open to other machines"
    for key in service.get("environment") or {}:
        if SECRET.search(key) and not key.endswith("_FILE"):
            yield f"{name}: {key} belongs in a file (…_FILE)"
    for other, wish in (service.get("depends_on") or {}).items():
        if other not in services:
            yield f"{name}: waits for {other}, which is no service"
        elif wish["condition"] == "service_healthy" and not services[other].get("healthcheck"):
            yield f"{name}: waits for {other} to be healthy, which nothing checks"


def our_service(name, service, networks, version, user):
    if service["image"] != f"weir:{version}":
        yield f"{name}: {service['image']} is not weir:{version}"
    if service.get("user") != user:
        yield f"{name}: user {service.get('user')} is not the image's {user}"
    if not service.get("read_only"):
        yield f"{name}: read_only is not set"
    if service.get("ports"):
        yield f"{name}: publishes a port"
    is_sensor = (service.get("command") or [""])[0] == "sensor"
    if is_sensor and not any(mount.startswith("/tmp") for mount in service.get("tmpfs") or []):
        yield f"{name}: has no tmpfs at /tmp, where captures are unpacked"
    for network in service.get("networks") or {"default": None}:
        if not (networks.get(network) or {}).get("internal"):
            yield f"{name}: the network {network} leads out"
    for volume in service.get("volumes") or []:
        if volume["type"] == "bind" and not volume.get("read_only"):
            yield f"{name}: {volume['target']} is writable on the host"


def permissions(root, _model):
    rows = [line.split("\t") for line in text(root, "deploy/kafka/acls.tsv").splitlines()]
    if rows[0] != ["principal", "operation", "resource_type", "name", "pattern_type", "for"]:
        yield f"acls.tsv: unknown columns {rows[0]}"
        return
    suffixes = set(re.findall(r'^const \w+: &str = "([a-z.]+\.v\d+)";', text(root, "services/bus/src/topic.rs"), re.MULTILINE))
    sources = "".join(text(folder, name) for folder, _, names in os.walk(os.path.join(root, "services"))
                      for name in names if name.endswith(".rs"))
    seen = set()
    for number, row in enumerate(rows[1:], 2):
        where = f"acls.tsv:{number}"
        if len(row) != 6 or not all(row):
            yield f"{where}: not six columns"
            continue
        principal, operation, kind, name, pattern, _why = row
        if not re.fullmatch(r"User:[a-z-]+", principal):
            yield f"{where}: {principal} is no principal"
        if operation not in OPERATIONS.get(kind, ()):
            yield f"{where}: there is no {operation} on {kind}"
        if pattern not in ("literal", "prefixed"):
            yield f"{where}: pattern type {pattern}"
        if kind == "topic" and (name != "weir." if pattern == "prefixed" else name.removeprefix("weir.") not in suffixes):
            yield f"{where}: {name} is no topic of services/bus/src/topic.rs"
        # Sources make a group's name of the lane, `weir` here, and the rest.
        if kind == "group" and principal not in FOREIGN and name.removeprefix("weir-") not in sources:
            yield f"{where}: no source names the group {name}"
        if tuple(row[:5]) in seen:
            yield f"{where}: twice"
        seen.add(tuple(row[:5]))


def documents(root, _model):
    command = [os.path.join(root, "deploy/kafka/apply-acls"), "--print"]
    printed = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    if f"```\n{printed}```" not in text(root, "deploy/docs/75-security.md"):
        yield "75-security.md does not show what `deploy/kafka/apply-acls --print` prints"


def main():
    if len(sys.argv) != 3:
        raise SystemExit(__doc__)
    root = os.path.abspath(sys.argv[1])
    with open(sys.argv[2], encoding="utf-8") as file:
        model = json.load(file)
    broken = [fault for rule in (dockerfile, context, compose, permissions, documents) for fault in rule(root, model)]
    print("\n".join(broken), end="\n" if broken else "")
    return 1 if broken else 0


if __name__ == "__main__":
    sys.exit(main())
