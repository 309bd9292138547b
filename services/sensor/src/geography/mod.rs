//! Country and autonomous system of an address, by databases in MaxMind's format that the operator has: none comes with Weir.
//! Source: MaxMind DB File Format Specification 2.0.

#[cfg(test)]
mod tests;

use std::net::IpAddr;
use std::path::{Path, PathBuf};

use hashbrown::HashMap;
use maxminddb::{Reader, path};
use weir_schemas::flow::End;
use weir_schemas::{Flow, Host, Text};

use crate::packet::InputWarning;

/// Addresses whose answers are kept: a look-up costs about a microsecond, and hosts talk more than once.
const MOST_KEPT: usize = 1 << 16;

/// A database that cannot be used. Environment: a retry helps only once the file is another.
#[derive(Debug, thiserror::Error)]
pub enum GeographyError {
    /// It cannot be read, or is damaged.
    #[error("{file}: no usable database ({source}); give one in MaxMind's format (.mmdb)")]
    Unusable {
        /// The file as it was given.
        file: String,
        /// What is wrong with it.
        source: maxminddb::MaxMindDbError,
    },
    /// It is a database of something else.
    #[error("{file}: is a database of the type \"{kind}\", which does not tell {wanted}; give the one that does")]
    Other {
        /// The file as it was given.
        file: String,
        /// The type that its metadata names.
        kind: String,
        /// What it was to tell.
        wanted: &'static str,
    },
}

/// What is known of an address.
#[derive(Clone, Debug, Default, PartialEq)]
struct Known {
    country: Option<Text>,
    asn: Option<u32>,
}

struct Database {
    reader: Reader<Vec<u8>>,
    file: PathBuf,
    /// Told once.
    damage: Option<InputWarning>,
    is_damaged: bool,
}

/// The databases that are configured.
#[derive(Default)]
pub struct Geography {
    country: Option<Database>,
    asn: Option<Database>,
    kept: HashMap<IpAddr, Known, foldhash::fast::RandomState>,
}

impl Geography {
    /// Reads the databases into memory.
    ///
    /// # Errors
    /// [`GeographyError`].
    pub fn open(country: Option<&Path>, asn: Option<&Path>) -> Result<Self, GeographyError> {
        // Vendors name types as they like ("GeoLite2-City", "DBIP-ASN-Lite", "ipinfo generic_country_asn"): only what is
        // plainly the other one is refused.
        let tells_country = |kind: &str| !kind.contains("asn") || kind.contains("country");
        let tells_asn = |kind: &str| !kind.contains("country") && !kind.contains("city") || kind.contains("asn");
        Ok(Self {
            country: country.map(|file| Database::open(file, "countries", tells_country)).transpose()?,
            asn: asn.map(|file| Database::open(file, "autonomous systems", tells_asn)).transpose()?,
            kept: HashMap::default(),
        })
    }

    /// Fills in what is known of both ends. What the input itself told stays.
    pub(crate) fn locate(&mut self, flow: &mut Flow) {
        if self.country.is_some() || self.asn.is_some() {
            self.locate_end(&mut flow.src);
            self.locate_end(&mut flow.dst);
        }
    }

    /// What has to be told of the databases since the last call.
    pub(crate) fn take_warnings(&mut self) -> Vec<InputWarning> {
        let databases = [&mut self.country, &mut self.asn].into_iter().flatten();
        databases.filter_map(|database| database.damage.take()).collect()
    }

    fn locate_end(&mut self, end: &mut End) {
        let address = match &end.host {
            Host::V4(address) => IpAddr::V4(*address),
            Host::V6(address) => IpAddr::V6(*address),
            Host::Name(_) => return,
        };
        if !self.kept.contains_key(&address) && self.kept.len() >= MOST_KEPT {
            self.kept.clear();
        }
        let (country, asn) = (&mut self.country, &mut self.asn);
        let known = self.kept.entry(address).or_insert_with(|| Known {
            country: country.as_mut().and_then(|database| database.country_of(address)),
            asn: asn.as_mut().and_then(|database| database.asn_of(address)),
        });
        if end.country.is_none() {
            end.country.clone_from(&known.country);
        }
        end.asn = end.asn.or(known.asn);
    }
}

impl Database {
    fn open(file: &Path, wanted: &'static str, tells: impl Fn(&str) -> bool) -> Result<Self, GeographyError> {
        let reader = Reader::open_readfile(file)
            .map_err(|source| GeographyError::Unusable { file: file.display().to_string(), source })?;
        let kind = reader.metadata().database_type.clone();
        if !tells(&kind.to_lowercase()) {
            return Err(GeographyError::Other { file: file.display().to_string(), kind, wanted });
        }
        Ok(Self { reader, file: file.to_owned(), damage: None, is_damaged: false })
    }

    /// The country's code: MaxMind's and DB-IP's `country.iso_code`, IPinfo's `country_code` and `country`.
    fn country_of(&mut self, address: IpAddr) -> Option<Text> {
        let code = self
            .text(address, &path!["country", "iso_code"])
            .or_else(|| self.text(address, &path!["country_code"]))
            .or_else(|| self.text(address, &path!["country"]))?;
        let is_code = code.len() == 2 && code.bytes().all(|byte| byte.is_ascii_uppercase());
        is_code.then(|| code.into())
    }

    /// The system's number: MaxMind's and DB-IP's `autonomous_system_number`, IPinfo's `asn` as `AS15169`.
    fn asn_of(&mut self, address: IpAddr) -> Option<u32> {
        let number: Option<u32> = self.value(address, &path!["autonomous_system_number"]);
        number
            .or_else(|| self.text(address, &path!["asn"])?.strip_prefix("AS")?.parse().ok())
            .filter(|number| *number != 0)
    }

    fn text(&mut self, address: IpAddr, path: &[maxminddb::PathElement<'_>]) -> Option<String> {
        self.value(address, path)
    }

    fn value<T: for<'d> serde::Deserialize<'d>>(
        &mut self,
        address: IpAddr,
        path: &[maxminddb::PathElement<'_>],
    ) -> Option<T> {
        // A database of IPv4 has no answer for the other kind.
        if address.is_ipv6() && self.reader.metadata().ip_version == 4 {
            return None;
        }
        let found = self.reader.lookup(address).and_then(|found| found.decode_path(path));
        match found {
            Ok(value) => value,
            // Another type than asked for is another vendor's way to put it.
            Err(maxminddb::MaxMindDbError::Decoding { .. }) => None,
            Err(error) => {
                if !self.is_damaged {
                    self.is_damaged = true;
                    let message = format!("the database is damaged ({error}); addresses it cannot place go without");
                    let file = self.file.display().to_string().into();
                    self.damage = Some(InputWarning { file, offset: None, message });
                }
                None
            }
        }
    }
}
