//! The types that results and the schema name, in our words and in those of `scylla`.

use scylla::cluster::metadata::{CollectionType, ColumnType, NativeType};
use types::CqlType;

/// Our name of a type, `None` for one that no column of ours can have.
pub(crate) fn known(theirs: &ColumnType<'_>) -> Option<CqlType> {
    match theirs {
        ColumnType::Native(native) => simple(native),
        ColumnType::Collection { frozen, typ } => {
            let kind = collection(typ)?;
            Some(if *frozen { CqlType::Frozen(Box::new(kind)) } else { kind })
        }
        ColumnType::Tuple(of) => Some(CqlType::Tuple(of.iter().map(known).collect::<Option<_>>()?)),
        _ => None,
    }
}

fn simple(native: &NativeType) -> Option<CqlType> {
    Some(match native {
        NativeType::Ascii => CqlType::Ascii,
        NativeType::BigInt => CqlType::Bigint,
        NativeType::Blob => CqlType::Blob,
        NativeType::Boolean => CqlType::Boolean,
        NativeType::Double => CqlType::Double,
        NativeType::Float => CqlType::Float,
        NativeType::Inet => CqlType::Inet,
        NativeType::Int => CqlType::Int,
        NativeType::Text => CqlType::Text,
        NativeType::Timestamp => CqlType::Timestamp,
        NativeType::Timeuuid => CqlType::Timeuuid,
        NativeType::Uuid => CqlType::Uuid,
        NativeType::TinyInt => CqlType::Tinyint,
        NativeType::SmallInt => CqlType::Smallint,
        NativeType::Varint => CqlType::Varint,
        NativeType::Decimal => CqlType::Decimal,
        NativeType::Date => CqlType::Date,
        NativeType::Time => CqlType::Time,
        NativeType::Duration => CqlType::Duration,
        _ => return None,
    })
}

fn collection(theirs: &CollectionType<'_>) -> Option<CqlType> {
    Some(match theirs {
        CollectionType::List(of) => CqlType::List(Box::new(known(of)?)),
        CollectionType::Set(of) => CqlType::Set(Box::new(known(of)?)),
        CollectionType::Map(key, value) => {
            CqlType::Map(Box::new(known(key)?), Box::new(known(value)?))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn native(native: NativeType) -> ColumnType<'static> {
        ColumnType::Native(native)
    }

    #[test]
    fn collections_of_known_types_are_known() {
        let typ = CollectionType::Map(
            Box::new(native(NativeType::Text)),
            Box::new(ColumnType::Collection {
                frozen: true,
                typ: CollectionType::Set(Box::new(native(NativeType::Uuid))),
            }),
        );
        let kind = known(&ColumnType::Collection { frozen: false, typ }).unwrap();
        assert_eq!(kind.to_string(), "map<text, frozen<set<uuid>>>");
        let fields = vec![native(NativeType::Decimal), native(NativeType::Duration)];
        let kind = known(&ColumnType::Tuple(fields)).unwrap();
        assert_eq!(kind.to_string(), "tuple<decimal, duration>");
    }

    #[test]
    fn a_part_that_is_not_known_makes_the_whole_unknown() {
        let typ = CollectionType::List(Box::new(native(NativeType::Counter)));
        assert_eq!(known(&ColumnType::Collection { frozen: false, typ }), None);
        assert_eq!(known(&native(NativeType::Counter)), None);
        let fields = vec![native(NativeType::Int), native(NativeType::Counter)];
        assert_eq!(known(&ColumnType::Tuple(fields)), None);
    }
}
