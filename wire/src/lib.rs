//! What a client says: the CQL native protocol.
