//! The mappings that Weir brings along: TOML files like everybody's, read once.

use std::sync::{Arc, LazyLock};

use super::mapping::Mapping;

macro_rules! mappings {
    ($($name:literal,)*) => { [$(($name, include_str!(concat!("mappings/", $name, ".toml"))),)*] };
}

/// File names and texts. Of several that fit, the first is taken.
const TEXTS: [(&str, &str); 15] = mappings![
    "zeek_conn",
    "zeek_dns",
    "zeek_http",
    "zeek_ssl",
    "zeek_ssh",
    "suricata",
    "suricata_facts",
    "aws_vpc",
    "aws_cloudwatch",
    "nfdump",
    "nfdump_1_7",
    "litnet",
    "cicflowmeter",
    "argus",
    "netflow",
];

static MAPPINGS: LazyLock<Vec<(&'static str, Arc<Mapping>)>> = LazyLock::new(|| {
    // A test reads every one of them, so none is left out here.
    let read = |(file, text): (&'static str, &str)| Mapping::parse(text).ok().map(|mapping| (file, Arc::new(mapping)));
    TEXTS.into_iter().filter_map(read).collect()
});

/// All of them.
pub(super) fn all() -> impl Iterator<Item = &'static Arc<Mapping>> {
    MAPPINGS.iter().map(|(_, mapping)| mapping)
}

/// The mapping of that file name.
pub(super) fn by_file(name: &str) -> Option<&'static Arc<Mapping>> {
    MAPPINGS.iter().find(|(file, _)| *file == name).map(|(_, mapping)| mapping)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_mapping_can_be_read() {
        for (file, text) in TEXTS {
            let mapping = Mapping::parse(text).unwrap_or_else(|error| panic!("{file}: {error}"));
            assert!(file.starts_with(mapping.name()), "{file}");
            for beside in &mapping.beside {
                assert!(TEXTS.iter().any(|(other, _)| *other == beside.mapping), "{file}: {}", beside.mapping);
            }
        }
        assert_eq!(all().count(), TEXTS.len());
    }
}
