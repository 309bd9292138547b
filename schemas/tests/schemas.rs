//! The schema files themselves: documented, named and fingerprinted as the design says.
#![allow(clippy::unwrap_used)]

use apache_avro::Schema;
use apache_avro::rabin::Rabin;
use serde_json::Value;
use weir_schemas::schema;

/// Calls `visit` for every object inside a schema.
fn walk(value: &Value, visit: &mut impl FnMut(&serde_json::Map<String, Value>)) {
    match value {
        Value::Object(object) => {
            visit(object);
            object.values().for_each(|inner| walk(inner, visit));
        }
        Value::Array(items) => items.iter().for_each(|inner| walk(inner, visit)),
        _ => {}
    }
}

fn is_nullable(field_type: &Value) -> bool {
    field_type.as_array().is_some_and(|branches| branches[0] == "null")
}

#[test]
fn every_field_is_documented_with_its_unit_or_says_that_it_has_none() {
    for schema in schema::ALL {
        let mut fields = 0;
        walk(&serde_json::from_str(schema.text).unwrap(), &mut |object| {
            let Some(listed) = object.get("fields").and_then(Value::as_array) else {
                return;
            };
            assert!(object["doc"].as_str().is_some_and(|doc| !doc.is_empty()), "{object:?}");
            for field in listed {
                let doc = field["doc"].as_str().unwrap_or_default();
                let says = ["Unit: ", "Unit of a sample: ", "No unit."].iter().any(|unit| doc.contains(unit));
                assert!(says, "{} {}: {doc:?} names no unit", schema.name, field["name"]);
                fields += 1;
            }
        });
        assert!(fields >= 5, "{} has {fields} fields", schema.name);
    }
}

#[test]
fn no_enums_versioned_names_and_defaults_where_a_block_may_be_absent() {
    for schema in schema::ALL {
        let root: Value = serde_json::from_str(schema.text).unwrap();
        let full_name = format!("{}.{}", root["namespace"].as_str().unwrap(), root["name"].as_str().unwrap());
        assert_eq!(full_name, schema.name);
        walk(&root, &mut |object| {
            assert_ne!(object.get("type"), Some(&Value::from("enum")));
            if object.get("type").is_some_and(|kind| kind == "record" || kind == "fixed") {
                assert!(object["name"].as_str().unwrap().ends_with("V1"), "{}", object["name"]);
            }
            if object.contains_key("doc") && object.get("type").is_some_and(is_nullable) {
                assert_eq!(object.get("default"), Some(&Value::Null), "{}", object["name"]);
            }
        });
    }
}

#[test]
fn fingerprints_are_those_of_the_canonical_forms() {
    for schema in schema::ALL {
        let parsed = Schema::parse_str(schema.text).unwrap();
        // Rabin is CRC-64-AVRO, printed in little-endian order.
        let fingerprint = parsed.fingerprint::<Rabin>();
        let bytes: [u8; 8] = fingerprint.bytes.try_into().unwrap();
        let computed = u64::from_le_bytes(bytes);
        assert_eq!(
            computed, schema.fingerprint,
            "{}: the schema changed; its fingerprint is now {computed:#018x}. Consumers need the old one still",
            schema.name
        );
    }
}

#[test]
fn an_anomaly_is_a_finding_under_another_name() {
    let bare = |schema: schema::Schema| {
        let mut root: Value = serde_json::from_str(schema.text).unwrap();
        root.as_object_mut().unwrap().retain(|key, _| key != "name" && key != "doc");
        root
    };
    assert_eq!(bare(schema::FINDING), bare(schema::ANOMALY));
}
