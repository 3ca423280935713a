//! Names: of a node, of one life of its data directory, and of the place where it stands.
//!
//! A node keeps its [`HostId`] for ever and is never identified by an address. Its data directory
//! has a [`StoreId`], which is renewed whenever the directory is new, restored or damaged: what a
//! store once promised holds for that store id only.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use uuid::Uuid;

/// A node's name for ever: drawn once at first start and kept on disk. Never an address.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct HostId(pub Uuid);

impl fmt::Display for HostId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for HostId {
    type Err = uuid::Error;

    /// Reads a UUID in any of its usual spellings.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

/// One life of one data directory: 128 random bits, written as 32 hexadecimal digits.
///
/// In formats for people (JSON) it is that text, since their numbers are too short for it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct StoreId(pub u128);

impl fmt::Display for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:032x}", self.0)
    }
}

impl fmt::Debug for StoreId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "StoreId({self})")
    }
}

/// A text that is not the name of a store.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a store id is 32 hexadecimal digits, not {text:?}")]
pub struct StoreIdError {
    /// The text as it was given.
    pub text: String,
}

impl FromStr for StoreId {
    type Err = StoreIdError;

    /// Reads exactly 32 hexadecimal digits, of either case.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let is_id = text.len() == 32 && text.bytes().all(|byte| byte.is_ascii_hexdigit());
        u128::from_str_radix(text, 16)
            .ok()
            .filter(|_| is_id)
            .map(Self)
            .ok_or_else(|| StoreIdError { text: text.to_owned() })
    }
}

impl Serialize for StoreId {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        if serializer.is_human_readable() {
            serializer.collect_str(self)
        } else {
            serializer.serialize_u128(self.0)
        }
    }
}

impl<'de> Deserialize<'de> for StoreId {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        if deserializer.is_human_readable() {
            let text = String::deserialize(deserializer)?;
            text.parse().map_err(serde::de::Error::custom)
        } else {
            u128::deserialize(deserializer).map(Self)
        }
    }
}

/// A member of the cluster and where it stands.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
pub struct Node {
    /// Its name.
    pub host: HostId,
    /// The data center it belongs to; `NetworkTopologyStrategy` counts replicas by this name.
    pub datacenter: String,
    /// What fails together within the data center. Equal names in two data centers are two racks.
    pub rack: String,
}

#[cfg(test)]
mod tests {
    use serde::de::IntoDeserializer;
    use serde::de::value::{Error, U128Deserializer};

    use super::*;

    const TEXT: &str = "000000000000000000000000deadbeef";

    #[test]
    fn a_store_id_is_written_as_32_digits_and_read_back() {
        let store = StoreId(0xdead_beef);
        assert_eq!(store.to_string(), TEXT);
        assert_eq!(TEXT.parse(), Ok(store));
        assert_eq!(TEXT.to_uppercase().parse(), Ok(store));
        assert_eq!(format!("{store:?}"), format!("StoreId({TEXT})"));
        assert_eq!(StoreId(u128::MAX).to_string().parse(), Ok(StoreId(u128::MAX)));
    }

    #[test]
    fn other_texts_are_no_store_ids() {
        let signed = format!("+{}", &TEXT[1..]);
        for text in ["", "7", &TEXT[1..], &format!("0{TEXT}"), &signed, &TEXT.replace('d', "g")] {
            assert_eq!(text.parse::<StoreId>(), Err(StoreIdError { text: text.to_owned() }));
        }
    }

    #[test]
    fn a_store_id_is_text_where_people_read_it() {
        let store = StoreId(0xdead_beef);
        let read: Result<StoreId, Error> = StoreId::deserialize(TEXT.into_deserializer());
        assert_eq!(read, Ok(store));
        let number: U128Deserializer<Error> = store.0.into_deserializer();
        StoreId::deserialize(number).expect_err("a number is not text");
    }

    #[test]
    fn a_host_id_reads_as_a_uuid() {
        let text = "67e55044-10b1-426f-9247-bb680e5fe0c8";
        assert_eq!(text.parse::<HostId>().unwrap().to_string(), text);
        "localhost".parse::<HostId>().unwrap_err();
    }
}
