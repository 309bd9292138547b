//! What is known of a key, and the macro that declares keys: struct field, documentation, default and type in one place.

use super::value::Kind;

/// A declared key.
#[derive(Debug)]
pub struct Key {
    /// `section.key`.
    pub name: &'static str,
    /// Documentation, one line per line of the doc comment.
    pub documentation: &'static str,
    /// What is accepted.
    pub kind: Kind,
    /// The default in TOML; `None` where there is none.
    pub default: fn() -> Option<String>,
    /// The value in TOML; `None` where there is none, or it must not be shown.
    pub current: fn(&super::Config) -> Option<String>,
}

/// A declared section.
#[derive(Debug)]
pub struct Section {
    /// Its name in the file.
    pub name: &'static str,
    /// Documentation.
    pub documentation: &'static str,
    /// Its keys, in the order of declaration.
    pub keys: &'static [Key],
}

/// Declares sections: a struct each, `Config` of them all, and the table `SECTIONS`.
macro_rules! sections {
    ($(
        $(#[doc = $section_doc:literal])+
        $section:ident: $type:ident {
            $($(#[doc = $key_doc:literal])+ $key:ident: $value:ty = $default:expr,)+
        }
    )+) => {
        $(
            $(#[doc = $section_doc])+
            #[derive(Clone, Debug, PartialEq)]
            pub struct $type {
                $($(#[doc = $key_doc])+ pub $key: $value,)+
            }

            impl Default for $type {
                fn default() -> Self {
                    Self { $($key: $default,)+ }
                }
            }
        )+

        /// The whole configuration.
        #[derive(Clone, Debug, Default, PartialEq)]
        pub struct Config {
            $($(#[doc = $section_doc])+ pub $section: $type,)+
            /// Thresholds that replace a profile's own: `[profile.<name>.<detector>] key = number`.
            pub profile: Profiles,
        }

        impl Config {
            /// The typed values of `settings`, defaults where there are none.
            pub(super) fn resolve(settings: &Settings) -> Result<Self, ConfigError> {
                Ok(Self {
                    $($section: $type {
                        $($key: settings.value(concat!(stringify!($section), ".", stringify!($key)), || $default)?,)+
                    },)+
                    profile: settings.value("profile", Profiles::default)?,
                })
            }
        }

        /// Every section with its keys.
        pub(super) static SECTIONS: &[Section] = &[$(Section {
            name: stringify!($section),
            documentation: concat!($($section_doc, "\n"),+),
            keys: &[$(Key {
                name: concat!(stringify!($section), ".", stringify!($key)),
                documentation: concat!($($key_doc, "\n"),+),
                kind: <$value as ConfigValue>::KIND,
                default: || <$value as ConfigValue>::to_toml(&$default),
                current: |config| config.$section.$key.to_toml(),
            },)+],
        },)+];
    };
}

pub(super) use sections;
