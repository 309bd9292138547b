//! The documents say what the program does: ids, defaults, keys, flags and links are held against it.

use std::collections::BTreeMap;
use std::path::PathBuf;

use serde_json::Value;

use crate::run::{capture, repository, weir};

fn document(path: &str) -> String {
    let path = repository().join(path);
    std::fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// README, change log and every page for operators.
fn all() -> BTreeMap<PathBuf, String> {
    let pages = std::fs::read_dir(repository().join("deploy/docs")).unwrap().map(|entry| entry.unwrap().path());
    let others = ["README.md", "CHANGELOG.md"].map(|name| repository().join(name));
    let markdown = pages.chain(others).filter(|path| path.extension().is_some_and(|kind| kind == "md"));
    markdown.map(|path| (path.clone(), std::fs::read_to_string(path).unwrap())).collect()
}

#[test]
fn the_detectors_page_has_the_catalogue_as_it_is() {
    let page = document("deploy/docs/20-detectors.md");
    let list: Value = serde_json::from_str(&weir(&["detectors", "list", "--format", "json"]).output).unwrap();
    let ids: Vec<&str> = list.as_array().unwrap().iter().map(|entry| entry["id"].as_str().unwrap()).collect();
    let sections: Vec<&str> = page.lines().filter_map(|line| line.strip_prefix("## ")).collect();
    assert_eq!(sections, ids);
    for entry in list.as_array().unwrap() {
        let id = entry["id"].as_str().unwrap();
        let begin = page.find(&format!("## {id}\n")).unwrap();
        let section = &page[begin + 3..];
        let section = &section[..section.find("\n## ").unwrap_or(section.len())];
        let text = |field: &str| entry[field].as_str().unwrap().to_owned();
        let list = |value: &Value, separator: &str| {
            value.as_array().unwrap().iter().map(|item| item.as_str().unwrap()).collect::<Vec<_>>().join(separator)
        };
        let mut expected = vec![
            format!("| scope | {} |", list(&entry["scopes"], ", ")),
            format!("| windows | {} |", list(&entry["windows"], ", ")),
            format!("| rule | {} |", text("formula")),
            format!("| evidence needed | {} |", text("evidence")),
            format!("| discriminator | {} |", text("discriminator")),
            format!("| known false positives | {} |", list(&entry["false_positives"], "; ")),
            format!(
                "| ATT&CK {} | {} |",
                entry["technique"]["attack_version"].as_str().unwrap(),
                list(&entry["technique"]["ids"], ", ")
            ),
        ];
        for parameter in entry["parameters"].as_array().unwrap() {
            let number = |field: &str| parameter[field].as_f64().unwrap();
            let word = |field: &str| parameter[field].as_str().unwrap();
            expected.push(format!(
                "| `{}` | {} | {} | {} | {} |",
                word("name"),
                number("default"),
                number("classic"),
                word("unit"),
                word("doc")
            ));
        }
        for line in expected {
            assert!(section.lines().any(|found| found == line), "{id} lacks this line:\n{line}");
        }
        assert!(section.contains("**What to do next.**"), "{id}");
    }
}

#[test]
fn the_configuration_page_holds_the_reference() {
    let reference = weir(&["config", "schema", "--format", "markdown"]).output;
    assert!(document("deploy/docs/30-configuration.md").contains(&reference), "print it anew:\n{reference}");
}

#[test]
fn the_pages_name_every_field_and_column() {
    let page = document("deploy/docs/10-analyze.md");
    let run = weir(&["analyze", "--format", "jsonl", &capture("scan_xmas.pcap.gz")]);
    for field in run.json_lines()[0].as_object().unwrap().keys() {
        assert!(page.contains(&format!("`{field}`")), "10-analyze.md lacks `{field}`");
    }
    let page = document("deploy/docs/15-flows.md");
    let run = weir(&["flows", "--format", "csv", &capture("scan_xmas.pcap.gz")]);
    let header = run.output.lines().next().unwrap();
    let documented: Vec<&str> = page.lines().filter(|line| line.starts_with("sensor,")).collect();
    assert_eq!(documented, [header]);
    let run = weir(&["flows", "--format", "jsonl", &capture("scan_xmas.pcap.gz")]);
    for field in run.json_lines().iter().flat_map(|line| line.as_object().unwrap().keys().cloned().collect::<Vec<_>>())
    {
        assert!(page.contains(&format!("`{field}`")), "15-flows.md lacks `{field}`");
    }
}

#[test]
fn every_command_shown_exists_with_its_flags() {
    let mut shown = 0;
    for (path, text) in all() {
        for line in text.lines().filter_map(|line| line.trim_start().strip_prefix("weir ")) {
            let line = line.split(['|', '>', '#']).next().unwrap();
            let words: Vec<&str> = line.split_whitespace().collect();
            let is_command = |word: &&&str| word.bytes().all(|byte| byte.is_ascii_lowercase());
            let depth = if matches!(words[0], "analyze" | "flows" | "demo") { 1 } else { 2 };
            let mut call: Vec<&str> = words.iter().take(depth).filter(is_command).copied().collect();
            call.push("--help");
            let help = weir(&call);
            assert_eq!(help.status, Some(0), "{}: weir {line}", path.display());
            for flag in words.iter().filter(|word| word.starts_with("--")) {
                let flag = flag.split('=').next().unwrap();
                assert!(help.output.contains(flag), "{}: {flag} of weir {line}", path.display());
            }
            shown += 1;
        }
    }
    assert!(shown >= 20, "only {shown} commands are shown");
}

#[test]
fn the_demo_excerpt_is_what_the_demo_prints() {
    let readme = document("README.md");
    let section = readme.split_once("## What the demo shows\n").unwrap().1;
    let excerpt = section.split("```").nth(1).unwrap();
    let printed = weir(&["demo", "--fast"]).output;
    let lines = excerpt.lines().filter(|line| !matches!(*line, "" | "…"));
    for line in lines {
        assert!(printed.lines().any(|found| found == line), "the demo no longer prints:\n{line}\n\n{printed}");
    }
}

#[test]
fn every_link_leads_somewhere() {
    for (path, text) in all() {
        let folder = path.parent().unwrap();
        for link in text.split("](").skip(1).map(|rest| rest.split([')', '#']).next().unwrap()) {
            if !link.is_empty() && !link.starts_with("http") {
                assert!(folder.join(link).exists(), "{}: {link}", path.display());
            }
        }
    }
}
