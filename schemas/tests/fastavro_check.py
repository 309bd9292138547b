"""Reads values that Weir encoded, compares every field, and writes them back with fastavro.

usage: fastavro_check.py SCHEMA_DIR INPUT OUTPUT

INPUT has one JSON object a line: {"schema": NAME, "hex": VALUE, "expected": FIELDS}. Octets in FIELDS stand as
{"octets": HEX}, doubles as {"double": HEX of the big-endian IEEE 754 bits}. OUTPUT gets one line of hex a value.
"""

import io
import json
import pathlib
import struct
import sys

try:
    import fastavro
    from fastavro.schema import fingerprint, to_parsing_canonical_form
except ImportError:
    sys.exit("environment: the Python module fastavro is missing; run: pip install fastavro")


def plain(value):
    """The value as the expected fields spell it."""
    if isinstance(value, bytes):
        return {"octets": value.hex()}
    if isinstance(value, float):
        return {"double": struct.pack(">d", value).hex()}
    if isinstance(value, dict):
        return {key: plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    return value


def main(schema_dir, input_path, output_path):
    schemas, headers = {}, {}
    for path in pathlib.Path(schema_dir).glob("*.avsc"):
        schema = json.loads(path.read_text())
        digest = fingerprint(to_parsing_canonical_form(schema), "CRC-64-AVRO")
        schemas[path.stem] = fastavro.parse_schema(schema)
        headers[path.stem] = b"\xc3\x01" + bytes.fromhex(digest)
    with open(input_path) as lines, open(output_path, "w") as output:
        for number, line in enumerate(lines, 1):
            case = json.loads(line)
            name, data = case["schema"], bytes.fromhex(case["hex"])
            header = headers[name]
            if not data.startswith(header):
                sys.exit(f"line {number}: {name} begins with {data[:10].hex()}, not with {header.hex()}")
            body = io.BytesIO(data[len(header):])
            value = fastavro.schemaless_reader(body, schemas[name], None)
            if body.read():
                sys.exit(f"line {number}: {name}: bytes are left over")
            if plain(value) != case["expected"]:
                sys.exit(f"line {number}: {name}: read {plain(value)}, expected {case['expected']}")
            back = io.BytesIO()
            fastavro.schemaless_writer(back, schemas[name], value)
            output.write((header + back.getvalue()).hex() + "\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
