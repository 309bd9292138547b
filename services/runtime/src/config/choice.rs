//! Keys that take one of a few words.

/// Declares an enum whose variants are the words of a key.
macro_rules! choice {
    ($(#[$attribute:meta])* $name:ident { $($(#[$variant_attribute:meta])* $variant:ident = $word:literal,)+ }) => {
        $(#[$attribute])*
        #[derive(Clone, Copy, Debug, PartialEq, Eq)]
        pub enum $name {
            $($(#[$variant_attribute])* $variant,)+
        }

        impl $name {
            /// The word in configuration files.
            #[must_use]
            pub fn word(self) -> &'static str {
                match self {
                    $(Self::$variant => $word,)+
                }
            }
        }

        impl $crate::config::value::ConfigValue for $name {
            const KIND: $crate::config::value::Kind = $crate::config::value::Kind::Choice(&[$($word),+]);

            fn from_raw(raw: &$crate::config::value::Raw) -> Result<Self, String> {
                match raw.text() {
                    $(Some($word) => Ok(Self::$variant),)+
                    _ => {
                        let words = [$($word),+].join(", ");
                        Err($crate::config::value::wrong(raw, "choice", &format!("one of {words}")))
                    }
                }
            }

            fn to_toml(&self) -> Option<String> {
                Some($crate::config::value::quote(self.word()))
            }
        }
    };
}

pub(super) use choice;
