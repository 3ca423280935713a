//! How copies agree: version vectors, siblings, merge.
