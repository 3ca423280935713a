//! One node of a Starling cluster.
