//! What the columns of a table mean: a mapping, written in TOML, the built-in ones too.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Deserialize;

/// Where a field's value comes from.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(from = "SourceFile")]
pub(super) struct Source {
    /// Columns; several are read as one text with spaces between them.
    pub(super) columns: Vec<String>,
    /// How the text is to be read; empty: as the field is by default.
    pub(super) unit: String,
    /// Texts that stand for others; `*` for all that are not named.
    pub(super) values: BTreeMap<String, String>,
    /// The value itself, whatever the columns.
    pub(super) constant: Option<String>,
}

/// A source as it is written.
#[derive(Deserialize)]
#[serde(untagged)]
enum SourceFile {
    Column(String),
    Table(SourceTable),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceTable {
    column: Option<String>,
    #[serde(default)]
    columns: Vec<String>,
    #[serde(default)]
    unit: String,
    #[serde(default)]
    values: BTreeMap<String, String>,
    constant: Option<String>,
}

impl From<SourceFile> for Source {
    fn from(file: SourceFile) -> Self {
        match file {
            SourceFile::Column(column) => {
                Self { columns: vec![column], unit: String::new(), values: BTreeMap::new(), constant: None }
            }
            SourceFile::Table(table) => {
                let SourceTable { column, mut columns, unit, values, constant } = table;
                columns.extend(column);
                Self { columns, unit, values, constant }
            }
        }
    }
}

/// One source, or several of which the first that has a value counts.
#[derive(Deserialize)]
#[serde(untagged)]
enum Sources {
    One(Source),
    Several(Vec<Source>),
}

/// A table whose rows tell the application facts of flows.
#[derive(Clone, Debug, PartialEq, Deserialize)]
#[serde(deny_unknown_fields)]
pub(super) struct Beside {
    /// What stands in the file's name where the flows' own file has its word (`conn`).
    pub(super) file: Option<String>,
    /// The facts stand among the flows.
    #[serde(default)]
    pub(super) same_file: bool,
    /// The mapping that reads it.
    pub(super) mapping: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct MappingFile {
    name: String,
    #[serde(default)]
    header: Vec<String>,
    #[serde(default)]
    recognise: Vec<String>,
    #[serde(default)]
    recognise_any: Vec<String>,
    #[serde(default)]
    whole: bool,
    #[serde(default)]
    facts_only: bool,
    #[serde(default)]
    start_may_be_absent: bool,
    #[serde(default)]
    link_bytes: u64,
    #[serde(default)]
    ends_with: Option<String>,
    #[serde(default)]
    zone_minutes: i64,
    #[serde(default)]
    known: Vec<String>,
    #[serde(default)]
    labels: Vec<String>,
    #[serde(default)]
    keep: BTreeMap<String, Vec<String>>,
    #[serde(default)]
    skip: BTreeMap<String, Vec<String>>,
    fields: BTreeMap<String, Sources>,
    #[serde(default)]
    beside: Vec<Beside>,
}

/// A mapping.
#[derive(Clone, Debug, PartialEq)]
pub struct Mapping {
    pub(super) name: Arc<str>,
    /// The columns of a table without a header line.
    pub(super) header: Vec<String>,
    /// Columns of which every table of this kind has all,
    pub(super) recognise: Vec<String>,
    /// and one at least of these.
    pub(super) recognise_any: Vec<String>,
    /// Each row is a whole connection.
    pub(super) whole: bool,
    /// The rows are no flows: they say more of flows that another table has.
    pub(super) facts_only: bool,
    /// Rows without times are taken, one a second, and said so.
    pub(super) start_may_be_absent: bool,
    /// Bytes of each counted packet that are not IP's.
    pub(super) link_bytes: u64,
    /// The row after which a summary comes.
    pub(super) ends_with: Option<String>,
    /// What the times without a zone are ahead of UTC.
    pub(super) zone_minutes: i64,
    /// Columns without a meaning here; `*` at the end stands for anything.
    pub(super) known: Vec<String>,
    /// Columns kept as labels.
    pub(super) labels: Vec<String>,
    /// Rows are flows only where these columns have one of these values,
    pub(super) keep: BTreeMap<String, Vec<String>>,
    /// and none of these.
    pub(super) skip: BTreeMap<String, Vec<String>>,
    /// By [`Field`], in its order.
    pub(super) fields: Vec<Vec<Source>>,
    pub(super) beside: Vec<Beside>,
}

/// Makes the enumeration of fields and their names in one place.
macro_rules! fields {
    ($($field:ident $name:literal,)*) => {
        /// What a column can mean.
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub(super) enum Field { $(#[allow(missing_docs)] $field,)* }

        /// The fields' names in mappings, in the order of [`Field`].
        pub(super) const FIELDS: &[&str] = &[$($name,)*];
    };
}

fields! {
    Id "id",
    Start "start",
    End "end",
    Duration "duration",
    Src "src",
    SrcPort "src_port",
    Dst "dst",
    DstPort "dst_port",
    Proto "proto",
    IcmpType "icmp_type",
    IcmpCode "icmp_code",
    Icmp "icmp",
    Packets "packets",
    Bytes "bytes",
    FwdPackets "fwd_packets",
    FwdBytes "fwd_bytes",
    FwdPayload "fwd_payload",
    RevPackets "rev_packets",
    RevBytes "rev_bytes",
    RevPayload "rev_payload",
    FlagsFwd "flags_fwd",
    FlagsRev "flags_rev",
    State "state",
    History "history",
    Initiator "initiator",
    Outcome "outcome",
    EndReason "end_reason",
    Sampling "sampling",
    Vlan "vlan",
    SrcMac "src_mac",
    DstMac "dst_mac",
    SrcCountry "src_country",
    DstCountry "dst_country",
    SrcAsn "src_asn",
    DstAsn "dst_asn",
    App "app",
    DnsQuery "dns_query",
    DnsType "dns_type",
    DnsRcode "dns_rcode",
    DnsAnswers "dns_answers",
    HttpMethod "http_method",
    HttpHost "http_host",
    HttpTarget "http_target",
    HttpAgent "http_agent",
    HttpStatus "http_status",
    TlsVersion "tls_version",
    TlsName "tls_name",
    TlsAlpn "tls_alpn",
    TlsFingerprint "tls_fingerprint",
    SshClient "ssh_client",
    SshServer "ssh_server",
    SshFingerprint "ssh_fingerprint",
    LoginSuccess "login_success",
    LoginAttempts "login_attempts",
}

impl Mapping {
    /// Reads a mapping. The error is one line: where, and what is wrong.
    pub fn parse(text: &str) -> Result<Self, String> {
        let file: MappingFile = toml::from_str(text).map_err(|error| in_one_line(&error, text))?;
        let mut fields = vec![Vec::new(); FIELDS.len()];
        for (name, sources) in file.fields {
            let Some(index) = FIELDS.iter().position(|field| *field == name) else {
                return Err(format!("fields.{name}: no such field; there are {}", FIELDS.join(", ")));
            };
            let sources = match sources {
                Sources::One(source) => vec![source],
                Sources::Several(sources) => sources,
            };
            for source in &sources {
                if source.columns.is_empty() && source.constant.is_none() {
                    return Err(format!("fields.{name}: give a column, columns or a constant"));
                }
                super::value::check_unit(&name, &source.unit)?;
            }
            fields[index] = sources;
        }
        let mapping = Self {
            name: file.name.into(),
            header: file.header,
            recognise: file.recognise,
            recognise_any: file.recognise_any,
            whole: file.whole,
            facts_only: file.facts_only,
            start_may_be_absent: file.start_may_be_absent,
            link_bytes: file.link_bytes,
            ends_with: file.ends_with,
            zone_minutes: file.zone_minutes,
            known: file.known,
            labels: file.labels,
            keep: file.keep,
            skip: file.skip,
            fields,
            beside: file.beside,
        };
        for field in mapping.required() {
            if mapping.sources(*field).is_empty() {
                return Err(format!("fields.{}: is missing", FIELDS[*field as usize]));
            }
        }
        Ok(mapping)
    }

    /// What the records of such a table say they were read from.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Fields without which a row is nothing.
    pub(super) fn required(&self) -> &'static [Field] {
        match (self.facts_only, self.start_may_be_absent) {
            (true, _) => &[Field::Id],
            (false, true) => &[Field::Src, Field::Dst],
            (false, false) => &[Field::Start, Field::Src, Field::Dst],
        }
    }

    pub(super) fn sources(&self, field: Field) -> &[Source] {
        &self.fields[field as usize]
    }

    /// Every column that means something here.
    pub(super) fn columns(&self) -> impl Iterator<Item = &str> {
        let of_fields = self.fields.iter().flatten().flat_map(|source| &source.columns);
        of_fields.chain(&self.labels).chain(self.keep.keys()).chain(self.skip.keys()).map(String::as_str)
    }

    /// Whether the mapping knows what to do with a column.
    pub(super) fn knows(&self, column: &str) -> bool {
        let is_known = |known: &String| match known.strip_suffix('*') {
            Some(beginning) => column.starts_with(beginning),
            None => is_same(known, column),
        };
        self.known.iter().any(is_known) || self.columns().any(|name| is_same(name, column))
    }
}

/// Whether two names mean the same column: case and blanks around them do not count.
pub(super) fn is_same(one: &str, other: &str) -> bool {
    one.trim().eq_ignore_ascii_case(other.trim())
}

fn in_one_line(error: &toml::de::Error, text: &str) -> String {
    let line = error.span().map_or(0, |span| text[..span.start.min(text.len())].matches('\n').count() + 1);
    let message = error.message().split_whitespace().collect::<Vec<_>>().join(" ");
    if line == 0 { message } else { format!("line {line}: {message}") }
}
