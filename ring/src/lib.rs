//! Who holds a key: tokens, partitions, replicas, and the register of cluster metadata.
