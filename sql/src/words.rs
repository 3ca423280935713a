//! The words that name nothing unless they are in quotes.

/// Cassandra's reserved words in lower case, in order. All others — `key`, `ttl`, `values`, `context` —
/// are names wherever a name may stand.
const RESERVED: [&str; 64] = [
    "add",
    "allow",
    "alter",
    "and",
    "apply",
    "asc",
    "authorize",
    "batch",
    "begin",
    "by",
    "columnfamily",
    "create",
    "default",
    "delete",
    "desc",
    "describe",
    "drop",
    "entries",
    "execute",
    "false",
    "from",
    "full",
    "grant",
    "if",
    "in",
    "index",
    "infinity",
    "insert",
    "into",
    "is",
    "keyspace",
    "limit",
    "materialized",
    "mbean",
    "mbeans",
    "modify",
    "nan",
    "norecursive",
    "not",
    "null",
    "of",
    "on",
    "or",
    "order",
    "primary",
    "rename",
    "replace",
    "revoke",
    "schema",
    "select",
    "set",
    "table",
    "to",
    "token",
    "true",
    "truncate",
    "unlogged",
    "unset",
    "update",
    "use",
    "using",
    "view",
    "where",
    "with",
];

/// Whether an unquoted word, in any case, is no name.
pub(crate) fn is_reserved(word: &str) -> bool {
    RESERVED.binary_search(&&*word.to_ascii_lowercase()).is_ok()
}

/// Whether a name of one word in lower case is printed in quotes: a reserved one, and two that are names
/// where nothing else may stand, but that quotes keep from being `distinct AS a` or `CAST(a AS b)`.
pub(crate) fn needs_quotes(word: &str) -> bool {
    matches!(word, "as" | "cast") || is_reserved(word)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reserved_words_are_found_in_any_case() {
        assert!(RESERVED.is_sorted_by(|a, b| a < b));
        assert!(RESERVED.iter().all(|word| is_reserved(word) && is_reserved(&word.to_uppercase())));
    }

    #[test]
    fn words_that_tables_use_as_columns_are_names() {
        for word in [
            "key",
            "ttl",
            "timestamp",
            "type",
            "values",
            "role",
            "user",
            "count",
            "json",
            "list",
            "map",
            "date",
            "text",
            "context",
            "consistency",
            "returning",
            "group",
            "distinct",
        ] {
            assert!(!is_reserved(word), "{word}");
        }
    }
}
