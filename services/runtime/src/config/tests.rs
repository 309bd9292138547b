//! Tests of the configuration as a whole: layers, places of errors, and what is printed reads back.

use std::fs;
use std::time::Duration;

use proptest::prelude::*;
use tempfile::TempDir;

use super::*;

/// Sources with a file of this text.
fn file(text: &str) -> (TempDir, Sources) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("weir.toml");
    fs::write(&path, text).unwrap();
    (directory, Sources { file: Some(path), ..Sources::default() })
}

fn variable(name: &str, value: &str) -> (OsString, OsString) {
    (name.into(), value.into())
}

/// The error of a file of this text, without the directory.
fn error_of(text: &str) -> String {
    let (directory, sources) = file(text);
    let error = load(&sources).unwrap_err().to_string();
    error.replace(&format!("{}/", directory.path().display()), "")
}

#[test]
fn nothing_set_is_the_default() {
    let loaded = load(&Sources::default()).unwrap();
    assert_eq!(loaded.config, Config::default());
    assert_eq!(loaded.config.sensor.unanswered_timeout, Duration::from_secs(3));
    assert_eq!(loaded.config.engine.partition_memory, ByteSize(64 << 20));
    assert_eq!((loaded.set_count(), loaded.origin("log.level")), (0, Origin::Default));
}

#[test]
fn flag_over_environment_over_file_over_default() {
    let (_directory, mut sources) =
        file("[log]\nlevel = \"error\"\n[site]\nname = \"lab\"\n[engine]\nprofile = \"x\"\n");
    sources.environment = vec![
        variable("WEIR__SITE__NAME", "office"),
        variable("WEIR__ENGINE__PROFILE", "y"),
        variable("WEIR_CONFIG", "ignored"),
        variable("PATH", "ignored"),
    ];
    sources.flags = vec![Flag::set("engine.profile", "z"), Flag::set("engine.profile", "classic")];
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.config.log.level, LogLevel::Error);
    assert_eq!(loaded.config.site.name, "office");
    assert_eq!(loaded.config.engine.profile, "classic");
    let path = sources.file.unwrap();
    assert_eq!(loaded.origin("log.level"), Origin::File { path, line: 2, column: 1 });
    assert_eq!(loaded.origin("site.name").to_string(), "environment WEIR__SITE__NAME");
    assert_eq!(loaded.origin("engine.profile").to_string(), "--set engine.profile");
}

#[test]
fn errors_name_place_key_fault_and_remedy() {
    let cases = [
        ("[engine]\nprofle = \"x\"", "weir.toml:2:1: unknown key `engine.profle`; did you mean `engine.profile`?"),
        ("[sensor]\n  profile = \"x\"", "weir.toml:2:3: unknown key `sensor.profile`; did you mean `engine.profile`?"),
        ("[engin]\nprofile = \"x\"", "weir.toml:1:2: unknown section `engin`; did you mean `engine`?"),
        ("[engin]", "weir.toml:1:2: unknown section `engin`; did you mean `engine`?"),
        ("[log]\nzzzzzz = 1", "weir.toml:2:1: unknown key `log.zzzzzz`; `weir config show` prints every key"),
        ("log = 3", "weir.toml:1:7: log: is a section; write [log] and its keys below it"),
        (
            "[engine]\nidle_after = \"60x\"",
            "weir.toml:2:14: engine.idle_after: \"60x\" is no duration; write a whole number and a unit \
             (us, ms, s, m, h, d) in quotes, as in \"60s\"",
        ),
        (
            "[engine]\npartition_memory = 64",
            "weir.toml:2:20: engine.partition_memory: 64 is no size; write a whole number and a unit \
             (B, kB, MB, GB, KiB, MiB, GiB) in quotes, as in \"64MiB\"",
        ),
        (
            "[log]\nlevel = \"loud\"",
            "weir.toml:2:9: log.level: \"loud\" is no choice; write one of error, warn, info, debug, trace",
        ),
        (
            "[site]\nnetworks = [\"10.0.0.1/8\"]",
            "weir.toml:2:12: site.networks: \"10.0.0.1/8\" is no network; write an address and a prefix length, \
             host bits zero, as in \"10.0.0.0/8\" or \"fc00::/7\"",
        ),
        (
            "[detector]\nshards = 0",
            "weir.toml:2:10: detector.shards: 0 is no whole number in range; write one from 1 to 4294967295",
        ),
        (
            "[sensor]\nmark_interval = \"11s\"",
            "weir.toml:2:17: sensor.mark_interval: must be above 0s and at most 10s, the length of a pane",
        ),
        (
            "[kafka.properties]\nacks = \"1\"",
            "weir.toml:2:8: kafka.properties.acks: `acks` is set by Weir itself; remove it",
        ),
        (
            "[profile.default]\nmin_ports = 3",
            "weir.toml:2:13: profile.default.min_ports: `default.min_ports` is no threshold; \
             write profile.<name>.<detector>.<key>",
        ),
        (
            "[site]\nname = \"a\"\nname_file = \"b\"",
            "weir.toml:3:13: site.name: is given twice, here and as `site.name`; keep one of them",
        ),
        ("[kafka]\nbootstrap = []", "weir.toml:2:13: kafka.bootstrap: names no broker; write [\"host:9092\"]"),
        (
            "[kafka]\nbootstrap = [\"a:9092\", \"b\"]",
            "weir.toml:2:13: kafka.bootstrap: entry 2 is no broker; write its host and port, as in \"kafka-0:9092\"",
        ),
        (
            "[results]\ninstance = \"results 1\"",
            "weir.toml:2:12: results.instance: may hold letters, digits, dot, underscore and hyphen only, \
             200 of them at most",
        ),
        (
            "[telemetry]\notlp_endpoint = \"collector:4318\"",
            "weir.toml:2:17: telemetry.otlp_endpoint: is no endpoint; write it as http://collector:4318",
        ),
        (
            "[kafka.properties]\n\"group.instance.id\" = \"x\"",
            "weir.toml:2:23: kafka.properties.group.instance.id: `group.instance.id` is set by Weir itself; remove it",
        ),
        (
            "[admin]\nlisten = \"9464\"",
            "weir.toml:2:10: admin.listen: \"9464\" is no address and port; write both in quotes, \
             as in \"127.0.0.1:9464\" or \"[::1]:9464\"",
        ),
        ("[[results.sinks]]\nkind = \"file\"", "weir.toml:1:1: results.sinks: a sink needs `id`; add it"),
        (
            "[log]\nlevel = 2026-01-01",
            "weir.toml:2:9: log.level: 2026-01-01 is a date; no key takes one: write text in quotes",
        ),
    ];
    for (text, expected) in cases {
        assert_eq!(error_of(text), expected, "{text}");
    }
}

#[test]
fn what_is_no_toml_is_one_line_with_its_place() {
    for (text, place) in
        [("[log\n", "weir.toml:1:"), ("[log]\nlevel = \n", "weir.toml:2:"), ("a = 1\na = 2", "weir.toml:2:")]
    {
        let error = error_of(text);
        assert!(error.starts_with(place) && error.lines().count() == 1, "{error}");
    }
}

#[test]
fn errors_of_flags_and_environment_name_them() {
    let flags = Sources { flags: vec![Flag::set("sensor.idle_timeout", "soon")], ..Sources::default() };
    let error = load(&flags).unwrap_err().to_string();
    assert!(error.starts_with("--set sensor.idle_timeout: sensor.idle_timeout: \"soon\" is no duration"), "{error}");
    let environment = Sources { environment: vec![variable("WEIR__LOG__LEVLE", "info")], ..Sources::default() };
    let error = load(&environment).unwrap_err().to_string();
    assert_eq!(error, "environment WEIR__LOG__LEVLE: unknown key `log.levle`; did you mean `log.level`?");
}

#[test]
fn a_missing_file_is_named() {
    let sources = Sources { file: Some("/nowhere/weir.toml".into()), ..Sources::default() };
    let error = load(&sources).unwrap_err().to_string();
    assert!(error.starts_with("/nowhere/weir.toml: cannot read the configuration: No such file"), "{error}");
    let sources = Sources { file: Some("/".into()), ..Sources::default() };
    assert!(matches!(load(&sources), Err(ConfigError::Unreadable { .. })));
}

#[test]
fn any_value_can_come_from_a_file_and_secrets_are_not_shown() {
    let (directory, mut sources) = file("[site]\nname_file = \"NAME\"\n");
    let path = |name: &str| directory.path().join(name).display().to_string();
    fs::write(path("NAME"), "  hidden name \n").unwrap();
    let seed = "a5".repeat(16);
    fs::write(path("SEED"), format!("{seed}\n")).unwrap();
    fs::write(path("PASSWORD"), "s3cr3t\n").unwrap();
    let text = format!("[site]\nname_file = \"{}\"\n", path("NAME"));
    fs::write(directory.path().join("weir.toml"), text).unwrap();
    sources.environment = vec![
        variable("WEIR__ENGINE__HASH_SEED_FILE", &path("SEED")),
        variable("WEIR__KAFKA__PROPERTIES__SASL_PASSWORD_FILE", &path("PASSWORD")),
        variable("WEIR__KAFKA__PROPERTIES__SSL_CA_LOCATION", "/etc/ca.pem"),
        variable("WEIR__SENSOR__IDLE_TIMEOUT_FILE", &path("TIMEOUT")),
    ];
    fs::write(path("TIMEOUT"), "90s\n").unwrap();
    let loaded = load(&sources).unwrap();
    assert_eq!(loaded.config.site.name, "hidden name");
    assert_eq!(loaded.config.engine.hash_seed, Some(SecretSeed([0xa5; 16])));
    assert_eq!(loaded.config.kafka.properties.0["sasl.password"], "s3cr3t");
    assert_eq!(loaded.config.kafka.properties.0["ssl.ca.location"], "/etc/ca.pem");
    assert_eq!(loaded.config.sensor.idle_timeout, Duration::from_secs(90));
    let shown = loaded.show(true);
    for secret in [&*seed, "165", "s3cr3t"] {
        assert!(!shown.contains(secret) && !format!("{:?}", loaded.config).contains(secret), "{secret}: {shown}");
    }
    assert!(shown.contains("# hash_seed is set, and not shown  # environment WEIR__ENGINE__HASH_SEED_FILE"), "{shown}");

    sources.environment = vec![variable("WEIR__SITE__NAME_FILE", "/nowhere")];
    let error = load(&sources).unwrap_err().to_string();
    assert!(
        error.starts_with("environment WEIR__SITE__NAME_FILE: site.name: cannot read the value from /nowhere"),
        "{error}"
    );
}

#[test]
fn lists_tables_sinks_and_thresholds_are_read() {
    let (_directory, mut sources) = file(
        "kafka.properties.\"socket.timeout.ms\" = 5000\n\
         [profile.default.port_scan]\nmin_ports = 30\nshare = 0.5\n\
         [[results.sinks]]\nkind = \"file\"\nid = \"out\"\npath = \"/tmp/x\"\nrequired = true\n",
    );
    sources.flags = vec![
        Flag::set("kafka.bootstrap", "a:1, b:2"),
        Flag::set("profile.default.port_scan.min_ports", "40"),
        Flag::set("detector.stages", "site"),
    ];
    let config = load(&sources).unwrap().config;
    assert_eq!(config.kafka.bootstrap, ["a:1", "b:2"]);
    assert_eq!(config.kafka.properties.0["socket.timeout.ms"], "5000");
    assert_eq!(config.detector.stages, [Stage::Site]);
    let thresholds = &config.profile.0["default"]["port_scan"];
    assert_eq!((thresholds["min_ports"], thresholds["share"]), (40.0, 0.5));
    let sink = &config.results.sinks[0];
    assert_eq!((sink.kind.as_str(), sink.id.as_str(), sink.required), ("file", "out", true));
    assert_eq!(sink.options["path"], Raw::String("/tmp/x".to_owned()));
    let shown = load(&sources).unwrap().show(true);
    assert!(shown.contains("\"min_ports\" = 40.0  # --set profile.default.port_scan.min_ports\n"), "{shown}");
    let (_directory, shown) = file(&shown);
    assert_eq!(load(&shown).unwrap().config, config);
}

#[test]
fn the_schema_knows_every_key_and_the_reference_documents_it() {
    let schema: serde_json::Value = serde_json::from_str(&json_schema()).unwrap();
    let reference = reference();
    for name in Config::key_names() {
        let (section, key) = name.split_once('.').unwrap();
        let description = schema["properties"][section]["properties"][key]["description"].as_str();
        assert!(description.is_some_and(|text| text.len() > 10), "{name}");
        assert!(reference.contains(&format!("| `{key}` |")), "{name}");
    }
}

proptest! {
    #[test]
    fn what_is_shown_reads_back(name in "[^\\p{C}]{1,12}", control in any::<char>(), idle in 1_u64..1 << 40, follow: bool) {
        let (_directory, mut sources) = file("");
        let name = format!("{name}{control}.");
        sources.flags = vec![
            Flag::set("site.name", &name),
            Flag::set("sensor.idle_timeout", &format!("{idle}us")),
            Flag::set("sensor.follow", &follow.to_string()),
        ];
        let loaded = load(&sources).unwrap();
        prop_assert_eq!(&loaded.config.site.name, &name);
        let (_directory, shown) = file(&loaded.show(true));
        prop_assert_eq!(load(&shown).unwrap().config, loaded.config);
    }

    #[test]
    fn no_file_makes_it_panic(text in "[\\[\\]a-z.=\"'\n0-9 #{},_-]{0,80}") {
        let (_directory, sources) = file(&text);
        if let Err(error) = load(&sources) {
            prop_assert_eq!(error.to_string().lines().count(), 1, "{}", error);
        }
    }
}

#[test]
fn a_bad_seed_is_not_repeated() {
    for seed in [
        "",
        "s3cr3t",
        "0123456789abcdef0123456789abcde",
        "0123456789abcdef0123456789abcdefa",
        "+123456789abcdef0123456789abcdef",
    ] {
        let error = load(&with_flag("engine.hash_seed", seed)).unwrap_err().to_string();
        assert_eq!(
            error,
            "--set engine.hash_seed: engine.hash_seed: must be 32 hexadecimal digits in quotes (16 bytes); make them with \
             `openssl rand -hex 16`"
        );
    }
    let loaded = load(&with_flag("engine.hash_seed", "000102030405060708090A0b0c0d0e0f")).unwrap();
    let expected: Vec<u8> = (0..16).collect();
    assert_eq!(loaded.config.engine.hash_seed.unwrap().0.to_vec(), expected);
}

fn with_flag(key: &str, value: &str) -> Sources {
    Sources { flags: vec![Flag::set(key, value)], ..Sources::default() }
}

#[test]
fn what_a_file_holds_is_never_shown() {
    let (directory, sources) = file("");
    let secret = directory.path().join("SECRET");
    fs::write(&secret, "hunter2\n").unwrap();
    let secret = secret.display();
    let text = format!(
        "[kafka.properties]\n\"sasl.password_file\" = \"{secret}\"\n\"sasl.username_file\" = \"{secret}\"\n\
         \"ssl.key.pem\" = \"hunter2\"\n\"sasl.mechanism\" = \"SCRAM-SHA-512\"\n\
         [site]\nname_file = \"{secret}\"\n\
         [[results.sinks]]\nkind = \"webhook\"\nid = \"pager\"\nurl_file = \"{secret}\"\npath = \"/shown\"\n"
    );
    fs::write(sources.file.as_ref().unwrap(), text).unwrap();
    let loaded = load(&sources).unwrap();
    let properties = &loaded.config.kafka.properties.0;
    assert_eq!(["sasl.password", "sasl.username"].map(|name| properties[name].as_str()), ["hunter2"; 2]);
    assert_eq!(loaded.config.results.sinks[0].options["url"].text(), Some("hunter2"));
    assert_eq!(loaded.config.site.name, "hunter2");
    for with_origin in [false, true] {
        let shown = loaded.show(with_origin);
        assert!(!shown.contains("hunter2"), "{shown}");
        assert!(shown.contains("\"sasl.mechanism\" = \"SCRAM-SHA-512\"") && shown.contains("/shown"), "{shown}");
    }
    assert!(!format!("{:?}{:?}", loaded.config.kafka, loaded.config.results).contains("hunter2"));
    // Not even where a key was given the wrong file.
    for key in [
        "sensor.idle_timeout",
        "sensor.follow",
        "detector.shards",
        "detector.stages",
        "kafka.bootstrap",
        "admin.listen",
        "site.networks",
        "engine.hash_seed",
        "profile.default.port_scan.ports_60s",
    ] {
        let error = load(&with_flag(&format!("{key}_file"), &secret.to_string())).unwrap_err().to_string();
        assert!(!error.contains("hunter2") && error.contains(key), "{error}");
    }
}

#[test]
fn brokers_of_every_form_are_taken() {
    let load_with = |brokers: &str| load(&with_flag("kafka.bootstrap", brokers));
    for good in ["localhost:9092", "10.0.0.1:9092,kafka-0.kafka:9093", "[::1]:9092"] {
        assert!(load_with(good).is_ok(), "{good}");
    }
    for bad in ["localhost", "localhost:", ":9092", "::1:9092", "localhost:0", "localhost:70000", "PLAINTEXT://a:9092"]
    {
        assert!(load_with(bad).is_err(), "{bad}");
    }
}
